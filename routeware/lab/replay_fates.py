"""Past calls, and the fate of each attempt of a replayed one: as it was where it was seen to its end, else drawn.

An attempt that was cut off at t is drawn from what its link does after t. One that was never made is drawn from the
link; with a correlation, from what the link does on a request whose ranks at the other links are known.

A Kaplan-Meier curve over ended and cut-off attempts gives every ended attempt its weight. Answers and failures both
end an attempt, so what is drawn is one of the past attempts, with its time, its error and its dollars together.

A backup was only ever seen on requests that were slow at the primary. Where the two latencies depend on each other,
its past attempts are slower than the link is. So a latency's place among them is not its rank at the link: the ranks
that such requests would have (given the primary's) are a mixture of normal distributions, and the place is looked up
in that mixture.

A stream's call is over when its first item is there: that is what is raced for. The outcome of the stream afterwards is
the winner's alone, whatever the policy.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import attrs
import numpy as np
import numpy.typing as npt

from routeware.classify import ErrorSnapshot
from routeware.errors import ErrorCategory
from routeware.lab.calls import AttemptBar, CallTree
from routeware.lab.tune_curves import both_longer, normal_quantile, normal_share, pearson
from routeware.records import AttemptRecord, AttemptStatus, AttemptTrigger, CallRecord

__all__ = ["Fates", "LinkModel", "PastAttempt", "PastCall", "past_calls"]

Floats = npt.NDArray[np.float64]

_GRID = np.linspace(-6.0, 6.0, 1201)
_BOUNDS = 25
_OWN_TIMEOUT = "AttemptTimeoutError"
_CATEGORIES = {category.value: category for category in ErrorCategory}

Ending = Literal["answered", "failed", "cut"]


@attrs.frozen(kw_only=True)
class PastAttempt:
    """One attempt of a past call; a ``cut`` one would have gone on. An ``estimated`` cost is a projection."""

    label: str
    first: bool
    started_ms: float
    duration_ms: float
    ending: Ending
    error: ErrorSnapshot | None
    cost_usd: float | None
    estimated: bool


@attrs.frozen(kw_only=True)
class PastCall:
    """A past call; what is not known of it is ``None``, and skipped links are left out."""

    started_unix_s: float | None
    outcome: str | None
    duration_ms: float
    cost_usd: float | None
    uncertain_usd: float | None
    attempts: tuple[PastAttempt, ...]


def past_calls(calls: Iterable[CallRecord | CallTree]) -> list[PastCall]:
    """Return what is known of each call."""
    return [_of_record(call) if isinstance(call, CallRecord) else _of_tree(call) for call in calls]


def _of_record(call: CallRecord) -> PastCall:
    return PastCall(
        started_unix_s=call.started_unix_s,
        outcome=call.outcome if call.first_item_ms is None else "succeeded",
        duration_ms=call.duration_ms if call.first_item_ms is None else call.first_item_ms,
        cost_usd=call.cost_usd,
        uncertain_usd=call.uncertain_usd,
        attempts=tuple(
            _attempt(each, each.status, each.error, "" if each.error is None else each.error.message)
            for each in call.attempts
            if each.status is not AttemptStatus.SKIPPED
        ),
    )


def _of_tree(call: CallTree) -> PastCall:
    first_items = [bar.started_ms + bar.first_item_ms for bar in call.attempts if bar.first_item_ms is not None]
    return PastCall(
        started_unix_s=None if call.started_at_ms is None else call.started_at_ms / 1000,
        outcome="succeeded" if first_items else call.outcome,
        duration_ms=min(first_items, default=call.duration_ms),
        cost_usd=call.cost_usd,
        uncertain_usd=call.uncertain_usd,
        attempts=tuple(
            _attempt(bar, bar.status, _error_of(bar), bar.error_type or "")
            for bar in call.attempts
            if bar.status is not None and bar.status is not AttemptStatus.SKIPPED
        ),
    )


def _error_of(bar: AttemptBar) -> ErrorSnapshot | None:
    if bar.status is not AttemptStatus.FAILED:
        return None
    return ErrorSnapshot(
        category=_CATEGORIES.get(bar.error_category or "", ErrorCategory.GENERIC),
        message=bar.error_category or "",
        status=bar.error_status,
        retry_after_ms=bar.retry_after_ms,
        may_have_cost=bar.cost_usd is None or bar.uncertain,
    )


def _attempt(
    attempt: AttemptRecord | AttemptBar, status: AttemptStatus, error: ErrorSnapshot | None, kind: str
) -> PastAttempt:
    if attempt.first_item_ms is not None and status is not AttemptStatus.REJECTED:
        ending: Ending = "answered"
    else:
        ending = _ending(status, error, kind)
    if status is AttemptStatus.REJECTED and error is None:
        # The answer came, so it may have cost.
        error = ErrorSnapshot(category=ErrorCategory.REJECTED, message="rejected")
    return PastAttempt(
        label=attempt.label,
        first=attempt.trigger is AttemptTrigger.INITIAL,
        started_ms=attempt.started_ms,
        duration_ms=attempt.duration_ms if attempt.first_item_ms is None else attempt.first_item_ms,
        ending=ending,
        error=error if ending == "failed" else None,
        cost_usd=attempt.cost_usd,
        estimated=attempt.cost_source == "estimated",
    )


def _ending(status: AttemptStatus, error: ErrorSnapshot | None, kind: str) -> Ending:
    """Return how an attempt ended. A time-out of ours cut it off; a client's own, and an answered 408, are failures."""
    if status is AttemptStatus.SUCCEEDED:
        return "answered"
    if status in (AttemptStatus.RACE_LOST, AttemptStatus.CANCELLED):
        return "cut"
    if status is AttemptStatus.FAILED and error is not None and error.category is ErrorCategory.TIMEOUT:
        unknown = not kind.strip() or kind == ErrorCategory.TIMEOUT
        if error.status is None and (_OWN_TIMEOUT in kind or unknown):
            return "cut"
    return "failed"


class LinkModel:
    """What is known of one link from its past attempts.

    ``beyond`` is for each of them the normal score above which the attempt was that was in flight when it was started;
    minus infinity where there was none.
    """

    def __init__(self, attempts: Sequence[PastAttempt], beyond: Sequence[float], correlation: float) -> None:
        ordered = sorted(attempts, key=lambda each: (each.duration_ms, each.ending == "cut"))
        mass, left = np.zeros(len(ordered)), 1.0
        for passed, each in enumerate(ordered):
            if each.ending != "cut":
                mass[passed] = left / (len(ordered) - passed)
                left -= mass[passed]
        self.answers, self._answer_ms, self._answer_mass = _ended(ordered, mass, "answered")
        self.failures, self._failure_ms, self._failure_mass = _ended(ordered, mass, "failed")
        if self.answers:
            # What was cut off behind the last end is not known. It is taken to last as long as the longest that ended.
            self._answer_mass[-1] += max(left, 0.0)
        shares = np.cumsum(self._answer_mass) / self._answer_mass.sum() if self.answers else np.zeros(0)
        # The normal scores at which the shares of the answers end.
        self._ends = np.interp(shares, _mixture(beyond, correlation), _GRID)
        self.longest_ms = max((each.duration_ms for each in attempts), default=0.0)
        costs = [each.cost_usd for each in attempts if each.estimated and each.cost_usd is not None]
        costs = costs or [each.cost_usd for each in self.answers if each.cost_usd is not None]
        # What an attempt that is cut off is usually booked at.
        self.estimate_usd = float(np.mean(costs)) if costs else None

    def failing_after(self, after_ms: float) -> float:
        """Return the probability that an attempt that has lasted so long fails in the end."""
        failing = float(self._failure_mass[self._failure_ms > after_ms].sum())
        answering = float(self._answer_mass[self._answer_ms > after_ms].sum())
        return failing / (failing + answering) if failing + answering > 0 else 0.0

    def failure_beyond(self, after_ms: float, share: float) -> PastAttempt | None:
        """Return the failure at ``share`` (0 to 1) of those that come after a time; ``None`` if there are none."""
        first = int(np.searchsorted(self._failure_ms, after_ms, side="right"))
        mass = self._failure_mass[first:]
        if not len(mass):
            return None
        place = int(np.searchsorted(np.cumsum(mass), share * mass.sum(), side="right"))
        return self.failures[min(first + place, len(self.failures) - 1)]

    def answer_at(self, score: float) -> PastAttempt | None:
        """Return the answer at a normal score; ``None`` if the link never answered."""
        if not self.answers:
            return None
        return self.answers[min(int(np.searchsorted(self._ends, score)), len(self.answers) - 1)]

    def score_of(self, duration_ms: float) -> float:
        """Return the normal score of a latency: the middle of the shares of answers that took as long."""
        if not self.answers:
            return 0.0
        first = int(np.searchsorted(self._answer_ms, duration_ms, side="left"))
        last = int(np.searchsorted(self._answer_ms, duration_ms, side="right")) - 1
        low = self._ends[first - 1] if first > 0 else -6.0
        high = self._ends[min(max(last, first), len(self._ends) - 1)]
        shares = normal_share(np.array([low, high]))
        return float(np.interp(shares.mean(), normal_share(_GRID), _GRID))

    def score_beyond(self, after_ms: float) -> float:
        """Return the normal score above which answers take longer than a time."""
        place = int(np.searchsorted(self._answer_ms, after_ms, side="right"))
        return float(self._ends[place - 1]) if place > 0 else -6.0


def _ended(ordered: Sequence[PastAttempt], mass: Floats, ending: str) -> tuple[list[PastAttempt], Floats, Floats]:
    places = [place for place, each in enumerate(ordered) if each.ending == ending]
    found = [ordered[place] for place in places]
    return found, np.array([each.duration_ms for each in found]), mass[places]


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


class Fates:
    """The fates of all attempts of past calls.

    Draws depend on the call, the link and the seed alone, so two policies meet the same world. The links are known from
    ``learned`` where that is given, else from the same calls.
    """

    def __init__(
        self, calls: Sequence[PastCall], spearman: float, seed: int, learned: Sequence[PastCall] | None = None
    ) -> None:
        self._calls = calls
        self._correlation = float(pearson(spearman))
        self._seed = seed
        self._scores: dict[int, dict[str, float]] = {}
        self.models = self._models(calls if learned is None else learned)

    def of(self, call: int, label: str, occurrence: int) -> tuple[PastAttempt, bool]:
        """Return the fate of a call's attempt at a link, the ``occurrence``-th (from 0) there.

        It is a past attempt that ends as this one does where nothing cuts it off; True if it is this one itself.
        """
        its = [each for each in self._calls[call].attempts if each.label == label]
        past = its[occurrence] if occurrence < len(its) else None
        if past is not None and past.ending != "cut":
            return past, True
        model = self.models[label]
        after_ms = -1.0 if past is None else past.duration_ms
        chance = random.Random(f"{self._seed} {call} {label} {occurrence}")
        if chance.random() < model.failing_after(after_ms) or not model.answers:
            failure = model.failure_beyond(after_ms, chance.random())
            if failure is not None:
                return failure, False
        score = self._score(call, label) if occurrence == 0 else chance.gauss(0.0, 1.0)
        answer = model.answer_at(score)
        if answer is None or answer.duration_ms <= after_ms:
            # Nothing that was seen lasted longer: it ends as soon as it can.
            longest = max(after_ms, model.longest_ms) + 1.0
            return attrs.evolve(answer or model.failures[-1], duration_ms=longest), False
        return answer, False

    def estimate_usd(self, call: int, label: str) -> float | None:
        """Return what an attempt that is cut off is booked at: as in this call, else as usual at its link."""
        for each in self._calls[call].attempts:
            if each.label == label and each.estimated and each.cost_usd is not None:
                return each.cost_usd
        return self.models[label].estimate_usd

    def _score(self, call: int, label: str) -> float:
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
        attempts = [each for each in self._calls[call].attempts if each.label in self.models]
        for each in attempts:
            if each.ending == "answered":
                scores.setdefault(each.label, self.models[each.label].score_of(each.duration_ms))
        for each in attempts:
            if each.ending == "cut" and each.label not in scores:
                chance = random.Random(f"{self._seed} {call} {each.label}")
                beyond = self.models[each.label].score_beyond(each.duration_ms)
                scores[each.label] = self._given(list(scores.values()), chance, beyond)
        return scores

    def _given(self, known: Sequence[float], chance: random.Random, above: float) -> float:
        """Draw a score above a bound, given ``known`` ones that are equally correlated with it and each other."""
        mean, variance = 0.0, 1.0
        if known:
            weight = self._correlation / (1.0 + (len(known) - 1) * self._correlation)
            mean, variance = weight * sum(known), 1.0 - len(known) * self._correlation * weight
        spread = max(variance, 1e-6) ** 0.5
        below = float(normal_share(np.array([(above - mean) / spread]))[0]) if np.isfinite(above) else 0.0
        share = below + chance.random() * (1.0 - below)
        return float(mean + spread * normal_quantile(np.array([share]))[0])

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
            models[label] = LinkModel([each for _, each in by_label[label]], beyond, self._correlation)
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
