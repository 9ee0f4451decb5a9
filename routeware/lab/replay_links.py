"""The history of a link: when its attempts end, how, and what they cost; and where a latency stands among them.

A Kaplan-Meier curve over ended and cut-off attempts gives every ended attempt its weight. Answers and failures both
end an attempt, so what is drawn is one of the past attempts, with its time, its error and its dollars together.

A backup was only ever seen on requests that were slow at the primary. Where the two latencies depend on each other,
its past attempts are slower than the link is. So a latency's place among them is not its rank at the link: the ranks
that such requests would have (given the primary's) are a mixture of normal distributions, and the place is looked up
in that mixture.

The fate of each attempt of a replayed call: as it was where it was seen to its end, drawn where it was not.

An attempt that was cut off at t is drawn from what its link does after t. One that was never made is drawn from the
link; with a correlation, from what the link does on a request whose ranks at the other links are known.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from routeware.classify import ErrorSnapshot
from routeware.lab.replay_past import PastAttempt, PastCall
from routeware.lab.tune_curves import both_longer, normal_quantile, normal_share, pearson

__all__ = ["Fate", "Fates", "LinkModel", "link_model"]

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


@attrs.frozen(kw_only=True)
class Fate:
    """The end of an attempt that nothing cuts off.

    Attributes:
        duration_ms: how long it takes.
        error: how it fails; ``None`` for an answer.
        cost_usd: what it costs; ``None`` where that is unknown.
        estimated: True if that is a projection.
        measured: True if the attempt was seen to its end.
    """

    duration_ms: float
    error: ErrorSnapshot | None
    cost_usd: float | None
    estimated: bool
    measured: bool


class Fates:
    """The fates of all attempts of past calls.

    Args:
        calls: the past calls.
        spearman: the rank correlation of the latencies of one request at two links.
        seed: of the draws. They depend on the call, the link and the seed alone, so two policies meet the same world.
        learned: the calls that the links are known from, if they are others.
    """

    def __init__(
        self, calls: Sequence[PastCall], spearman: float, seed: int, learned: Sequence[PastCall] | None = None
    ) -> None:
        self._calls = calls
        self._correlation = float(pearson(spearman))
        self._seed = seed
        self._scores: dict[int, dict[str, float]] = {}
        self.models = self._models(calls if learned is None else learned)

    def of(self, call: int, label: str, occurrence: int) -> Fate:
        """Return what the attempt comes to that is the ``occurrence``-th (from 0) of a call at a link."""
        its = [each for each in self._calls[call].attempts if each.label == label]
        past = its[occurrence] if occurrence < len(its) else None
        if past is not None and past.ending != "cut":
            return _fate(past, measured=True)
        model = self.models[label]
        after_ms = 0.0 if past is None else past.duration_ms
        chance = random.Random(f"{self._seed} {call} {label} {occurrence}")
        if past is None:
            after_ms = -1.0
        if chance.random() < model.failing_after(after_ms) or not model.answers:
            failure = model.failure_beyond(after_ms, chance.random())
            if failure is not None:
                return _fate(failure, measured=False)
        score = self._score(call, label) if occurrence == 0 else chance.gauss(0.0, 1.0)
        answer = model.answer_at(score)
        if answer is None or answer.duration_ms <= after_ms:
            # Nothing that was seen lasted longer: it ends as soon as it can.
            last = answer or model.failures[-1]
            longest = max(after_ms, model.longest_ms) + 1.0
            return attrs.evolve(_fate(last, measured=False), duration_ms=longest)
        return _fate(answer, measured=False)

    def estimate_usd(self, call: int, label: str) -> float | None:
        """Return what an attempt that is cut off is booked at: as in this call, else as usual at its link."""
        for each in self._calls[call].attempts:
            if each.label == label and each.estimated and each.cost_usd is not None:
                return each.cost_usd
        model = self.models[label]
        if model.estimate_usd is not None:
            return model.estimate_usd
        costs = [each.cost_usd for each in model.answers if each.cost_usd is not None]
        return float(np.mean(costs)) if costs else None

    def _score(self, call: int, label: str) -> float:
        """Return the score of a latency that was not seen to its end, given those of the call that are known."""
        if call not in self._scores:
            self._scores[call] = self._drawn(call)
        scores = self._scores[call]
        if label not in scores:
            chance = random.Random(f"{self._seed} {call} {label}")
            scores[label] = self._given(list(scores.values()), chance, -np.inf)
        return scores[label]

    def _drawn(self, call: int) -> dict[str, float]:
        """Return the scores of a call's attempts: first those that were seen, then those that were cut off."""
        scores: dict[str, float] = {}
        attempts = self._calls[call].attempts
        for each in attempts:
            if each.ending == "answered" and each.label in self.models:
                scores.setdefault(each.label, self.models[each.label].score_of(each.duration_ms))
        for each in attempts:
            if each.ending == "cut" and each.label in self.models and each.label not in scores:
                chance = random.Random(f"{self._seed} {call} {each.label}")
                beyond = self.models[each.label].score_beyond(each.duration_ms)
                scores[each.label] = self._given(list(scores.values()), chance, beyond)
        return scores

    def _given(self, known: Sequence[float], chance: random.Random, above: float) -> float:
        """Draw a score, given others that are equally correlated with it and each other, and a bound below."""
        return _drawn_score(known, self._correlation, chance.random(), above)

    def _models(self, calls: Sequence[PastCall]) -> dict[str, LinkModel]:
        """Return a model per link: first of the links that were tried first, which nothing selected."""
        by_label: dict[str, list[tuple[PastCall, PastAttempt]]] = {}
        for call in calls:
            for attempt in call.attempts:
                by_label.setdefault(attempt.label, []).append((call, attempt))
        first_share = {label: sum(attempt.first for _, attempt in its) / len(its) for label, its in by_label.items()}
        models: dict[str, LinkModel] = {}
        for label in sorted(by_label, key=lambda each: -first_share[each]):
            beyond = [self._beyond(call, each, models) for call, each in by_label[label]]
            models[label] = link_model([each for _, each in by_label[label]], beyond, self._correlation)
        return models

    def _beyond(self, call: PastCall, attempt: PastAttempt, models: Mapping[str, LinkModel]) -> float:
        """Return the score above which the first attempt was when this one joined it; minus infinity if it did not."""
        if attempt.first or self._correlation == 0.0:
            return -np.inf
        for other in call.attempts:
            in_flight = other.started_ms <= attempt.started_ms < other.started_ms + other.duration_ms
            if other.first and other.label in models and in_flight:
                return models[other.label].score_beyond(attempt.started_ms - other.started_ms)
        return -np.inf


def _drawn_score(known: Sequence[float], correlation: float, uniform: float, above: float) -> float:
    """Return a score above a bound, given ``known`` ones that are equally correlated with it and each other."""
    count = len(known)
    mean, variance = 0.0, 1.0
    if count:
        weight = correlation / (1.0 + (count - 1) * correlation)
        mean, variance = weight * sum(known), 1.0 - count * correlation * weight
    spread = max(variance, 1e-6) ** 0.5
    below = float(normal_share(np.array([(above - mean) / spread]))[0]) if np.isfinite(above) else 0.0
    share = below + uniform * (1.0 - below)
    return float(mean + spread * normal_quantile(np.array([share]))[0])


def _fate(attempt: PastAttempt, *, measured: bool) -> Fate:
    return Fate(
        duration_ms=attempt.duration_ms,
        error=attempt.error if attempt.ending == "failed" else None,
        cost_usd=attempt.cost_usd,
        estimated=attempt.estimated,
        measured=measured,
    )
