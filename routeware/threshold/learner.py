"""What has been observed turns into decisions: one comparison per call, and a new fit now and then.

A learner belongs to one policy of one decorated function; the windows that it learns from belong to the links, and
outlive it. Time and chance come from outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import attrs

from routeware.policy import LatencyRules
from routeware.threshold.facts import Decision, LatencyReport, RaceSource
from routeware.threshold.report import link_report
from routeware.threshold.rule import MISSES, Fit, fit
from routeware.threshold.watch import KEPT_AFTER_CHANGE, Alarm, Outage, Steady, has_slowed
from routeware.threshold.window import LinkHistory, Window

__all__ = ["BACKUP_AGE_S", "Learner"]

BACKUP_AGE_S = 3600.0
"""How long a backup's attempts are remembered: they are rare, so their number alone would keep them for days."""

_FEW = 30
_FEW_BACKUPS = 20
_REFIT_EVERY = 64
_EARLY_REFITS = (30, 60, 90)
# Steady enough not to follow chance, quick enough to repair a dependence within some thousand calls.
_STEP = 0.001
_CORRECTED = frozenset((RaceSource.FITTED, RaceSource.CAPPED))
_LEAST_ALLOWED, _MOST_ALLOWED = 0.02, 0.08
_PROBES = 0.1
_FEASIBLE_AGAIN = 300


class Learner:
    """Finds the race threshold that meets ``rules.target_p95_ms``, from attempts as they end.

    Args:
        rules: a policy's, with a target.
        histories: what is remembered of the chain's links, in its order; two at least.
        random: draws from 0 to 1, 1 excluded.

    Attributes:
        histories: where ended attempts are to be added, before :meth:`call_ended`.

    Raises:
        ValueError: there is no target, or nobody to race with.
    """

    def __init__(self, rules: LatencyRules, histories: Sequence[LinkHistory], random: Callable[[], float]) -> None:
        if rules.target_p95_ms is None or len(histories) < 2:
            raise ValueError("a threshold can be learned for a target, and with a backup")
        self.histories = tuple(histories)
        self._target_s = rules.target_p95_ms / 1000
        self._bound_s = self._target_s if rules.race_after_ms is None else rules.race_after_ms / 1000
        prior_s = self._target_s / 2 if rules.race_after_ms is None else self._bound_s
        self._explore = min(rules.explore, rules.max_extra)
        # What the exploring calls leave to the others.
        self._max_extra = (rules.max_extra - self._explore) / (1.0 - self._explore)
        self._random = random
        self._allowed = self._allowed_at_cap = MISSES
        self._calls = self._since_refit = 0
        self._alarm = Alarm()
        self._outage = Outage(self._target_s) if rules.swap_in_outage else None
        self._feasible_calls = _FEASIBLE_AGAIN
        self._prior = Fit(prior_s, 1.0 if self._max_extra else 0.0, RaceSource.PRIOR, 0.0, MISSES)
        self._fit = self._prior
        self._steady = Steady()
        self._others: tuple[tuple[float, Decision], ...] = ()
        self._others_below = 0.0
        self._usual = Decision(None, RaceSource.NONE)
        self._refit(-math.inf)

    def decide(self) -> Decision:
        """What the next call is to do."""
        drawn = self._random()
        if drawn >= self._others_below:
            return self._usual
        return next(decision for below, decision in self._others if drawn < below)

    def call_ended(self, decision: Decision, elapsed_s: float, *, answered: bool, now: float) -> LatencyReport | None:
        """Learn from how a call ended, after its attempts were added to their windows.

        Args:
            decision: what :meth:`decide` said for it.
            elapsed_s: how long it took.
            answered: whether it has a result. One that ended before the target without any says nothing about misses.
            now: when it ended, in seconds, on the clock of the attempts.

        Returns:
            What is believed now, if the target has just turned out to be out of reach.
        """
        missed = elapsed_s > self._target_s
        self._calls += 1
        self._since_refit += 1
        alarmed = False
        if missed or answered:
            self._correct(decision, missed)
            alarmed = self._alarm.rings(missed)
        if alarmed:
            self._forget_the_past()
        if not (alarmed or self._since_refit == _REFIT_EVERY or self._calls in _EARLY_REFITS):
            return None
        return self.report() if self._refit(now) else None

    def report(self) -> LatencyReport:
        """What is believed now."""
        known = self._fit.source is not RaceSource.PRIOR
        return LatencyReport(
            target_ms=self._target_s * 1000,
            race_after_ms=None if self._fit.race_after_s is None else self._fit.race_after_s * 1000,
            race_share=self._fit.share,
            source=self._fit.source,
            swapped=self._outage is not None and self._outage.swapped,
            allowed_share=self._allowed,
            best_miss_share=self._fit.best if known else None,
            links=tuple(link_report(history, self._target_s) for history in self.histories),
        )

    def _correct(self, decision: Decision, missed: bool) -> None:
        """Repair what the rule's assumption of independence gets wrong, slowly.

        Not where its start is not to be had: a share that is lowered then would stay low for long after. Under the cap
        it may rise again, so that a share that is too low does not keep itself in force.
        """
        if decision.swap or decision.source not in _CORRECTED:
            return
        least, most = _LEAST_ALLOWED, _MOST_ALLOWED
        if decision.source is RaceSource.CAPPED:
            least, most = self._allowed_at_cap, max(self._allowed_at_cap, MISSES)
        self._allowed = min(max(self._allowed + _STEP * (MISSES - missed), least), most)

    def _forget_the_past(self) -> None:
        """Forget what came before a change, where the windows show one: an alarm alone may be chance."""
        primary, backup = self.histories[0].as_primary, self.histories[1].as_backup
        left_s = self._target_s - (self._fit.race_after_s or 0.0)
        for window, patience_s in ((primary, self._target_s), (backup, left_s)):
            if has_slowed(window, patience_s):
                window.keep_latest(KEPT_AFTER_CHANGE)
                self._steady.forget()

    def _refit(self, now: float) -> bool:
        """Fit anew; whether the target has just turned out to be out of reach."""
        calls = self._since_refit
        self._since_refit = 0
        first, second = self.histories[:2]
        first.as_backup.forget_before(now - BACKUP_AGE_S)
        second.as_backup.forget_before(now - BACKUP_AGE_S)
        if len(first.as_primary) < _FEW:
            self._choose(self._prior, None)
            return False
        found = self._fitted(first.as_primary, second.as_backup)
        forward = self._steadied(found, stood_in=len(second.as_backup) < _FEW_BACKUPS)
        swapped = self._outage is not None and self._outage.look(first, second)
        if swapped:
            asked_first = second.as_primary if len(second.as_primary) >= _FEW else second.as_backup
            stand_in = first.as_backup if len(first.as_backup) >= _FEW_BACKUPS else first.as_primary
            self._choose(self._fitted(asked_first, stand_in), forward)
        else:
            self._choose(forward, None)
        if self._fit.source is not RaceSource.CAPPED:
            self._allowed_at_cap = self._allowed
        self._alarm.expect(self._fit.expected)
        return self._turned_out_of_reach(calls)

    def _fitted(self, primary: Window, backup: Window) -> Fit:
        waiting = primary.waiting_curve()
        return fit(
            waiting,
            backup.curve() if len(backup) >= _FEW_BACKUPS else waiting,
            backup.failed_share if len(backup) >= _FEW_BACKUPS else 0.0,
            self._target_s,
            allowed=self._allowed,
            max_extra=self._max_extra,
            at_most_s=self._bound_s,
        )

    def _steadied(self, found: Fit, stood_in: bool) -> Fit:
        """A part of the way from the start before to the one found: 300 attempts leave much of it to chance."""
        if found.source is RaceSource.NONE:
            return found
        if found.race_after_s is None or found.source is not RaceSource.FITTED or stood_in:
            self._steady.forget()
            return found
        return attrs.evolve(found, race_after_s=self._steady.toward(found.race_after_s))

    def _choose(self, chosen: Fit, probed: Fit | None) -> None:
        """Lay out the decisions over the draws from 0 to 1; the usual one lies last."""
        self._fit = chosen
        swap = probed is not None
        shares = [(self._explore, Decision(0.0, RaceSource.EXPLORED, swap))]
        rest = 1.0 - self._explore
        if probed is not None:
            shares += _shares(probed, swap=False, of=_PROBES * rest)
            rest *= 1.0 - _PROBES
        shares += _shares(chosen, swap=swap, of=rest)
        self._usual = shares.pop()[1]
        below, others = 0.0, list[tuple[float, Decision]]()
        for share, decision in shares:
            below += share
            others.append((below, decision))
        self._others, self._others_below = tuple(others), below

    def _turned_out_of_reach(self, calls: int) -> bool:
        if self._fit.source is not RaceSource.INFEASIBLE:
            self._feasible_calls += calls
            return False
        told = self._feasible_calls < _FEASIBLE_AGAIN
        self._feasible_calls = 0
        return not told


def _shares(found: Fit, *, swap: bool, of: float) -> list[tuple[float, Decision]]:
    """The shares of calls that race, and that do not."""
    raced = (of * found.share, Decision(found.race_after_s, found.source, swap))
    waiting = (of * (1.0 - found.share), Decision(None, found.source, swap))
    return [each for each in (raced, waiting) if each[0] > 0.0] or [waiting]
