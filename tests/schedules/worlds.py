"""Worlds: what every provider will do, what the policy says, who calls when, and who is cancelled when.

A world is plain data with a ``repr`` that rebuilds it, so that a failure can be pasted into a test. Times come from a
coarse grid, because ties are where engines break; money is in eighths of a dollar, so that sums are exact.
"""

from __future__ import annotations

from typing import Literal

import attrs
from hypothesis import strategies as st

End = Literal[
    "answer", "rejected", "busy", "refused", "dropped", "fatal", "cancels_itself", "hang", "group_fails", "group_hangs"
]
WhenCancelled = Literal["obey", "clean_up", "stubborn", "stubborn_value", "to_error", "to_fatal", "to_value"]

HANG_MS = 40_000
GRACE_MS = 250


@attrs.frozen
class Plan:
    """What one attempt does."""

    after_ms: float = 0
    end: End = "answer"
    when_cancelled: WhenCancelled = "obey"
    lingers_ms: float = 0
    reports: float | None = None
    reports_at_the_end: bool = False

    @property
    def swallows(self) -> bool:
        """Whether a cancellation that it sees may not come out of it."""
        return self.when_cancelled in ("stubborn_value", "to_error", "to_fatal", "to_value") or "group" in self.end


@attrs.frozen
class Link:
    usd: float = 0.125
    timeout_ms: float | None = None


@attrs.frozen
class Call:
    """Who calls: when, from how deep in the sessions, what its attempts will do, and when it is cancelled."""

    plans: tuple[Plan, ...]
    at_ms: float = 0
    depth: int = 0
    cancelled_ms: tuple[float, ...] = ()


@attrs.frozen
class Wallet:
    """A session: its limit, and the name of its tally in the world's ledger."""

    limit_usd: float | None = None
    tally: str | None = None


@attrs.frozen
class World:
    """All there is.

    Attributes:
        ledger_ms: how long the ledger of the tallies takes to answer a hold and a settlement; ``None`` for one that is
            in this process.
        collected_ms: when the garbage collector runs.
    """

    links: tuple[Link, ...]
    calls: tuple[Call, ...]
    wallets: tuple[Wallet, ...] = ()
    race_after_ms: float | None = None
    race_width: int = 2
    max_attempts: int | None = None
    timeout_ms: float | None = None
    deadline_ms: float | None = None
    per_call_usd: float | None = None
    session_usd: float | None = None
    on_exceed: Literal["abort", "skip", "warn"] = "abort"
    any_error: bool = False
    ledger_ms: tuple[float, float] | None = None
    collected_ms: tuple[float, ...] = ()

    @property
    def may_race(self) -> bool:
        """Whether attempts have tasks of their own from the first one on."""
        return self.race_after_ms is not None and len(self.links) > 1 and self.max_attempts != 1


_SOON = [0.0, 0.0, 10.0, 20.0, 50.0, 50.0, 60.0, 100.0, 100.0, 150.0, 200.0, 300.0]
_LATE = [1000.0, 10_000.0]
SOON = st.sampled_from(_SOON)
TIMES = st.sampled_from([*_SOON, *_LATE])
NONZERO_TIMES = st.sampled_from([10.0, 20.0, 50.0, 60.0, 100.0, 100.0, 150.0, 200.0, 300.0, *_LATE])
LINGERS = st.sampled_from([0.0, 10.0, 50.0, 100.0, 240.0, 250.0, 260.0, 1000.0, 10_000.0])
AMOUNTS = st.sampled_from([0.0, 0.125, 0.25, 0.5])
CAPS = st.sampled_from([0.0, 0.125, 0.25, 0.375, 0.5, 1.0, 2.0])

_ANSWERS: list[End] = ["answer", "answer", "answer", "answer", "answer", "rejected"]
_FAILURES: list[End] = ["busy", "busy", "refused", "dropped", "fatal", "cancels_itself", "group_fails"]
_SILENCE: list[End] = ["hang", "hang", "group_hangs"]
ENDS: st.SearchStrategy[End] = st.sampled_from([*_ANSWERS, *_FAILURES, *_SILENCE])
WHEN_CANCELLED: st.SearchStrategy[WhenCancelled] = st.sampled_from(
    ["obey", "obey", "obey", "clean_up", "stubborn", "stubborn_value", "to_error", "to_fatal", "to_value"]
)


PLANS = st.builds(
    Plan,
    after_ms=TIMES,
    end=ENDS,
    when_cancelled=WHEN_CANCELLED,
    lingers_ms=LINGERS,
    reports=st.none() | AMOUNTS,
    reports_at_the_end=st.booleans(),
)
LEDGERS = st.none() | st.tuples(SOON, SOON)
TALLIES = st.none() | st.sampled_from(["day", "team"])


@st.composite
def worlds(draw: st.DrawFn, *, calls: int = 4, racing: bool | None = None) -> World:
    """Any world at all.

    Money, time and cancellation are each left out of half of the worlds: with all three, few attempts live long enough
    to win or to lose anything.
    """
    races = draw(st.sampled_from([True, True, False])) if racing is None else racing
    capped, bounded, cancelling = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    times = st.none() | NONZERO_TIMES if bounded else st.none()
    caps = st.none() | CAPS if capped else st.none()
    links = draw(st.lists(st.builds(Link, usd=AMOUNTS, timeout_ms=times), min_size=2 if races else 1, max_size=4))
    wallets = draw(st.lists(st.builds(Wallet, limit_usd=caps, tally=TALLIES), max_size=3))
    return World(
        links=tuple(links),
        calls=tuple(draw(st.lists(_calls(len(links), len(wallets), cancelling), min_size=1, max_size=calls))),
        wallets=_of_one_mind(wallets),
        race_after_ms=draw(st.sampled_from([0.0, 10.0, 50.0, 50.0, 100.0])) if races else None,
        race_width=draw(st.integers(2, 4)),
        max_attempts=draw(st.none() | st.integers(2 if races else 1, 4)),
        timeout_ms=draw(times),
        deadline_ms=draw(times),
        per_call_usd=draw(caps),
        session_usd=draw(caps) if wallets else None,
        on_exceed=draw(st.sampled_from(["abort", "skip", "warn"])),
        any_error=draw(st.booleans()),
        ledger_ms=draw(LEDGERS) if any(wallet.tally for wallet in wallets) else None,
    )


def _of_one_mind(wallets: list[Wallet]) -> tuple[Wallet, ...]:
    """One tally has one limit, wherever it is entered."""
    limits = {wallet.tally: wallet.limit_usd for wallet in wallets if wallet.tally}
    return tuple(attrs.evolve(wallet, limit_usd=limits.get(wallet.tally, wallet.limit_usd)) for wallet in wallets)


def _calls(links: int, wallets: int, cancelling: bool) -> st.SearchStrategy[Call]:
    moments = st.lists(TIMES | LINGERS, max_size=2).map(lambda times: tuple(sorted(times)))
    return st.builds(
        Call,
        plans=st.tuples(*[PLANS] * links),
        at_ms=SOON,
        depth=st.just(wallets) | st.integers(0, wallets),
        cancelled_ms=st.just(()) | moments if cancelling else st.just(()),
    )
