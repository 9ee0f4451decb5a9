"""The engine and a model without asyncio agree: who starts when, what comes out, when, and for how much."""

from __future__ import annotations

import attrs
from hypothesis import assume, event, given

from tests.schedules.model import Expected, TieError, expected
from tests.schedules.promises import check, cost_of, more, without_ties
from tests.schedules.stage import Seen, perform
from tests.schedules.worlds import World, worlds


@more
@given(world=worlds(calls=1))
def test_the_engine_does_what_the_model_says(world: World) -> None:
    """Exactly, wherever no two things happen at the same moment."""
    world = of_one_obedient_call(world)
    try:
        model = expected(world)
    except TieError:
        assume(False)

    seen = perform(world)

    check(world, seen)
    compare(model, seen)
    event(f"{model.error.__name__ if model.error else 'answer'} after {len(model.started)}")


def of_one_obedient_call(world: World) -> World:
    """The part of a world that the model knows: under `warn` a session's own limit is left out."""
    call = world.calls[0]
    plans = tuple(attrs.evolve(plan, when_cancelled="obey", lingers_ms=0) for plan in call.plans)
    wallets = () if world.on_exceed == "warn" else tuple(attrs.evolve(w, tally=None) for w in world.wallets)
    call = attrs.evolve(call, plans=plans, at_ms=0, cancelled_ms=(), depth=len(wallets))
    return without_ties(attrs.evolve(world, calls=(call,), wallets=wallets, session_usd=None))


def compare(model: Expected, seen: Seen) -> None:
    """All that the model says."""
    (ended,) = seen.ended
    record = ended.record
    assert record is not None
    started = {int(a.provider[1:]): round(a.started_ms, 3) for a in record.attempts if str(a.status) != "skipped"}
    assert (None if ended.error is None else type(ended.error)) is model.error
    assert started == {place: round(ms, 3) for place, ms in model.started.items()}
    assert [int(a.provider[1:]) for a in record.attempts if str(a.status) == "skipped"] == model.skipped
    assert round(ended.at_ms, 3) == round(model.at_ms, 3)
    assert cost_of(record) == round(model.spent_usd * 1e9)
