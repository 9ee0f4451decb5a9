"""Providers that can be switched, for calls that follow one another."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from routeware import Attempt, CallRecord, RoutingPolicy, routed
from tests.fakes.providers import HTTPStatusError

__all__ = ["RetryAfterError", "Service"]


class RetryAfterError(HTTPStatusError):
    """A 429 that says how long to wait."""

    def __init__(self, seconds: float, status: int = 429) -> None:
        super().__init__(status)
        self.response = _Response(seconds)


class _Response:
    def __init__(self, seconds: float) -> None:
        self.headers = {"retry-after": f"{seconds:g}"}


class Service:
    """A decorated function whose links do what is set for them, and what became of its calls.

    Attributes:
        does: by link, an exception to raise, milliseconds after which it answers, or a behaviour.
        records: the records of all calls.
        starts: (link, second) of every attempt.
    """

    def __init__(self, *links: str | Mapping[str, Any], **settings: Any) -> None:
        options = settings.pop("options", {})
        chain = [
            {"provider": link, "model": "m", "label": link} if isinstance(link, str) else dict(link) for link in links
        ]
        self.does: dict[str, Any] = {}
        self.records: list[CallRecord] = []
        self.starts: list[tuple[str, float]] = []
        policy = RoutingPolicy.from_dict({"chain": chain, **settings})
        self.ask = routed(policy, on_call=self.records.append, name="ask", **options)(self._provide)

    async def _provide(self, attempt: Attempt) -> str:
        self.starts.append((attempt.label, asyncio.get_running_loop().time()))
        todo = self.does.get(attempt.label, 0)
        if isinstance(todo, list):
            todo = todo.pop(0)
        if isinstance(todo, BaseException):
            raise todo
        if callable(todo):
            return str(await todo(attempt))
        await asyncio.sleep(todo / 1000)
        return attempt.label

    async def call(self) -> object:
        """Call once; give the answer, or the error."""
        try:
            return await self.ask()
        except Exception as error:  # noqa: BLE001 - what came out is what the test looks at
            return error

    @property
    def last(self) -> list[str]:
        """The last call's attempts, as ``label reason``."""
        return [f"{one.label} {one.reason}" for one in self.records[-1].decision().alternatives]
