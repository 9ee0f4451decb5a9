"""Scripted providers: what each link does when it is tried, and what it does when it is told to stop.

A behaviour is a function of the attempt, so behaviours wrap one another: ``stubborn(10_000, hangs())``. Times are
milliseconds on the running loop's clock, which jumps in these tests; nothing here ever waits for real.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import attrs

from routeware import Attempt, CallRecord, RoutingPolicy, routed
from tests.fakes.clock import JumpingLoop

Behaviour = Callable[[Attempt], Awaitable[Any]]

FOREVER_MS = 3_600_000

MTOK = {"input_usd_per_mtok": 1_000_000.0, "output_usd_per_mtok": 1_000_000.0}
"""A dollar per token: sums can be read."""

_SECTIONS = {
    "on_status": "failover",
    "on_error_kinds": "failover",
    "on_timeout_ms": "failover",
    "max_attempts": "failover",
    "race_after_ms": "latency",
    "race_width": "latency",
    "deadline_ms": "latency",
    "per_call_usd": "budget",
    "session_usd": "budget",
    "on_exceed": "budget",
    "allow_unpriced": "budget",
    "emit_event": "observe",
    "error_messages": "observe",
}


class HTTPStatusError(Exception):
    """A provider's own error with a status, as an SDK would raise it."""

    def __init__(self, status: int, text: str = "no luck", code: str | None = None) -> None:
        super().__init__(text)
        self.status_code = status
        if code is not None:
            self.code = code


class Closable:
    """A result that wants to be closed, and remembers whether it was."""

    def __init__(self) -> None:
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1


class FatalError(Exception):
    """An error that no rule fails over on."""


def stopwatch() -> Callable[[], float]:
    """Milliseconds since now, to a hundredth, on the loop's clock."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    return lambda: round((loop.time() - started) * 1000, 2)


async def pause(ms: float) -> None:
    """Sleep, in milliseconds."""
    await asyncio.sleep(ms / 1000)


def block(ms: float) -> None:
    """Keep the loop busy: the clock moves on and nothing else can run."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    loop._nanoseconds.advance(ms / 1000)


# What a provider does.


def answers(after_ms: float = 0, value: object = None) -> Behaviour:
    """A value after a while; the provider's name, unless said otherwise."""

    async def run(attempt: Attempt) -> object:
        await pause(after_ms)
        return attempt.provider if value is None else value

    return run


def fails(after_ms: float, error: BaseException) -> Behaviour:
    """An error after a while."""

    async def run(attempt: Attempt) -> object:
        await pause(after_ms)
        raise error

    return run


def busy(after_ms: float = 0) -> Behaviour:
    """An answered 503: eligible for failover by default, and free."""

    async def run(attempt: Attempt) -> object:
        await pause(after_ms)
        raise HTTPStatusError(503)

    return run


def hangs() -> Behaviour:
    """An hour is for ever here."""
    return answers(FOREVER_MS)


def cancels_itself(after_ms: float = 0) -> Behaviour:
    """A CancelledError that nobody asked for, as a pool being torn down raises it."""

    async def run(attempt: Attempt) -> object:
        await pause(after_ms)
        raise asyncio.CancelledError

    return run


# What a provider does besides, and when it is cancelled.


def reports(cost_usd: float, behaviour: Behaviour) -> Behaviour:
    """Says what it costs before it does anything else."""

    async def run(attempt: Attempt) -> object:
        attempt.report_cost(cost_usd)
        return await behaviour(attempt)

    return run


def uses(behaviour: Behaviour, **tokens: int) -> Behaviour:
    """Reports its tokens before it does anything else."""

    async def run(attempt: Attempt) -> object:
        attempt.report_usage(**tokens)
        return await behaviour(attempt)

    return run


def cleans_up(for_ms: float, behaviour: Behaviour) -> Behaviour:
    """Obeys its cancellation, but has something to finish first."""

    async def run(attempt: Attempt) -> object:
        try:
            return await behaviour(attempt)
        except asyncio.CancelledError:
            await pause(for_ms)
            raise

    return run


def stubborn(for_ms: float, behaviour: Behaviour, then: Behaviour | None = None) -> Behaviour:
    """Ignores every cancellation for a time; then is cancelled after all, or does something else."""

    async def run(attempt: Attempt) -> object:
        try:
            return await behaviour(attempt)
        except asyncio.CancelledError:
            await _ignoring_cancellation(for_ms)
            if then is None:
                raise
            return await then(attempt)

    return run


def converts(behaviour: Behaviour, into: object) -> Behaviour:
    """Turns its cancellation into an error of its own, or into a value."""

    async def run(attempt: Attempt) -> object:
        try:
            return await behaviour(attempt)
        except asyncio.CancelledError:
            if isinstance(into, BaseException):
                raise into from None
            return into

    return run


def in_a_group(*behaviours: Behaviour) -> Behaviour:
    """Runs behaviours as the children of a TaskGroup, and gives the first one's value."""

    async def run(attempt: Attempt) -> object:
        async with asyncio.TaskGroup() as group:
            children = [group.create_task(_coroutine(behaviour, attempt)) for behaviour in behaviours]
        return children[0].result()

    return run


async def _coroutine(behaviour: Behaviour, attempt: Attempt) -> object:
    return await behaviour(attempt)


async def _ignoring_cancellation(for_ms: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + for_ms / 1000
    while loop.time() < until:
        try:
            await asyncio.sleep(until - loop.time())
        except asyncio.CancelledError:
            continue


# A chain of them.


@attrs.define
class Script:
    """A chain of scripted providers, and what happened to them.

    Attributes:
        behaviours: what each provider does, in the order of the chain.
        started: when each attempt's function was entered, in ms.
        ended: when it was left, whatever the way.
        attempts: the attempts, as the providers got them.
        records: the record of every call.
    """

    behaviours: dict[str, Behaviour]
    started: dict[str, float] = attrs.field(factory=dict)
    ended: dict[str, float] = attrs.field(factory=dict)
    attempts: dict[str, Attempt] = attrs.field(factory=dict)
    records: list[CallRecord] = attrs.field(factory=list)
    clock: Callable[[], float] | None = None

    def ask(
        self,
        *,
        usd: Mapping[str, float] | None = None,
        timeouts: Mapping[str, float] | None = None,
        links: Mapping[str, Mapping[str, Any]] | None = None,
        options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Any:
        """A decorated function over these providers. ``settings`` are the policy's, without their sections."""
        chain = [
            {"provider": name, "model": "m", "label": name}
            | ({"price": {"request_usd": usd[name]}} if usd and name in usd else {})
            | ({"timeout_ms": timeouts[name]} if timeouts and name in timeouts else {})
            | dict((links or {}).get(name, {}))
            for name in self.behaviours
        ]
        policy = RoutingPolicy.from_dict({"chain": chain, **_sections(settings)})
        return routed(policy, **{"on_call": self.records.append, "name": "ask", **(options or {})})(self._provider())

    def _provider(self) -> Callable[..., Awaitable[Any]]:
        async def ask(attempt: Attempt, prompt: object = "", **parameters: object) -> Any:
            return await self._run(attempt)

        return ask

    async def _run(self, attempt: Attempt) -> object:
        self.clock = self.clock or stopwatch()
        assert attempt.provider not in self.started, "a link was tried twice"
        self.started[attempt.provider] = self.clock()
        self.attempts[attempt.provider] = attempt
        try:
            return await self.behaviours[attempt.provider](attempt)
        finally:
            self.ended[attempt.provider] = self.clock()

    def again(self) -> None:
        """Forget what happened, so that another call may use the same providers."""
        self.started.clear()
        self.ended.clear()
        self.attempts.clear()
        self.clock = None


def script(**behaviours: Behaviour) -> Script:
    """A chain of providers, by name and in order."""
    return Script(behaviours)


def pays(cost_usd: float) -> Any:
    """A call that costs so much, and may be made again and again."""

    async def run(attempt: Attempt) -> str:
        attempt.report_cost(cost_usd)
        return "done"

    providers = script(a=run)
    ask = providers.ask(usd={"a": cost_usd})

    async def call() -> object:
        providers.again()
        return await ask()

    return call


def _sections(settings: Mapping[str, Any]) -> dict[str, Any]:
    policy: dict[str, Any] = {}
    for key, value in settings.items():
        if key in _SECTIONS:
            policy.setdefault(_SECTIONS[key], {})[key] = value
        else:
            policy[key] = value
    return policy


def statuses(record: CallRecord | None) -> dict[str, str]:
    """What became of each link, by label."""
    assert record is not None
    return {attempt.label: str(attempt.status) for attempt in record.attempts}


async def cancelled_at(call: Coroutine[Any, Any, Any], *moments_ms: float) -> tuple[asyncio.Task[Any], float]:
    """Run a call as a task, cancel it at each of these moments, and say how long it took."""
    loop = asyncio.get_running_loop()
    took = stopwatch()
    task = loop.create_task(call)
    timers = [loop.call_later(ms / 1000, task.cancel) for ms in moments_ms]
    await asyncio.wait([task])
    for timer in timers:
        timer.cancel()
    if not task.cancelled():
        task.exception()  # read, or the loop would complain
    return task, took()


def armed_timers() -> list[asyncio.TimerHandle]:
    """What the running loop still means to do later."""
    return [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]


def other_tasks() -> set[asyncio.Task[Any]]:
    """Every task that is not done, but the one that asks."""
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]
