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

    @property
    def may_race(self) -> bool:
        """Whether attempts have tasks of their own from the first one on."""
        return self.race_after_ms is not None and len(self.links) > 1 and self.max_attempts != 1


TIMES = st.sampled_from([0.0, 0.0, 10.0, 20.0, 50.0, 50.0, 60.0, 100.0, 100.0, 150.0, 200.0, 300.0, 1000.0, 10_000.0])
LINGERS = st.sampled_from([0.0, 10.0, 50.0, 100.0, 240.0, 250.0, 260.0, 1000.0, 10_000.0])
AMOUNTS = st.sampled_from([0.0, 0.125, 0.25, 0.5])
CAPS = st.sampled_from([0.0, 0.125, 0.25, 0.375, 0.5, 1.0, 2.0])

_ANSWERS: list[End] = ["answer", "answer", "answer", "rejected"]
_FAILURES: list[End] = ["busy", "busy", "refused", "dropped", "fatal", "cancels_itself", "group_fails"]
_SILENCE: list[End] = ["hang", "group_hangs"]
ENDS: st.SearchStrategy[End] = st.sampled_from([*_ANSWERS, *_FAILURES, *_SILENCE])
WHEN_CANCELLED: st.SearchStrategy[WhenCancelled] = st.sampled_from(
    ["obey", "obey", "obey", "clean_up", "stubborn", "stubborn_value", "to_error", "to_fatal", "to_value"]
)


def _plans() -> st.SearchStrategy[Plan]:
    return st.builds(
        Plan,
        after_ms=TIMES,
        end=ENDS,
        when_cancelled=WHEN_CANCELLED,
        lingers_ms=LINGERS,
        reports=st.none() | AMOUNTS,
        reports_at_the_end=st.booleans(),
    )


@st.composite
def worlds(draw: st.DrawFn, *, calls: int = 4) -> World:
    """Any world at all."""
    links = tuple(draw(st.lists(st.builds(Link, usd=AMOUNTS, timeout_ms=st.none() | TIMES.filter(bool)), **_few(4))))
    wallets = tuple(draw(st.lists(_wallets(), max_size=3)))
    # One tally has one limit, wherever it is entered.
    limits = {wallet.tally: wallet.limit_usd for wallet in wallets if wallet.tally}
    wallets = tuple(attrs.evolve(wallet, limit_usd=limits.get(wallet.tally, wallet.limit_usd)) for wallet in wallets)
    return World(
        links=links,
        calls=tuple(draw(st.lists(_calls(len(links), len(wallets)), **_few(calls)))),
        wallets=tuple(
            attrs.evolve(wallet, limit_usd=limits[wallet.tally]) if wallet.tally else wallet for wallet in wallets
        ),
        race_after_ms=draw(st.none() | st.sampled_from([0.0, 10.0, 50.0, 50.0, 100.0])),
        race_width=draw(st.integers(2, 4)),
        max_attempts=draw(st.none() | st.integers(1, 4)),
        timeout_ms=draw(st.none() | st.sampled_from([10.0, 50.0, 100.0, 200.0, 1000.0])),
        deadline_ms=draw(st.none() | st.sampled_from([50.0, 100.0, 150.0, 300.0, 2000.0])),
        per_call_usd=draw(st.none() | CAPS),
        session_usd=draw(st.none() | CAPS) if wallets else None,
        on_exceed=draw(st.sampled_from(["abort", "skip", "warn"])),
        any_error=draw(st.booleans()),
    )


def _few(most: int) -> dict[str, int]:
    return {"min_size": 1, "max_size": most}


def _wallets() -> st.SearchStrategy[Wallet]:
    return st.builds(Wallet, limit_usd=st.none() | CAPS, tally=st.none() | st.sampled_from(["day", "team"]))


def _calls(links: int, wallets: int) -> st.SearchStrategy[Call]:
    return st.builds(
        Call,
        plans=st.tuples(*[_plans()] * links),
        at_ms=TIMES.filter(lambda ms: ms <= 300),
        depth=st.just(wallets) | st.integers(0, wallets),
        cancelled_ms=st.just(()) | st.lists(TIMES | LINGERS, max_size=2).map(lambda times: tuple(sorted(times))),
    )
