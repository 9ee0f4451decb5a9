"""Decisions laid out over the draws from 0 to 1, so that deciding is one comparison for nearly every call."""

from __future__ import annotations

from collections.abc import Sequence

from routeware.threshold.facts import Decision, RaceSource
from routeware.threshold.hull import Share

__all__ = ["Choice", "lay_out", "options"]

Option = tuple[float, Decision]
"""A share of the calls, and what they do."""


class Choice:
    """The choice for the calls of one bucket.

    Attributes:
        usual: what most of them do: those whose draw is not below ``below``.
        below: the share of the others.
    """

    __slots__ = ("_others", "below", "usual")

    def __init__(self, others: Sequence[Option], usual: Decision) -> None:
        self.usual, self.below = usual, 0.0
        bounds = []
        for share, decision in others:
            self.below += share
            bounds.append((self.below, decision))
        self._others = tuple(bounds)

    def rare(self, drawn: float) -> Decision:
        """Return the decision for a draw below ``below``."""
        return next(decision for below, decision in self._others if drawn < below)


def lay_out(first: Sequence[Option], then: Sequence[Option]) -> Choice:
    """Return a choice: options of ``first`` have shares of all calls, those of ``then`` have shares of the rest."""
    rest = 1.0 - sum(share for share, _ in first)
    *rarer, (_, usual) = then
    return Choice([*first, *((rest * share, decision) for share, decision in rarer)], usual)


def options(starts: Sequence[Share], source: RaceSource, *, swap: bool, of: float = 1.0) -> list[Option]:
    """Return what the calls of a bucket do, the largest share last."""
    found = [(of * each.share, Decision(each.start_s, source, swap)) for each in starts]
    return sorted(found, key=lambda option: option[0])
