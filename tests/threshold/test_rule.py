"""The rule on its own, on curves that can be worked out by hand."""

from __future__ import annotations

import pytest

from routeware.threshold import Curve, RaceSource, kaplan_meier
from routeware.threshold.rule import Fit, fit


def evenly(from_s: float, to_s: float, count: int = 1000) -> Curve:
    """Answers spread evenly between two times."""
    step = (to_s - from_s) / count
    return kaplan_meier([from_s + step * (at + 1) for at in range(count)])


def fitted(
    primary: Curve,
    backup: Curve,
    target_s: float,
    *,
    failing: float = 0.0,
    allowed: float = 0.05,
    max_extra: float = 1.0,
    at_most_s: float | None = None,
) -> Fit:
    """The rule with what the test does not speak of left open."""
    at_most = target_s if at_most_s is None else at_most_s
    return fit(primary, backup, failing, target_s, allowed=allowed, max_extra=max_extra, at_most_s=at_most)


def test_a_primary_that_meets_the_target_alone_is_not_raced() -> None:
    """At most 5 % late is what a 95th percentile means."""
    found = fitted(evenly(0, 10), evenly(0, 10), 9.5)

    assert (found.race_after_s, found.source) == (None, RaceSource.NONE)


def test_the_start_is_the_latest_that_meets_the_target() -> None:
    """A fifth is late at 8 s, so a quarter of the backups may be: they take 3 s for the rest, and start at 5 s."""
    found = fitted(evenly(0, 10), evenly(0, 4), 8.0)

    assert found.race_after_s == pytest.approx(5.0, abs=0.01)
    assert (found.source, found.share) == (RaceSource.FITTED, 1.0)
    assert found.expected == pytest.approx(0.05, abs=0.001)


def test_a_smaller_allowed_share_starts_earlier() -> None:
    """So the correction acts: an eighth of the backups may be late, which takes 3.5 s."""
    found = fitted(evenly(0, 10), evenly(0, 4), 8.0, allowed=0.025)

    assert found.race_after_s == pytest.approx(4.5, abs=0.01)


def test_race_after_bounds_the_start() -> None:
    """The policy's own threshold is the latest start, where there is a race."""
    assert fitted(evenly(0, 10), evenly(0, 4), 8.0, at_most_s=2.0).race_after_s == 2.0


def test_a_target_out_of_reach_says_so_with_the_best_share() -> None:
    """Half of the primaries late and half of the backups: a quarter of the calls misses, whatever is done."""
    found = fitted(evenly(0, 2), evenly(0, 2), 1.0)

    assert found.source is RaceSource.INFEASIBLE
    assert found.best == pytest.approx(0.25, abs=0.001)


def test_a_target_that_nobody_could_meet_is_not_raced_for() -> None:
    """An extra attempt for every call that saves none is a price, and not paid."""
    found = fitted(evenly(5, 10), evenly(5, 10), 1.0)

    assert (found.race_after_s, found.source) == (None, RaceSource.INFEASIBLE)


def test_chance_alone_does_not_put_a_target_out_of_reach() -> None:
    """With few observations, a best of 6 % may well be one of 4 %."""
    few = evenly(0, 2, 16)

    assert fitted(few, few, 1.5).source is RaceSource.FITTED
    assert fitted(evenly(0, 2), evenly(0, 2), 1.5).source is RaceSource.INFEASIBLE


def test_a_failing_backup_can_put_a_target_out_of_reach() -> None:
    """A third late, and half of the backups never answer: a sixth of the calls has nobody to save it."""
    primary, backup = evenly(0, 3), evenly(0, 0.5)

    assert fitted(primary, backup, 2.0).source is RaceSource.FITTED
    assert fitted(primary, backup, 2.0, failing=0.5).source is RaceSource.INFEASIBLE


def test_under_a_cap_a_share_of_the_calls_races_early() -> None:
    """All of them late enough to be affordable would waste the backups that come too late."""
    primary = kaplan_meier([*(at / 1000 for at in range(800)), *[5.0] * 200])
    backup = evenly(1.0, 2.0)

    free = fitted(primary, backup, 2.0)
    capped = fitted(primary, backup, 2.0, max_extra=0.1)

    assert free.race_after_s is not None
    assert capped.source is RaceSource.CAPPED
    assert capped.race_after_s is not None
    assert capped.share * primary.beyond(capped.race_after_s) <= 0.1 + 1e-9
    assert capped.race_after_s < 1.7  # at 1.7 s only three tenths of the backups would still be in time
    assert capped.share < 1.0


def test_what_is_not_known_of_a_backup_counts_as_its_longest() -> None:
    """All backups were cut off at 1 s: they take longer, and the start leaves them at least that."""
    backup = kaplan_meier([], [1.0] * 30)

    assert fitted(evenly(0, 10), backup, 8.0).race_after_s == pytest.approx(7.0)
