"""From observations to decisions: one comparison per call, and a new fit now and then.

A learner belongs to one policy of one decorated function; the windows that it learns from belong to the links, and
outlive it. Time and chance come from outside.
"""

from __future__ import annotations

import math
import random
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from operator import itemgetter
from typing import TypeVar

from routeware.policy import LatencyRules, Link, RoutingPolicy
from routeware.threshold.buckets import Buckets, find_buckets
from routeware.threshold.feedback import KEPT_AFTER_CHANGE, Feedback, has_slowed, is_out
from routeware.threshold.grid import STEPS, WindowCounts
from routeware.threshold.hull import Share
from routeware.threshold.report import (
    LatencyReport,
    Notices,
    bucket_reports,
    earliest,
    link_report,
    ms,
)
from routeware.threshold.rule import Bucket, Decision, Fit, RaceSource, fit, goal_of, prior
from routeware.threshold.window import KEPT, LinkHistory, Size, Window

__all__ = ["BACKUPS_KEPT", "BACKUP_AGE_S", "Learner", "LearnerCache"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_Option = tuple[float, Decision]
"""A share of the calls, and what they do."""

_Choice = tuple[float, Decision, tuple[_Option, ...]]
"""What the calls of a bucket do: those whose draw is not below the first; and what the others do, by upper bounds."""

BACKUP_AGE_S = 3600.0
"""The time for which a backup's attempts are kept, apart from the latest ``BACKUPS_KEPT``."""

BACKUPS_KEPT = 60
"""A backup's attempts that age does not forget: a function that is called every ten minutes would have none."""

_FEW_BACKUPS = 20
_REFIT_EVERY = 64
_EARLY_REFITS = (30, 60, 90)
_BUCKETS_EVERY = 512
_PROBES = 0.1
_CAUTION = 10
# A policy that is made up at every call must not fill the memory.
_MOST_LINKS = 64
_MOST_LEARNERS = 16


class Learner:
    """Finds when backups have to start to meet a target, from attempts as they end.

    Args:
        rules: a policy's, with a target.
        histories: what is remembered of the chain's links, in its order; two at least.
        random: draws from 0 to 1, 1 excluded.
        by_size: whether requests of different size may start their backups at different times.

    Attributes:
        by_size: whether it wants to know the sizes of requests.
        histories: where ended attempts are to be added, before :meth:`call_ended`.

    Raises:
        ValueError: there is no target, or no link to race with.
    """

    def __init__(
        self,
        rules: LatencyRules,
        histories: Sequence[LinkHistory],
        random: Callable[[], float],
        *,
        by_size: bool = False,
    ) -> None:
        self._goal = goal_of(rules)
        if len(histories) < 2:
            raise ValueError("a threshold can be learned for a target, and with a backup")
        self.histories = tuple(histories)
        self.by_size = by_size
        self._explore = min(rules.explore, rules.max_extra)
        # What the exploring calls leave to the others.
        max_extra = (rules.max_extra - self._explore) / (1.0 - self._explore)
        self._random = random
        self._feedback = Feedback(self._goal.misses, max_extra)
        self._calls = self._since_refit = 0
        self._cut_at = -_BUCKETS_EVERY
        self._notices = Notices(self._goal.misses)
        self._may_swap, self._swapped = rules.swap_in_outage, False
        prior_s = self._goal.target_s / 2 if rules.race_after_ms is None else rules.race_after_ms / 1000
        self._prior = prior(prior_s if max_extra else None, self._goal)
        self._fit = self._prior
        self._buckets: Buckets | None = None
        self._next_buckets: Buckets | None = None
        # By the window's id: windows live as long as the histories do.
        self._counts: dict[int, WindowCounts] = {}
        self._choices: tuple[_Choice, ...] = ()
        self._refit(-math.inf)

    def use_sizes(self) -> None:
        """Tell requests of different size apart from now on."""
        self.by_size = True

    def decide(self, size: Size = None) -> Decision:
        """Return what the next call is to do.

        Args:
            size: the size of its request, as :func:`~routeware.threshold.buckets.checked_size` returns it.
        """
        buckets = self._buckets
        below, usual, others = self._choices[0 if buckets is None else buckets.place(size)]
        drawn = self._random()
        return usual if drawn >= below else next(decision for bound, decision in others if drawn < bound)

    def call_ended(
        self, decision: Decision, elapsed_s: float, *, answered: bool, now: float, extra: bool | None = None
    ) -> LatencyReport | None:
        """Learn from how a call ended, after its attempts were added to their windows.

        Args:
            decision: what :meth:`decide` returned for it.
            elapsed_s: how long it took.
            answered: whether it has a result. One that ended before the target without any says nothing about misses.
            now: when it ended, in seconds, on the clock of the attempts.
            extra: whether its backup was started as a race; ``None`` is judged by the times.

        Returns:
            What is believed now, if the target has just turned out to be out of reach, or more than ``max_extra``
            allows: the report's ``source`` says which.
        """
        missed = elapsed_s > self._goal.target_s
        self._calls += 1
        self._since_refit += 1
        alarmed = False
        if missed or answered:
            after_s = decision.race_after_s
            raced = (after_s is not None and elapsed_s > after_s) if extra is None else extra
            alarmed = self._feedback.call_ended(decision, missed=missed, extra=raced)
        if alarmed and self._fit.source is not RaceSource.PRIOR:
            self._forget_the_past()
        early = self._calls in _EARLY_REFITS
        if self.by_size and (early or self._since_refit == _REFIT_EVERY - 1):
            self._cut_sizes()
        if not (alarmed or early or self._since_refit == _REFIT_EVERY):
            return None
        return self.report() if self._refit(now) else None

    def report(self) -> LatencyReport:
        """Return what is believed now."""
        found = self._fit
        known = found.source is not RaceSource.PRIOR
        start_s, share = earliest(found)
        return LatencyReport(
            target_ms=self._goal.target_s * 1000,
            race_after_ms=ms(start_s),
            race_share=share,
            source=found.source,
            swapped=self._swapped,
            allowed_share=self._feedback.allowed,
            best_miss_share=found.best if known else None,
            expected_miss_share=found.misses if known else None,
            max_extra_needed=self._needed(),
            buckets=bucket_reports(found, self._buckets) if known else (),
            links=tuple(link_report(history, self._goal.target_s) for history in self.histories),
        )

    def _needed(self) -> float | None:
        needed = self._fit.needed
        if self._fit.source is not RaceSource.CAPPED or needed is None:
            return None
        return self._explore + (1.0 - self._explore) * needed

    def _forget_the_past(self) -> None:
        """Forget what came before a change, where the windows show one: too many misses alone may be chance."""
        found, place = self._fit.buckets, self._place
        target_s, least = self._goal.target_s, self._goal.misses
        late = [bucket.late for bucket in found]
        if has_slowed(self.histories[0].as_primary, place, [target_s] * len(found), late, least=least):
            self.histories[0].as_primary.keep_latest(KEPT_AFTER_CHANGE)
        left = [_left(bucket, target_s) for bucket in found]
        unanswered = [bucket.backup[round(share * STEPS)] for bucket, share in zip(found, left, strict=True)]
        patience_s = [max(share, 1.0 / STEPS) * target_s for share in left]
        if has_slowed(self.histories[1].as_backup, place, patience_s, unanswered, least=least):
            self.histories[1].as_backup.keep_latest(KEPT_AFTER_CHANGE)

    def _place(self, size: Size) -> int:
        return 0 if self._buckets is None else self._buckets.place(size)

    def _refit(self, now: float) -> bool:
        """Fit anew; return whether to report the fit."""
        calls, self._since_refit = self._since_refit, 0
        first, second = self.histories[:2]
        for window in (first.as_backup, second.as_backup):
            window.forget_before(now - BACKUP_AGE_S, but=BACKUPS_KEPT)
        if len(first.as_primary) < self._goal.few:
            self._buckets = self._next_buckets = None
            self._choose(self._prior, None)
            return False
        self._buckets = self._next_buckets
        forward = self._fitted(first.as_primary, second.as_backup)
        self._swapped = self._may_swap and is_out(first, second, self._goal.target_s, swapped=self._swapped)
        if self._swapped:
            asked_first = second.as_primary if len(second.as_primary) >= self._goal.few else second.as_backup
            stand_in = first.as_backup if len(first.as_backup) >= _FEW_BACKUPS else first.as_primary
            self._choose(self._fitted(asked_first, stand_in), forward)
        else:
            self._choose(forward, None)
        self._feedback.fitted(self._fit)
        return self._notices.look(self._fit, calls=calls, known=len(first.as_primary), now=now)

    def _cut_sizes(self) -> None:
        """Cut the sizes into buckets anew while the window fills, and now and then after that: sizes drift, too.

        A call before the fit that needs them: counting all attempts anew takes as long as the fit, and one call should
        not wait for both.
        """
        first, second = self.histories[0].as_primary, self.histories[1].as_backup
        if len(first) == KEPT and self._calls - self._cut_at < _BUCKETS_EVERY:
            return
        self._cut_at = self._calls
        self._next_buckets = find_buckets(first.columns()[2])
        for window in (first, second):
            self._counts_of(window).by_bucket(self._next_buckets)

    def _fitted(self, primary: Window, backup: Window) -> Fit:
        # Of many estimates the best is a lucky one, all the more where few attempts are known.
        caution = _CAUTION * (1.0 / len(primary) - 1.0 / primary.kept)
        return fit(
            self._counts_of(primary).by_bucket(self._buckets),
            self._counts_of(backup).by_bucket(self._buckets),
            self._goal,
            allowed=self._feedback.allowed * (1.0 - caution),
            max_extra=self._feedback.affordable,
        )

    def _counts_of(self, window: Window) -> WindowCounts:
        counted = self._counts.get(id(window))
        if counted is None:
            counted = self._counts[id(window)] = WindowCounts(window, self._goal.target_s)
        return counted

    def _choose(self, chosen: Fit, probed: Fit | None) -> None:
        """Lay out the decisions of each bucket over the draws from 0 to 1, so deciding is mostly one comparison."""
        self._fit = chosen
        swap = probed is not None
        first = [(self._explore, Decision(0.0, RaceSource.EXPLORED, swap))] if self._explore else []
        laid_out = []
        for at, bucket in enumerate(chosen.buckets):
            rest = _options(bucket.starts, chosen.source, swap=swap)
            if probed is not None:
                probes = _options(probed.buckets[at].starts, probed.source, swap=False, of=_PROBES)
                rest = [*probes, *((share * (1.0 - _PROBES), decision) for share, decision in rest)]
            laid_out.append(_laid_out(first, rest))
        self._choices = tuple(laid_out)


class LearnerCache:
    """The learned state of one decorated function: windows by link, learners by rules; the latest used are kept.

    All views of the function share it, so a view with other settings begins with what is known of its links, and a view
    that is made anew for every call goes on with the learner of the one before.

    Args:
        draw: where chance comes from: draws from 0 to 1, 1 excluded; ``random.random`` by default.
    """

    def __init__(self, draw: Callable[[], float] | None = None) -> None:
        self._draw = random.random if draw is None else draw
        self._histories: OrderedDict[Link, LinkHistory] = OrderedDict()
        self._learners: OrderedDict[Hashable, Learner] = OrderedDict()
        self._uses_sizes = False

    def use_sizes(self) -> None:
        """Use sizes under every policy, whatever its ``latency.by_size`` says."""
        self._uses_sizes = True
        for learner in self._learners.values():
            learner.use_sizes()

    def draw_by(self, draw: Callable[[], float]) -> None:
        """Let learners that are made from now on draw by ``draw``."""
        self._draw = draw

    def learner(self, policy: RoutingPolicy) -> Learner | None:
        """Return the learner for a policy; ``None`` if it has no target, or no link to race with."""
        latency = policy.latency
        if latency.target_ms is None or policy.max_attempts < 2 or len(policy.chain) < 2:
            return None
        sized = latency.by_size or self._uses_sizes
        rules = (
            *(policy.chain, latency.target_p95_ms, latency.target_p99_ms, latency.race_after_ms),
            *(latency.max_extra, latency.explore, latency.swap_in_outage, sized),
        )
        return _kept(self._learners, rules, lambda: self._made(policy, sized), _MOST_LEARNERS)

    def _made(self, policy: RoutingPolicy, by_size: bool) -> Learner:
        histories = [
            _kept(self._histories, link, partial(LinkHistory, link.label), _MOST_LINKS) for link in policy.chain
        ]
        return Learner(policy.latency, histories, self._draw, by_size=by_size)


def _kept(kept: OrderedDict[K, V], key: K, make: Callable[[], V], most: int) -> V:
    """Give what is kept under ``key``, made if it is not there; it is the latest used now."""
    found = kept.pop(key, None)
    kept[key] = found = make() if found is None else found
    if len(kept) > most:
        kept.popitem(last=False)
    return found


def _options(starts: Sequence[Share], source: RaceSource, *, swap: bool, of: float = 1.0) -> list[_Option]:
    """Return what the calls of a bucket do, the largest share last."""
    return sorted(((of * share, Decision(start_s, source, swap)) for start_s, share in starts), key=itemgetter(0))


def _laid_out(first: Sequence[_Option], then: Sequence[_Option]) -> _Choice:
    """Return a choice: options of ``first`` have shares of all calls, those of ``then`` have shares of the rest."""
    rest = 1.0 - sum(share for share, _ in first)
    *rarer, (_, usual) = then
    below, others = 0.0, []
    for share, decision in [*first, *((rest * share, decision) for share, decision in rarer)]:
        below += share
        others.append((below, decision))
    return below, usual, tuple(others)


def _left(bucket: Bucket, target_s: float) -> float:
    """Return the part of the target that is left to the backups of a bucket, as it starts most of them."""
    start_s, _ = max(bucket.starts, key=itemgetter(1))
    return 1.0 if start_s is None else 1.0 - start_s / target_s
