"""A proxy on the loopback that loses replies, keeps requests back, or is away: what networks do to a ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

__all__ = ["Proxy"]


class Proxy:
    """Passes on what a client says, and what the server answers unless that is to be lost: then it hangs up.

    What belongs to connecting is passed on in any case; only scripts are kept back, and only the answers to them are
    counted, delayed and lost. While it is ``away``, it hangs up whatever is said; while it is ``silent``, it keeps
    scripts back, and the line stays open.
    """

    def __init__(self, port: int) -> None:
        """A proxy to ``port`` that does nothing else, until it is told."""
        self._port = port
        self.loses: Callable[[int], bool] = lambda _: False
        self.delay_s: Callable[[int], float] = lambda _: 0.0
        self.keeps: Callable[[int], bool] = lambda _: False
        self.away = False
        self.silent = False
        self.kept: list[bytes] = []
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self.replies = 0
        self.lost = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    @property
    def url(self) -> str:
        """Where a client finds it."""
        assert self._server is not None
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    async def deliver(self) -> None:
        """Give the server the requests that were kept back, whose clients have gone; wait until it has answered."""
        kept, self.kept = self.kept, []
        for asked in kept:
            server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
            to_server.write(asked)
            await server.read(1 << 20)
            to_server.close()

    def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        line = asyncio.create_task(self._serve(client, to_client))
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            # A client that is not a pipeline asks one thing at a time.
            while asked := await client.read(1 << 20):
                if self.away:
                    return
                if b"EVALSHA" in asked and (self.silent or self.keeps(self.replies)):
                    self.kept.append(asked)
                    if self.silent:
                        continue
                    return
                to_server.write(asked)
                reply = await server.read(1 << 20)
                if b"EVALSHA" in asked and not await self._passes():
                    return
                to_client.write(reply)
        except ConnectionError:
            pass  # a client that was killed, or has given up
        finally:
            to_client.close()
            to_server.close()

    async def _passes(self) -> bool:
        number, self.replies = self.replies, self.replies + 1
        await asyncio.sleep(self.delay_s(number))
        if self.loses(number):
            self.lost += 1
            return False
        return True
