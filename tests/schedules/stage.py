"""The stage: runs a world on a jumping clock, and writes down all that can be seen of it from outside."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any

import attrs
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

import routeware
from routeware import Attempt, CallRecord, Ledger, MemoryLedger, RoutingPolicy, Session, record_of, routed
from tests.fakes.clock import JumpingLoop
from tests.fakes.ledgers import Remote
from tests.fakes.providers import HTTPStatusError
from tests.schedules.worlds import GRACE_MS, HANG_MS, Call, Plan, World

MOST_STARTS = 20


class ScriptedError(Exception):
    """A provider's own error that no default rule fails over on."""


class _Spans(SpanProcessor):
    """Counts how often every span was started and ended."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.ended: list[int] = []

    def on_start(self, span: Span, parent_context: object = None) -> None:
        self.started.append(span.context.span_id)

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span.context.span_id)


SPANS = _Spans()
_TRACERS = TracerProvider(shutdown_on_exit=False)
_TRACERS.add_span_processor(SPANS)


_QUIET = logging.NullHandler()


class _Complaints(logging.Handler):
    """What the SDK says of a span that is ended twice, or written to after its end."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@attrs.define
class Ended:
    """How a call came back, and when.

    Attributes:
        cancelled_ms: when a cancellation was delivered for the first time, counted from the call's start.
        began: whether the call was entered: a task may be cancelled before its first step.
        in_own_task: plans that ran in the caller's own task.
    """

    call: Call
    result: object = None
    error: BaseException | None = None
    record: CallRecord | None = None
    at_ms: float = 0
    cancelled_ms: float | None = None
    began: bool = False
    in_own_task: list[Plan] = attrs.field(factory=list)

    @property
    def took_ms(self) -> float:
        """How long it took."""
        return self.at_ms - self.call.at_ms


@attrs.define
class Seen:
    """Everything that was seen of a world.

    Attributes:
        ended: every call, as it came back.
        records: what ``on_call`` was given.
        starts: how many provider functions were entered.
        lingered: plans that were told to stop, and had not 250 ms later.
        committed: what each session had committed, whenever a provider function began or ended.
        over: whether some attempt reported more than its projection.
        left_ms: how long leaving the sessions took.
    """

    ended: list[Ended] = attrs.field(factory=list)
    records: list[CallRecord] = attrs.field(factory=list)
    starts: int = 0
    lingered: list[Plan] = attrs.field(factory=list)
    committed: list[tuple[int, float]] = attrs.field(factory=list)
    over: bool = False
    sessions: list[Session] = attrs.field(factory=list)
    left_ms: float = 0
    timers: list[asyncio.TimerHandle] = attrs.field(factory=list)
    tasks: list[asyncio.Task[Any]] = attrs.field(factory=list)
    complaints: list[Any] = attrs.field(factory=list)


def perform(world: World, make_loop: Callable[[], JumpingLoop] = JumpingLoop) -> Seen:
    """Run a world to its end, stragglers included, on a loop of its own."""
    seen = Seen()
    SPANS.started.clear()
    SPANS.ended.clear()
    said = _Complaints()
    sdk, ours = logging.getLogger("opentelemetry"), logging.getLogger("routeware")
    sdk.addHandler(said)
    ours.propagate = False  # thousands of warnings would bury the one world that failed
    ours.addHandler(_QUIET)
    try:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(_Stage(world, seen).main())
            loop = runner.get_loop()
            assert isinstance(loop, JumpingLoop)
            gc.collect(1)
            seen.complaints.extend(loop.complaints)
    finally:
        sdk.removeHandler(said)
        ours.removeHandler(_QUIET)
        ours.propagate = True
    seen.complaints.extend(said.messages)
    return seen


class _Stage:
    def __init__(self, world: World, seen: Seen) -> None:
        self.world = world
        self.seen = seen
        self.ledger = _ledger(world)
        self.callers: dict[int, asyncio.Task[Any]] = {}
        self.calls: dict[int, Ended] = {}
        self.told_ms: dict[int, float] = {}
        self.ask = self._decorated()

    def _decorated(self) -> Any:
        decorate: Any = routed(
            _policy(self.world), name="world", on_call=self.seen.records.append, tracer_provider=_TRACERS
        )

        @decorate
        async def ask(attempt: Attempt, number: int) -> object:
            return await self._provide(attempt, number)

        ask.accept(lambda result: result != "rejected")
        return ask

    async def main(self) -> None:
        """Open the sessions, make the calls, leave the sessions, and wait until nobody lingers any more."""
        loop = asyncio.get_running_loop()
        ms: Callable[[], float] = lambda: loop.time() * 1000  # noqa: E731
        async with contextlib.AsyncExitStack() as stack:
            collections = [loop.call_later(ms / 1000, gc.collect) for ms in self.world.collected_ms]
            tasks = self._tasks_at(0)
            for depth, wallet in enumerate(self.world.wallets, 1):
                ledger = self.ledger if wallet.tally else None
                opened = routeware.session(wallet.tally, limit_usd=wallet.limit_usd, ledger=ledger)
                self.seen.sessions.append(await stack.enter_async_context(opened))
                tasks += self._tasks_at(depth)
            if tasks:
                await asyncio.wait(tasks)
            for collection in collections:
                collection.cancel()
            # A ledger elsewhere may still be on its way to being told; the session waits for that.
            if not self.seen.lingered and not self.told_ms and self.world.ledger_ms is None:
                self.seen.timers = _armed(loop)
                self.seen.tasks = _others(tasks)
            leaving = ms()
        self.seen.left_ms = ms() - leaving
        await asyncio.sleep(HANG_MS / 1000)
        self.seen.timers += _armed(loop)
        self.seen.tasks += _others([])

    def _tasks_at(self, depth: int) -> list[asyncio.Task[None]]:
        numbers = [number for number, call in enumerate(self.world.calls) if call.depth == depth]
        return [asyncio.get_running_loop().create_task(self._call(number)) for number in numbers]

    async def _call(self, number: int) -> None:
        call = self.world.calls[number]
        loop = asyncio.get_running_loop()
        await asyncio.sleep(call.at_ms / 1000)
        ended = Ended(call)
        # Not by the loop's factory: an eager task would enter the call before it is known whose task it is.
        task = asyncio.Task(self._ask(number, ended), loop=loop)
        self.callers[number] = task
        self.calls[number] = ended

        def cancel() -> None:
            if task.cancel() and ended.cancelled_ms is None:
                ended.cancelled_ms = loop.time() * 1000 - call.at_ms

        timers = [loop.call_later(ms / 1000, cancel) for ms in call.cancelled_ms]
        await asyncio.wait([task])
        for timer in timers:
            timer.cancel()
        ended.at_ms = loop.time() * 1000
        if task.cancelled():
            ended.error = asyncio.CancelledError()
        elif task.exception() is not None:
            ended.error = task.exception()
        else:
            ended.result = task.result()
        self.seen.ended.append(ended)

    async def _ask(self, number: int, ended: Ended) -> object:
        ended.began = True
        try:
            outcome = await self.ask.outcome(number)
        except BaseException as error:
            ended.record = record_of(error)
            raise
        ended.record = outcome.record
        return outcome.value

    async def _provide(self, attempt: Attempt, number: int) -> object:
        place = int(attempt.provider.removeprefix("p"))
        plan = self.world.calls[number].plans[place]
        self.seen.starts += 1
        assert self.seen.starts <= MOST_STARTS, "the engine starts for ever"
        if asyncio.current_task() is self.callers[number]:
            self.calls[number].in_own_task.append(plan)
        self._sample()
        with self._noticing_lingering(plan):
            try:
                return await self._act(attempt, plan, self.world.links[place].usd)
            finally:
                self._sample()

    @contextlib.contextmanager
    def _noticing_lingering(self, plan: Plan) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        try:
            yield
        finally:
            told = self.told_ms.pop(id(asyncio.current_task()), None)
            if told is not None and loop.time() * 1000 - told >= GRACE_MS - 1e-6:
                self.seen.lingered.append(plan)

    async def _act(self, attempt: Attempt, plan: Plan, projected_usd: float) -> object:
        if plan.reports is not None and not plan.reports_at_the_end:
            self._report(attempt, plan.reports, projected_usd)
        try:
            result = await _end(plan)
        except asyncio.CancelledError:
            return await self._stop(plan)
        finally:
            if plan.reports is not None and plan.reports_at_the_end:
                self._report(attempt, plan.reports, projected_usd)
        if plan.end == "cancels_itself":
            raise asyncio.CancelledError
        return result

    async def _stop(self, plan: Plan) -> object:
        loop = asyncio.get_running_loop()
        self.told_ms[id(asyncio.current_task())] = loop.time() * 1000
        match plan.when_cancelled:
            case "obey":
                raise asyncio.CancelledError
            case "clean_up":
                await asyncio.sleep(plan.lingers_ms / 1000)
                raise asyncio.CancelledError
            case "stubborn":
                await _deaf(plan.lingers_ms)
                raise asyncio.CancelledError
            case "stubborn_value":
                await _deaf(plan.lingers_ms)
                return "late"
            case "to_error":
                raise HTTPStatusError(503)
            case "to_fatal":
                raise ScriptedError
            case "to_value":
                return "late"

    def _report(self, attempt: Attempt, cost_usd: float, projected_usd: float) -> None:
        self.seen.over |= cost_usd > projected_usd
        attempt.report_cost(cost_usd)

    def _sample(self) -> None:
        for number, session in enumerate(self.seen.sessions):
            committed = session.spent_usd + session.uncertain_usd + session.reserved_usd
            self.seen.committed.append((number, committed))


async def _end(plan: Plan) -> object:
    seconds = plan.after_ms / 1000
    if "group" in plan.end:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(HANG_MS / 1000))
            group.create_task(_fail(seconds) if plan.end == "group_fails" else asyncio.sleep(HANG_MS / 1000))
    await asyncio.sleep(HANG_MS / 1000 if plan.end == "hang" else seconds)
    match plan.end:
        case "busy":
            raise HTTPStatusError(503)
        case "refused":
            raise ConnectionRefusedError
        case "dropped":
            raise ConnectionResetError
        case "fatal":
            raise ScriptedError
        case "rejected":
            return "rejected"
        case _:
            return "answer"


async def _fail(after_s: float) -> None:
    await asyncio.sleep(after_s)
    raise ConnectionResetError


async def _deaf(for_ms: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + for_ms / 1000
    while loop.time() < until:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(until - loop.time())


def _policy(world: World) -> RoutingPolicy:
    chain = [
        {"provider": f"p{number}", "model": "m", "price": {"request_usd": link.usd}}
        | ({} if link.timeout_ms is None else {"timeout_ms": link.timeout_ms})
        for number, link in enumerate(world.links)
    ]
    failover = {"max_attempts": world.max_attempts, "on_timeout_ms": world.timeout_ms}
    failover["on_error_kinds"] = "any" if world.any_error else None  # type: ignore[assignment]
    latency = {"race_after_ms": world.race_after_ms, "race_width": world.race_width, "deadline_ms": world.deadline_ms}
    budget = {"per_call_usd": world.per_call_usd, "session_usd": world.session_usd, "on_exceed": world.on_exceed}
    parts = {"failover": failover, "latency": latency, "budget": budget}
    set_ones = {name: {key: value for key, value in part.items() if value is not None} for name, part in parts.items()}
    return RoutingPolicy.from_dict({"chain": chain, **set_ones})


def _ledger(world: World) -> Ledger:
    if world.ledger_ms is None:
        return MemoryLedger()
    hold_ms, settle_ms = world.ledger_ms
    return Remote(hold_ms=[hold_ms] * MOST_STARTS * len(world.calls), settle_ms=settle_ms)


def _armed(loop: asyncio.AbstractEventLoop) -> list[asyncio.TimerHandle]:
    return [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]


def _others(known: list[asyncio.Task[None]]) -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task() and task not in known]
