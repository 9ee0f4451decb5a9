"""A second opinion: what one call should do, worked out with plain arithmetic and no asyncio at all.

It knows one call with providers that obey their cancellation. Where two things happen at the same moment either order
is right, so it gives up (:class:`TieError`).
"""

from __future__ import annotations

import attrs

from routeware import (
    AttemptTimeoutError,
    BudgetExceededError,
    DeadlineExceededError,
    ProviderCancelledError,
    ResultRejectedError,
)
from tests.fakes.providers import HTTPStatusError
from tests.schedules.stage import ScriptedError
from tests.schedules.worlds import HANG_MS, Plan, World

NEVER = float("inf")
SAME_MS = 1e-3

ANSWERS = ("answer", "hang", "group_hangs")
FREE = ("busy", "refused")
ERRORS: dict[str, type[BaseException]] = {
    "busy": HTTPStatusError,
    "refused": ConnectionRefusedError,
    "dropped": ConnectionResetError,
    "fatal": ScriptedError,
    "cancels_itself": ProviderCancelledError,
    "rejected": ResultRejectedError,
    "group_fails": ExceptionGroup,
    "timeout": AttemptTimeoutError,
}


class TieError(Exception):
    """Two things happen at the same moment."""


class _OverError(Exception):
    """The call has ended."""


@attrs.define
class Flight:
    """An attempt in flight."""

    started_ms: float
    ends_ms: float
    end: str
    usd: float
    reports: float | None


@attrs.define
class Expected:
    """What the call should come to."""

    error: type[BaseException] | None = None
    at_ms: float = 0
    started: dict[int, float] = attrs.field(factory=dict)
    skipped: list[int] = attrs.field(factory=list)
    spent_usd: float = 0


def expected(world: World) -> Expected:
    """The end of the world's only call."""
    model = _Model(world)
    try:
        while True:
            model.step()
    except _OverError:
        return model.result


@attrs.define
class _Model:
    world: World
    result: Expected = attrs.field(factory=Expected)
    now_ms: float = 0
    flying: dict[int, Flight] = attrs.field(factory=dict)
    waiting: list[int] = attrs.field(init=False)
    rings_ms: float = NEVER
    owes_a_start: bool = False
    settles_ms: float = -1
    fatal: type[BaseException] | None = None
    last: type[BaseException] | None = None

    def __attrs_post_init__(self) -> None:
        self.waiting = list(range(len(self.world.links)))

    def step(self) -> None:
        if not self.flying:
            self.start_the_next()
            return
        moments = {place: flight.ends_ms for place, flight in self.flying.items()}
        moments[-1] = self.deadline_ms
        moments[-2] = self.rings_ms if self.may_start else NEVER
        (first, at_ms), (_, second_ms), *_ = sorted(moments.items(), key=lambda item: item[1])
        if second_ms - at_ms < SAME_MS:
            raise TieError
        self.now_ms = at_ms
        if first == -1:
            self.over(DeadlineExceededError)
        elif first == -2:
            self.ring()
        else:
            self.land(first)

    @property
    def deadline_ms(self) -> float:
        return NEVER if self.world.deadline_ms is None else self.world.deadline_ms

    @property
    def may_start(self) -> bool:
        most = self.world.max_attempts or len(self.world.links)
        return self.fatal is None and bool(self.waiting) and len(self.result.started) < most

    def start_the_next(self) -> None:
        """Nothing is in flight: the ordinary failover."""
        if self.fatal is not None:
            self.over(self.fatal)
        if not self.may_start:
            self.over(self.last or BudgetExceededError)
        if abs(self.now_ms - self.deadline_ms) < SAME_MS:
            raise TieError
        if self.fits(self.waiting[0]):
            self.start()
        elif self.world.on_exceed == "skip":
            self.result.skipped.append(self.waiting.pop(0))
        else:
            self.over(BudgetExceededError)

    def ring(self) -> None:
        self.rings_ms = NEVER
        if len(self.flying) < self.world.race_width:
            self.start_a_backup()
        else:
            self.owes_a_start = True

    def start_a_backup(self) -> None:
        self.owes_a_start, self.rings_ms = False, NEVER
        if self.fits(self.waiting[0]):
            self.start()

    def fits(self, place: int) -> bool:
        if self.settles_ms == self.now_ms and self.world.may_race:
            # A start does not wait for what has just timed out: its projection may be set aside still, or no more.
            raise TieError
        caps = [self.world.per_call_usd, *(wallet.limit_usd for wallet in self.world.wallets)]
        if self.world.on_exceed == "warn":
            caps = caps[1:]
        committed = self.result.spent_usd + sum(flight.usd for flight in self.flying.values())
        return all(cap is None or committed + self.world.links[place].usd <= cap for cap in caps)

    def start(self) -> None:
        place = self.waiting.pop(0)
        link, plan = self.world.links[place], self.world.calls[0].plans[place]
        self.result.started[place] = self.now_ms
        timeout_ms = self.world.timeout_ms if link.timeout_ms is None else link.timeout_ms
        ends, end = self.now_ms + lasts(plan), plan.end
        if timeout_ms is not None:
            rings = self.now_ms + timeout_ms
            if abs(rings - ends) < SAME_MS:
                raise TieError
            ends, end = min((ends, end), (rings, "timeout"))  # type: ignore[assignment]
        self.flying[place] = Flight(self.now_ms, ends, end, link.usd, plan.reports)
        self.owes_a_start = False
        self.rings_ms = NEVER if self.world.race_after_ms is None else self.now_ms + self.world.race_after_ms

    def land(self, place: int) -> None:
        flight = self.flying.pop(place)
        if flight.end == "timeout" and flight.reports not in (None, flight.usd):
            self.settles_ms = self.now_ms
        self.book(flight, free=flight.end in FREE)
        if flight.end in ANSWERS:
            self.over(None)
        self.last = ERRORS[flight.end]
        if flight.end == "fatal" and not self.world.any_error and self.fatal is None:
            self.fatal = self.last
        if self.owes_a_start and self.flying and self.may_start:
            self.start_a_backup()

    def book(self, flight: Flight, *, free: bool) -> None:
        unsaid = 0 if free else flight.usd
        self.result.spent_usd += unsaid if flight.reports is None else flight.reports

    def over(self, error: type[BaseException] | None) -> None:
        for flight in self.flying.values():
            self.book(flight, free=False)
        self.result.error, self.result.at_ms = error, self.now_ms
        raise _OverError


def lasts(plan: Plan) -> float:
    """How long an attempt takes that nobody disturbs."""
    if plan.end == "group_hangs":
        return HANG_MS + plan.after_ms
    return HANG_MS if plan.end == "hang" else plan.after_ms
