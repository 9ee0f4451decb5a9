"""The connections of one event loop to a Redis, and what is on its way over them. The one file that knows redis-py.

What is asked in one turn of the loop travels together, as one call of the script: packing and parsing a request costs
the client more than the server needs to answer it. While all connections are busy, questions wait and join the
next request, so the busier a process is, the fewer requests it makes for each call.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Context
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import attrs

from routeware.contrib.loops import late
from routeware.contrib.receipts import Receipts
from routeware.errors import LedgerUnavailableError, PolicyError

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster
    from redis.commands.core import AsyncScript

__all__ = ["Question", "RedisClient", "check_url"]

_TRIES = 4
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.2
_LEAVE_S = 0.5
"""The time that closing may take to send the server what it may forget."""
_TO_FORGET = 200
"""The most ids that one request acknowledges."""
_TOGETHER = 256
"""The most questions in one request: the server answers no other client meanwhile, for some 3 ms."""


@attrs.define(eq=False)
class Question:
    """One question to the script.

    Attributes:
        what: its name.
        keys: the keys that it is about, the leases' key apart.
        arguments: what belongs to it.
        about: the id of the reservation that it changes, if any.
        answer: resolved with the script's answer, or with a ``LedgerUnavailableError``.
    """

    what: str
    keys: Sequence[str]
    arguments: Sequence[str] = ()
    about: str | None = None
    answer: asyncio.Future[list[str]] = attrs.field(factory=lambda: asyncio.get_running_loop().create_future())


class RedisClient:
    """The connections of one event loop."""

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        cluster: bool,
        timeout_s: float,
        leases: str,
        settings: Sequence[str],
        probe: Sequence[str],
        receipts: Receipts,
    ) -> None:
        """Make a client that connects when it is first asked.

        Args:
            url: the server.
            connections: how many there are at most.
            cluster: True if ``url`` is a node of a cluster.
            timeout_s: how long a request may take, its repetitions included.
            leases: the key that all questions share.
            settings: the script's first arguments.
            probe: what the keys of reservations, tallies and histories begin with.
            receipts: what the server may forget, and which questions had no answer.

        Raises:
            PolicyError: redis-py cannot read the URL.
        """
        self.redis = _connect(url, cluster)
        text = files("routeware.contrib").joinpath("redis.lua").read_text(encoding="utf-8")
        self._script: AsyncScript = self.redis.register_script(text)
        self._secrets = _secrets(url)
        self._connections = connections
        self._timeout_s = timeout_s
        self._leases = leases
        self._settings = settings
        self._probe = probe
        self._reservation = probe[0]
        self._receipts = receipts
        self._checked = False
        self._waiting: list[Question] = []
        self._due = False
        self._requests: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Close the connections. What is still on its way is cancelled."""
        waiting, self._waiting = self._waiting, []
        for request in self._requests:
            request.cancel()
        if self._requests:
            await asyncio.wait(self._requests)
        _fail(waiting, _closed)
        try:
            await self._take_leave()
        finally:
            await self.redis.aclose()

    def ask(self, question: Question) -> None:
        """Send ``question`` at the end of this turn of the loop, or when a connection is free."""
        self._waiting.append(question)
        if not self._due:
            self._due = True
            # In no context: a request serves many callers, and must not keep the session or the span of the first.
            asyncio.get_running_loop().call_soon(self._send, context=Context())

    def unavailable(self, error: BaseException) -> LedgerUnavailableError:
        """Build the error that says why the server could not be asked, without what the URL keeps secret."""
        text = said = str(error) or type(error).__qualname__
        for secret in self._secrets:
            text = text.replace(secret, "***")
        unavailable = LedgerUnavailableError(f"the Redis ledger could not be asked: {text}")
        unavailable.__cause__ = error if text == said else None
        return unavailable

    async def _take_leave(self) -> None:
        if not self._receipts.pending:
            return
        # Without the message, the server forgets it later by itself.
        with suppress(*_failures(), LedgerUnavailableError):
            async with asyncio.timeout(min(self._timeout_s, _LEAVE_S)):
                while self._receipts.pending:
                    await self._request(())

    def _send(self) -> None:
        self._due = False
        while len(self._requests) < self._connections and self._waiting:
            batch, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            request = asyncio.get_running_loop().create_task(self._deliver(batch))
            self._requests.add(request)
            request.add_done_callback(self._free)

    def _free(self, request: asyncio.Task[None]) -> None:
        self._requests.discard(request)
        if not request.cancelled():
            self._send()

    async def _deliver(self, batch: list[Question]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._insist(batch)
        except TimeoutError:
            _fail(batch, lambda: late(self._timeout_s, "the Redis ledger"))
        except asyncio.CancelledError:
            _fail(batch, _closed)
            raise
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            translated = partial(self._translated, error)
            _fail(batch, translated)

    async def _insist(self, batch: list[Question]) -> None:
        pause_s, tries = _FIRST_PAUSE_S, 0
        while wanted := [question for question in batch if not question.answer.done()]:
            tries += 1
            try:
                _resolve(wanted, await self._request(wanted))
            except BaseException as error:
                self._doubt(wanted)
                # Every request may be sent again: the server knows by the ids what it has done.
                if tries == _TRIES or not _passes(error):
                    raise
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _request(self, wanted: Sequence[Question]) -> list[list[str]]:
        """Call the script once, with what is asked and what it may forget besides."""
        places, asked, forget = {self._leases: 1}, [], self._receipts.take(_TO_FORGET)

        def add(what: str, keys: Sequence[str], arguments: Sequence[str] = ()) -> None:
            asked.append([what, [places.setdefault(key, len(places) + 1) for key in keys], *arguments])

        probing = not self._checked
        if probing:
            add("check", self._probe)
        for question in wanted:
            add(question.what, question.keys, question.arguments)
        if forget:
            add("forget", [f"{self._reservation}{id}" for id in forget])
        try:
            answers: list[list[str]] = json.loads(
                await self._script(list(places), [*self._settings, json.dumps(asked)])
            )
        except BaseException:
            self._receipts.put_back(forget)
            raise
        if probing:
            self._learn(answers.pop(0))
        return answers[: len(wanted)]

    def _learn(self, told: list[str]) -> None:
        if told[0] != "ok" or told[1:]:
            raise LedgerUnavailableError(f"this Redis user may not do all that a ledger does: {', '.join(told[1:])}")
        self._checked = True

    def _doubt(self, asked: Sequence[Question]) -> None:
        for question in asked:
            if question.about is not None:
                self._receipts.unanswered(question.about)

    def _translated(self, error: Exception) -> Exception:
        return self.unavailable(error) if isinstance(error, _failures()) else error


def check_url(url: str) -> None:
    """Refuse what is no URL of a Redis, without repeating it: it may hold a password.

    Raises:
        PolicyError: it is none.
    """
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"redis", "rediss", "unix"} and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise PolicyError("the URL of a Redis looks like redis://[[user]:password@]host[:port][/db]", key="url")


def _connect(url: str, cluster: bool) -> Redis | RedisCluster:
    from redis.asyncio import Redis, RedisCluster
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    settings: dict[str, Any] = {
        "decode_responses": True,
        # No time-outs of its own: next to ours, they can swallow the cancellation that ours is made of.
        "socket_timeout": None,
        "socket_connect_timeout": None,
        # Requests are repeated here, where it is noted that the first copy may still arrive.
        "retry": Retry(NoBackoff(), 0),
    }
    try:
        # A pool without a bound: there are only as many requests as there may be connections, and a pool that waits for
        # a free one hangs in redis-py 5.0.1 when the server cannot be reached.
        return RedisCluster.from_url(url, **settings) if cluster else Redis.from_url(url, **settings)
    except (ValueError, TypeError):
        # Their texts, and the tracebacks of their causes, may quote the URL.
        raise PolicyError("redis-py cannot read this URL", key="url") from None


def _secrets(url: str) -> list[str]:
    parts = urlsplit(url)
    raw = [parts.password, *parse_qs(parts.query).get("password", [])]
    return [text for secret in raw if secret for text in {secret, unquote(secret)}]


def _failures() -> tuple[type[Exception], ...]:
    from redis.exceptions import RedisError

    return RedisError, OSError


def _passes(error: BaseException) -> bool:
    """Return True if asking again may help."""
    from redis import exceptions as known

    if isinstance(error, known.AuthenticationError):
        return False
    passing = (known.ConnectionError, known.TimeoutError, known.ClusterDownError, known.TryAgainError, OSError)
    return isinstance(error, passing)


def _resolve(wanted: Sequence[Question], answers: Sequence[list[str]]) -> None:
    for question, answer in zip(wanted, answers, strict=True):
        if not question.answer.done():
            question.answer.set_result(answer)


def _fail(batch: Sequence[Question], error: Callable[[], Exception]) -> None:
    for question in batch:
        if not question.answer.done():
            # One for each: an error that is raised in two places carries both tracebacks.
            question.answer.set_exception(error())


def _closed() -> LedgerUnavailableError:
    return LedgerUnavailableError("the Redis ledger was closed")
