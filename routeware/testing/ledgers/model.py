"""The questions of the ledger suite to a ledger, and a model ledger in a few lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from random import Random
from uuid import uuid4

from routeware.budget import Balance, Ledger, Tally
from routeware.errors import BudgetExceededError

__all__ = ["Model", "Step", "agrees", "an_id", "fresh", "steps"]


def fresh(limit: int | None = None, name: str = "day") -> Tally:
    """Make a tally that no other test counts in."""
    return Tally(f"{name}/{uuid4().hex}", limit)


def an_id() -> str:
    """As routeware makes them."""
    return uuid4().hex


@dataclass(frozen=True)
class Step:
    """One thing that is asked of a ledger: by which id, in which tallies, with which amounts."""

    id: str
    places: tuple[int, ...]
    held: int | None
    settled: int = 0
    uncertain: int = 0


def steps(chance: Random) -> list[Step]:
    """Draw holds and settlements in any order: of few ids, so that many come twice, late, or without the other."""
    return [_step(chance) for _ in range(chance.randint(0, 12))]


def _step(chance: Random) -> Step:
    id, places = chance.choice("abcd"), chance.choice([(0,), (1,), (0, 1)])
    if chance.random() < 0.5:
        return Step(id, places, chance.randint(0, 60))
    return Step(id, places, None, chance.randint(-20, 60), chance.randint(0, 60))


class Model:
    """A model of a ledger in a few lines: the held and the settled amounts."""

    def __init__(self, limits: Sequence[int | None]) -> None:
        self.limits = limits
        self.sums = [[0, 0, 0] for _ in limits]
        self.held: dict[str, tuple[int, tuple[int, ...]]] = {}
        self.gone: set[str] = set()

    def hold(self, step: Step) -> bool:
        """Hold as ``step`` asks; say whether it is granted."""
        amount = step.held or 0
        if step.id in self.gone or step.id in self.held:
            return True
        for place in step.places:
            limit = self.limits[place]
            if limit is not None and sum(self.sums[place]) + amount > limit:
                return False
        self.held[step.id] = (amount, step.places)
        self._add(step.places, 0, 0, amount)
        return True

    def settle(self, step: Step) -> None:
        """Settle as ``step`` asks."""
        if step.id in self.gone:
            return
        self.gone.add(step.id)
        amount, places = self.held.pop(step.id, (0, step.places))
        self._add(places, step.settled, step.uncertain, -amount)

    def _add(self, places: Sequence[int], *amounts: int) -> None:
        for place in places:
            self.sums[place] = [before + more for before, more in zip(self.sums[place], amounts, strict=True)]


async def agrees(
    opened: Callable[..., AbstractAsyncContextManager[Ledger]], seed: int, limits: Sequence[int | None]
) -> None:
    """Ask a ledger and the model the same, as drawn by ``seed``; fail where they differ."""
    drawn = steps(Random(seed))  # noqa: S311 - to be repeated
    try:
        await _compare(opened, drawn, limits)
    except BaseException as error:
        error.add_note(f"seed {seed}: {drawn}")
        raise


async def _compare(
    opened: Callable[..., AbstractAsyncContextManager[Ledger]], drawn: list[Step], limits: Sequence[int | None]
) -> None:
    tallies, prefix, model = [fresh(limit) for limit in limits], an_id(), Model(limits)
    async with opened(*tallies) as ledger:
        for step in drawn:
            chosen = [tallies[place] for place in step.places]
            if step.held is None:
                model.settle(step)
                await ledger.settle(prefix + step.id, chosen, step.settled, step.uncertain)
            elif model.hold(step):
                await ledger.hold(prefix + step.id, chosen, step.held)
            else:
                try:
                    await ledger.hold(prefix + step.id, chosen, step.held)
                except BudgetExceededError:
                    continue
                raise AssertionError(f"granted, though the model refuses it: {step}")
        for tally, sums in zip(tallies, model.sums, strict=True):
            assert await ledger.tally(tally) == Balance(*sums)
