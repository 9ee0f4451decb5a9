"""The history of a link: when its attempts end, how, and what they cost; and where a latency stands among them.

A Kaplan-Meier curve over ended and cut-off attempts gives every ended attempt its weight. Answers and failures both
end an attempt, so what is drawn is one of the past attempts, with its time, its error and its dollars together.

A backup was only ever seen on requests that were slow at the primary. Where the two latencies depend on each other,
its past attempts are slower than the link is. So a latency's place among them is not its rank at the link: the ranks
that such requests would have (given the primary's) are a mixture of normal distributions, and the place is looked up
in that mixture.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from routeware.lab.replay_past import PastAttempt
from routeware.lab.tune_copula import both_longer, normal_share

__all__ = ["LinkModel", "link_model"]

Floats = npt.NDArray[np.float64]

_GRID = np.linspace(-6.0, 6.0, 1201)
_BOUNDS = 25


@attrs.frozen(eq=False, kw_only=True)
class LinkModel:
    """One link.

    Attributes:
        answers: past attempts that answered, by ascending time.
        failures: past attempts that failed, by ascending time.
        answer_ms: the times of the answers.
        failure_ms: the times of the failures.
        answer_mass: the share of attempts that each answer stands for.
        failure_mass: the share that each failure stands for.
        ends: the normal scores at which the answers' shares end, ascending.
        longest_ms: the longest attempt that was seen, ended or cut off.
        estimate_usd: what an attempt that was cut off was booked at; ``None`` where that is unknown.
    """

    answers: Sequence[PastAttempt]
    failures: Sequence[PastAttempt]
    answer_ms: Floats
    failure_ms: Floats
    answer_mass: Floats
    failure_mass: Floats
    ends: Floats
    longest_ms: float
    estimate_usd: float | None

    def failing_after(self, after_ms: float) -> float:
        """Return the probability that an attempt that has lasted so long fails in the end."""
        failing = float(self.failure_mass[self.failure_ms > after_ms].sum())
        answering = float(self.answer_mass[self.answer_ms > after_ms].sum())
        return failing / (failing + answering) if failing + answering > 0 else 0.0

    def failure_beyond(self, after_ms: float, share: float) -> PastAttempt | None:
        """Return the failure at ``share`` (0 to 1) of those that come after a time; ``None`` if there are none."""
        first = int(np.searchsorted(self.failure_ms, after_ms, side="right"))
        mass = self.failure_mass[first:]
        if not len(mass):
            return None
        place = int(np.searchsorted(np.cumsum(mass), share * mass.sum(), side="right"))
        return self.failures[min(first + place, len(self.failures) - 1)]

    def answer_at(self, score: float) -> PastAttempt | None:
        """Return the answer at a normal score; ``None`` if the link never answered."""
        if not self.answers:
            return None
        return self.answers[min(int(np.searchsorted(self.ends, score)), len(self.answers) - 1)]

    def score_of(self, duration_ms: float) -> float:
        """Return the normal score of a latency: the middle of the shares of answers that took as long."""
        if not self.answers:
            return 0.0
        first = int(np.searchsorted(self.answer_ms, duration_ms, side="left"))
        last = int(np.searchsorted(self.answer_ms, duration_ms, side="right")) - 1
        low = self.ends[first - 1] if first > 0 else -6.0
        high = self.ends[min(max(last, first), len(self.ends) - 1)]
        shares = normal_share(np.array([low, high]))
        return float(np.interp(shares.mean(), normal_share(_GRID), _GRID))

    def score_beyond(self, after_ms: float) -> float:
        """Return the normal score above which answers take longer than a time."""
        place = int(np.searchsorted(self.answer_ms, after_ms, side="right"))
        return float(self.ends[place - 1]) if place > 0 else -6.0


def link_model(attempts: Sequence[PastAttempt], beyond: Sequence[float], correlation: float) -> LinkModel:
    """Return the model of a link.

    Args:
        attempts: its past attempts.
        beyond: for each the normal score above which the attempt was that was in flight when it was started; minus
            infinity where there was none.
        correlation: of the scores.
    """
    order = sorted(range(len(attempts)), key=lambda at: (attempts[at].duration_ms, attempts[at].ending == "cut"))
    mass, left = np.zeros(len(attempts)), 1.0
    for passed, at in enumerate(order):
        if attempts[at].ending != "cut":
            mass[at] = left / (len(order) - passed)
            left -= mass[at]
    answers = [at for at in order if attempts[at].ending == "answered"]
    failures = [at for at in order if attempts[at].ending == "failed"]
    answer_mass = mass[answers]
    # What was cut off behind the last end is not known. It is taken to last as long as the longest that ended.
    if answers:
        answer_mass[-1] += max(left, 0.0)
    answer_ms = np.array([attempts[at].duration_ms for at in answers])
    mixture = _mixture(beyond, correlation)
    estimates = [each.cost_usd for each in attempts if each.estimated and each.cost_usd is not None]
    return LinkModel(
        answers=[attempts[at] for at in answers],
        failures=[attempts[at] for at in failures],
        answer_ms=answer_ms,
        failure_ms=np.array([attempts[at].duration_ms for at in failures]),
        answer_mass=answer_mass,
        failure_mass=mass[failures],
        ends=_ends(answer_mass, mixture),
        longest_ms=max((each.duration_ms for each in attempts), default=0.0),
        estimate_usd=float(np.mean(estimates)) if estimates else None,
    )


def _ends(mass: Floats, mixture: Floats) -> Floats:
    """Return the normal scores at which the shares of answers end."""
    shares = np.cumsum(mass) / mass.sum() if len(mass) else np.zeros(0)
    return np.asarray(np.interp(shares, mixture, _GRID))


def _mixture(beyond: Sequence[float], correlation: float) -> Floats:
    """Return the distribution of scores over the grid, given what was known of the attempts in flight at the start."""
    alone = normal_share(_GRID)
    bounds = np.array([each for each in beyond if np.isfinite(each)])
    if not len(bounds) or correlation == 0.0:
        return alone
    typical = np.quantile(bounds, (np.arange(_BOUNDS) + 0.5) / _BOUNDS)
    later = np.repeat(1.0 - normal_share(typical)[:, None], len(_GRID), axis=1)
    mine = np.repeat(1.0 - alone[None, :], _BOUNDS, axis=0)
    scores = np.repeat(typical[:, None], len(_GRID), axis=1), np.repeat(_GRID[None, :], _BOUNDS, axis=0)
    both = both_longer(later, mine, scores, np.full(_BOUNDS, correlation))
    share = len(bounds) / len(beyond)
    return np.asarray(share * (1.0 - both / np.maximum(later, 1e-12)).mean(axis=0) + (1.0 - share) * alone)
