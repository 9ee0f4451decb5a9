"""The rule on its own, on curves that can be worked out by hand."""

from __future__ import annotations

import pytest

from routeware.threshold import Observation, RaceSource, Window
from routeware.threshold.buckets import Buckets
from routeware.threshold.grid import Counts, WindowCounts
from routeware.threshold.rule import Fit, Goal, fit

Attempts = list[tuple[float, float]]


def evenly(from_s: float, to_s: float, attempts: int = 1000, size: float = 0.0) -> Attempts:
    """Answers spread evenly between two times, and the size of their requests."""
    step = (to_s - from_s) / attempts
    return [(from_s + step * (at + 1), size) for at in range(attempts)]


def counted(
    attempts: Attempts, target_s: float, *, failing: float = 0.0, buckets: Buckets | None = None
) -> list[Counts]:
    """Their counts; a share of further ones fails at once."""
    window = Window(kept=10_000)
    for lasts_s, size in attempts:
        window.add(lasts_s, Observation.ANSWERED, 0.0, size)
    for _ in range(round(len(attempts) * failing / (1.0 - failing))):
        window.add(0.0, Observation.FAILED, 0.0, 0.0)
    return WindowCounts(window, target_s).by_bucket(buckets)


def fitted(
    primary: Attempts,
    backup: Attempts,
    target_s: float,
    *,
    primary_failing: float = 0.0,
    failing: float = 0.0,
    allowed: float = 0.05,
    max_extra: float = 1.0,
    at_most_s: float | None = None,
    buckets: Buckets | None = None,
    misses: float = 0.05,
    lots: bool = True,
) -> Fit:
    """The rule with what the test does not speak of left open."""
    goal = Goal(target_s, misses=misses, at_most_s=target_s if at_most_s is None else at_most_s, lots=lots)
    return fit(
        counted(primary, target_s, failing=primary_failing, buckets=buckets),
        counted(backup, target_s, failing=failing, buckets=buckets),
        goal,
        allowed=allowed,
        max_extra=max_extra,
    )


def starts(found: Fit, bucket: int = 0) -> list[tuple[float | None, float]]:
    """When a bucket's calls start their backup, and how many of them."""
    return list(found.buckets[bucket].starts)


def test_a_primary_that_meets_the_target_alone_is_not_raced() -> None:
    """At most 5 % late is what a 95th percentile means."""
    found = fitted(evenly(0, 10), evenly(0, 10), 9.5)

    assert (starts(found), found.source) == ([(None, 1.0)], RaceSource.NONE)
    assert (found.misses, found.extra) == (pytest.approx(0.05, abs=0.002), 0.0)


def test_the_misses_that_are_allowed_are_used() -> None:
    """A fifth is late at 8 s: some calls start early and some late, so that exactly 5 % miss."""
    found = fitted(evenly(0, 10), evenly(0, 4), 8.0)

    assert found.source is RaceSource.FITTED
    assert found.misses == pytest.approx(0.05, abs=1e-6)
    (early_s, share), (late_s, rest) = starts(found)
    assert share + rest == pytest.approx(1.0)
    assert early_s is not None
    assert late_s is not None
    assert 4.0 <= early_s < late_s <= 8.0


def test_a_start_for_all_is_chosen_where_a_mixture_is_no_cheaper() -> None:
    """Backups that always take 3 s save all late calls from 5 s on, and none after it."""
    found = fitted(evenly(0, 10), [(3.0, 0.0)] * 1000, 8.0, allowed=0.006)

    assert starts(found)[0] == (5.0, pytest.approx(1.0, abs=0.05))


def test_a_smaller_allowed_share_costs_more() -> None:
    """So the correction acts."""
    assert (
        fitted(evenly(0, 10), evenly(0, 4), 8.0, allowed=0.025).extra
        > 1.1 * fitted(evenly(0, 10), evenly(0, 4), 8.0).extra
    )


def test_race_after_bounds_the_start() -> None:
    """The policy's own threshold is the latest start, where there is a race; it may lie between two steps."""
    found = fitted(evenly(0, 10), evenly(0, 4), 8.0, at_most_s=2.5)

    assert starts(found) == [(2.5, 1.0)]
    assert found.extra == pytest.approx(0.75, abs=0.01)


def test_a_failed_primary_keeps_no_call_waiting() -> None:
    """The next link has taken over from it: it is neither late nor raced."""
    found = fitted(evenly(0, 10), evenly(0, 4), 8.0, primary_failing=0.5)

    assert found.buckets[0].late == pytest.approx(0.1, abs=0.005)


def test_a_target_out_of_reach_says_so_with_the_best_share() -> None:
    """Half of the primaries late and half of the backups: a quarter of the calls misses, whatever is done."""
    found = fitted(evenly(0, 2), evenly(0, 2), 1.0)

    assert found.source is RaceSource.INFEASIBLE
    assert found.best == pytest.approx(0.25, abs=0.001)


def test_a_target_that_nobody_could_meet_is_not_raced_for() -> None:
    """An extra attempt for every call that saves none is a price, and not paid."""
    found = fitted(evenly(5, 10), evenly(5, 10), 1.0)

    assert (starts(found), found.source) == ([(None, 1.0)], RaceSource.INFEASIBLE)


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
    """The others never do; all of them late enough to be affordable would waste the backups that come too late."""
    primary = [*evenly(0, 0.8, 800), *[(5.0, 0.0)] * 200]

    free = fitted(primary, evenly(1.0, 2.0), 2.0)
    capped = fitted(primary, evenly(1.0, 2.0), 2.0, max_extra=0.1)

    assert (free.source, capped.source) == (RaceSource.FITTED, RaceSource.CAPPED)
    (early_s, share), (never, _) = starts(capped)
    assert never is None
    assert early_s is not None
    assert early_s < 1.7  # at 1.7 s only three tenths of the backups would still be in time
    assert share < 1.0
    assert capped.extra == pytest.approx(0.1)
    assert capped.needed == pytest.approx(free.extra)


def test_a_cap_that_leaves_out_the_late_starts_may_still_meet_the_target() -> None:
    """Starts near the target save nobody from being late: without them it is affordable, and not said to be capped."""
    primary = [*evenly(0, 1.0, 900), *[(5.0, 0.0)] * 100]

    free = fitted(primary, evenly(0, 0.04), 1.0)
    capped = fitted(primary, evenly(0, 0.04), 1.0, max_extra=0.09)

    assert free.extra > 0.09
    assert (capped.source, capped.misses) == (RaceSource.FITTED, pytest.approx(0.05, abs=1e-6))


def test_what_is_not_known_of_a_backup_is_lent_by_the_primary() -> None:
    """All backups were cut off at 1 s: the rest of their curve is the primary's, so it is not taken for never."""
    window = Window()
    for _ in range(300):
        window.add(1.0, Observation.CENSORED, 0.0)
    found = fit(
        counted(evenly(0, 10), 8.0),
        WindowCounts(window, 8.0).by_bucket(None),
        Goal(8.0, misses=0.05, at_most_s=8.0),
        allowed=0.1,
        max_extra=1.0,
    )

    assert found.source is RaceSource.FITTED
    assert found.extra > 0.3


def test_without_backups_the_primary_stands_in() -> None:
    """Half of the calls have answered in time to spare, so a race at half-way saves some."""
    found = fitted(evenly(0, 10), [], 8.0, allowed=0.1)

    assert found.source is RaceSource.FITTED


def test_a_target_is_not_given_up_for_a_backup_that_nobody_knows() -> None:
    """A primary that hangs half of the time says nothing about its backup."""
    found = fitted(evenly(0, 2), evenly(0, 2, 19), 1.0)

    assert (found.source, found.best) == (RaceSource.FITTED, pytest.approx(0.25, abs=0.001))


SHORT, LONG = 1.0, 100.0
SIZES = Buckets([10.0])


def test_one_budget_of_misses_is_spent_where_it_saves_most() -> None:
    """Short requests are quick, so few of them are in flight late, and racing those saves as many as it costs."""
    primary = [*evenly(0, 1, 450, SHORT), *[(9.0, SHORT)] * 50, *evenly(0, 9, 500, LONG)]
    backup = [*evenly(0, 1, 500, SHORT), *evenly(0, 9, 500, LONG)]

    together = fitted(primary, backup, 8.0)
    apart = fitted(primary, backup, 8.0, buckets=SIZES)

    assert apart.misses == pytest.approx(together.misses)
    assert apart.extra < together.extra
    short, long, _unknown = apart.buckets
    assert (short.weight, long.weight) == (0.5, 0.5)
    assert short.misses < 0.01
    assert long.misses > 0.05
    assert sum(len(each.starts) == 2 for each in apart.buckets) <= 1


def test_a_bucket_without_calls_is_raced_as_the_others_are() -> None:
    """An unknown size must not mean that a hanging call is left alone: it has the curve of all."""
    found = fitted([*evenly(0, 10, 300, SHORT), *evenly(0, 10, 300, LONG)], evenly(0, 4), 8.0, buckets=SIZES)

    (start_s, *_), *_ = starts(found, bucket=2)
    assert start_s is not None
    assert found.buckets[2].calls == 0


def test_a_99th_percentile_draws_no_lots() -> None:
    """All calls of a bucket start together, at the latest step that meets it."""
    found = fitted(evenly(0, 10), evenly(0, 4), 9.0, misses=0.01, allowed=0.01, lots=False)

    ((start_s, share),) = starts(found)
    assert share == 1.0
    assert start_s is not None
    assert found.misses <= 0.01
    assert 0.1 * (1.0 - (9.0 - start_s - 9.0 / 24) / 4) > 0.01
