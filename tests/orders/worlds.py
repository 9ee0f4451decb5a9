"""Small worlds in which as much as possible falls into one turn of the loop, and random larger ones.

Everything interesting happens 50 ms after the start: there the order in which callbacks run is all that decides.
"""

from __future__ import annotations

import random

import attrs

from tests.schedules.worlds import Call, Link, Plan, Wallet, World

__all__ = ["WORLDS", "drawn_world"]

_ANSWERS, _BUSY, _HANGS = Plan(50), Plan(50, "busy"), Plan(0, "hang")
_CHEAP = Link(0.125)
_TIMED = Link(0.125, timeout_ms=50)


def _of(*plans: Plan, depth: int = 0, cancelled_ms: tuple[float, ...] = (), at_ms: float = 0) -> Call:
    return Call(plans, at_ms=at_ms, depth=depth, cancelled_ms=cancelled_ms)


_DAY = (Wallet(0.25, "day"),)

WORLDS: dict[str, World] = {
    "a failover, cancelled as it starts": World((_CHEAP, _CHEAP), (_of(_BUSY, _ANSWERS, cancelled_ms=(50,)),)),
    "an answer, cancelled twice": World((_CHEAP, _CHEAP), (_of(_ANSWERS, _ANSWERS, cancelled_ms=(50, 50)),)),
    "an answer at its time-out": World((_TIMED, _CHEAP), (_of(_ANSWERS, Plan(0)),)),
    "a time-out, cancelled": World((_TIMED, _CHEAP), (_of(_HANGS, _ANSWERS, cancelled_ms=(50,)),)),
    "an answer as the backup is due": World((_CHEAP, _CHEAP), (_of(_ANSWERS, Plan(0)),), race_after_ms=50),
    "a failure as the backup is due, cancelled": World(
        (_CHEAP, _CHEAP), (_of(_BUSY, Plan(0), cancelled_ms=(50,)),), race_after_ms=50
    ),
    "two answers of a race": World((_CHEAP, _CHEAP), (_of(Plan(60), Plan(10)),), race_after_ms=50),
    "a race, cancelled as it is won": World(
        (_CHEAP, _CHEAP), (_of(Plan(60), Plan(10), cancelled_ms=(60,)),), race_after_ms=50
    ),
    "a race of three that fail at once": World(
        (_CHEAP,) * 3, (_of(Plan(60, "busy"), Plan(40, "busy"), Plan(20, "dropped")),), race_after_ms=20, race_width=3
    ),
    "a loser that cleans up, cancelled": World(
        (_CHEAP, _CHEAP),
        (_of(Plan(0, "hang", "clean_up", 100), Plan(10), cancelled_ms=(60, 110)),),
        race_after_ms=50,
    ),
    "a loser that ignores its cancellation": World(
        (_CHEAP, _CHEAP), (_of(Plan(0, "hang", "stubborn_value", 250), Plan(10)),), race_after_ms=50
    ),
    "an answer at the deadline, in a race": World(
        (_CHEAP, _CHEAP), (_of(_ANSWERS, Plan(40)),), race_after_ms=10, deadline_ms=50
    ),
    "time-out, deadline and race at once": World(
        (_TIMED, _CHEAP), (_of(_HANGS, _ANSWERS, cancelled_ms=(50,)),), race_after_ms=50, deadline_ms=50
    ),
    "a rejected answer and a race": World((_CHEAP, _CHEAP), (_of(Plan(60, "rejected"), Plan(10)),), race_after_ms=50),
    "two calls under one cap": World(
        (_CHEAP, _CHEAP), (_of(_ANSWERS, _ANSWERS, depth=1), _of(_BUSY, _ANSWERS, depth=1)), _DAY, race_after_ms=50
    ),
    "two calls under one cap, one cancelled": World(
        (_CHEAP, _CHEAP),
        (_of(_ANSWERS, _ANSWERS, depth=1), _of(_BUSY, _ANSWERS, depth=1, cancelled_ms=(50,))),
        _DAY,
        on_exceed="skip",
    ),
    "a remote ledger, a failover": World((_CHEAP, _CHEAP), (_of(_BUSY, _ANSWERS, depth=1),), _DAY, ledger_ms=(10, 10)),
    "a remote ledger, cancelled as it grants": World(
        (_CHEAP, _CHEAP), (_of(_ANSWERS, _ANSWERS, depth=1, cancelled_ms=(10,)),), _DAY, ledger_ms=(10, 0)
    ),
    "a remote ledger that grants a backup as the answer comes": World(
        (_CHEAP, _CHEAP), (_of(_ANSWERS, Plan(10), depth=1),), _DAY, race_after_ms=30, ledger_ms=(10, 10)
    ),
    "a remote ledger, a race, cancelled": World(
        (_CHEAP, _CHEAP),
        (_of(Plan(60), Plan(10), depth=1, cancelled_ms=(60,)),),
        _DAY,
        race_after_ms=30,
        ledger_ms=(10, 10),
    ),
    "a remote ledger, the deadline as it grants": World(
        (_CHEAP, _CHEAP), (_of(_BUSY, _ANSWERS, depth=1),), _DAY, deadline_ms=70, ledger_ms=(10, 10)
    ),
    "a collection as a race is won": World(
        (_CHEAP, _CHEAP),
        (_of(Plan(60), Plan(10), depth=1, cancelled_ms=(60,)),),
        _DAY,
        race_after_ms=50,
        collected_ms=(60,),
    ),
}


def drawn_world(seed: int) -> World:
    """A larger world: up to four calls and links, everything on a grid of 25 ms, so that much falls together."""
    drawn = random.Random(seed)

    def ms(most: int = 4) -> float:
        return 25.0 * drawn.randint(0, most)

    def maybe(value: object) -> object:
        return value if drawn.random() < 0.4 else None

    links = drawn.randint(2, 4)
    ends = ["answer"] * 3 + ["busy", "busy", "dropped", "fatal", "hang", "rejected", "cancels_itself", "group_fails"]
    stops = ["obey"] * 3 + ["clean_up", "stubborn", "stubborn_value", "to_error", "to_value"]

    def plan() -> Plan:
        end, stop = drawn.choice(ends), drawn.choice(stops)
        return Plan(ms(), end, stop, drawn.choice([0.0, 25.0, 250.0, 1000.0]), maybe(drawn.choice([0.0, 0.25])))  # type: ignore[arg-type]

    wallets = tuple(Wallet(maybe(drawn.choice([0.25, 0.5, 1.0])), tally) for tally in drawn.choice(_TALLIES))  # type: ignore[arg-type]
    calls = tuple(
        Call(
            tuple(plan() for _ in range(links)),
            at_ms=ms(2),
            depth=drawn.randint(0, len(wallets)),
            cancelled_ms=tuple(sorted(ms(6) for _ in range(drawn.choice([0, 0, 1, 2])))),
        )
        for _ in range(drawn.randint(1, 4))
    )
    world = World(
        tuple(Link(drawn.choice([0.125, 0.25]), maybe(ms() + 25)) for _ in range(links)),  # type: ignore[arg-type]
        calls,
        wallets,
        race_after_ms=maybe(ms(2)),  # type: ignore[arg-type]
        race_width=drawn.randint(2, 3),
        max_attempts=maybe(drawn.randint(2, 4)),  # type: ignore[arg-type]
        deadline_ms=maybe(ms(6) + 25),  # type: ignore[arg-type]
        per_call_usd=maybe(drawn.choice([0.25, 0.5])),  # type: ignore[arg-type]
        on_exceed=drawn.choice(["abort", "skip", "warn"]),  # type: ignore[arg-type]
        any_error=drawn.random() < 0.5,
        ledger_ms=maybe((ms(2), ms(2))),  # type: ignore[arg-type]
        collected_ms=tuple(ms() for _ in range(drawn.randint(0, 1))),
    )
    return _with_one_limit_each(world)


_TALLIES: list[tuple[str | None, ...]] = [(), (None,), ("day",), ("day", None), ("day", "day"), ("team", "day")]


def _with_one_limit_each(world: World) -> World:
    """Give each tally one limit, wherever it is entered."""
    limits = {wallet.tally: wallet.limit_usd for wallet in world.wallets if wallet.tally}
    same = (attrs.evolve(one, limit_usd=limits.get(one.tally, one.limit_usd)) for one in world.wallets)
    return attrs.evolve(world, wallets=tuple(same))
