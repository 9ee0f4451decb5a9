"""Survival curves over counts: coarse, cheap, and with something borrowed where there is little to count."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeware.threshold import Observation, Window, kaplan_meier
from routeware.threshold.buckets import Buckets
from routeware.threshold.grid import LATE, STEPS, Counts, WindowCounts, total, weighed

# Freireich et al. 1963, weeks of remission under 6-MP: the textbook's example; the others were well when last seen.
RELAPSED = [6, 6, 6, 7, 10, 13, 16, 22, 23]
STILL_WELL = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]


def seen(
    answered: list[float], cut: list[float] | None = None, failed: int = 0, *, size: float | str | None = None
) -> Window:
    """A window of attempts that lasted so many seconds."""
    window = Window(kept=5000)
    for lasted in answered:
        window.add(lasted, Observation.ANSWERED, 0.0, size)
    for lasted in cut or []:
        window.add(lasted, Observation.CENSORED, 0.0, size)
    for _ in range(failed):
        window.add(0.01, Observation.FAILED, 0.0, size)
    return window


def counts(answered: list[float], cut: list[float] | None = None, failed: int = 0, *, target_s: float) -> Counts:
    """Their counts, in one bucket."""
    (found,) = WindowCounts(seen(answered, cut, failed), target_s).by_bucket(None)
    return found


def test_it_is_near_the_exact_curve() -> None:
    """Half of those cut off in a step are at risk in it: no bias that could be seen."""
    drawn = random.Random(1)
    lasts = [drawn.lognormvariate(0, 0.65) for _ in range(4000)]
    limits = [drawn.uniform(0.3, 4.0) for _ in range(4000)]
    answered = [last for last, limit in zip(lasts, limits, strict=True) if last <= limit]
    cut = [limit for last, limit in zip(lasts, limits, strict=True) if last > limit]

    grid, exact = counts(answered, cut, target_s=3.0).survival(), kaplan_meier(answered, cut)

    assert grid == pytest.approx([exact.beyond(3.0 * step / STEPS) for step in range(STEPS + 1)], abs=0.01)


def test_its_uncertainty_is_greenwoods() -> None:
    """The standard error at ten weeks is 0.0963, by the courses that have the textbook's example."""
    found = counts([float(week) for week in RELAPSED], [week + 0.5 for week in STILL_WELL], target_s=10.0)

    assert found.survival()[LATE] == pytest.approx(0.753, abs=0.005)
    assert found.variance() ** 0.5 == pytest.approx(0.0963, abs=0.002)


def test_what_was_cut_off_after_the_target_is_late() -> None:
    """However long it would have taken. At the target itself, an answer was in time."""
    found = counts([0.5, 1.0], [1.0, 7.0], target_s=1.0)

    assert found.survival()[LATE] == 0.5
    assert found.cut == [0] * STEPS


def test_an_answer_at_the_end_of_a_step_is_in_it() -> None:
    """Backups that take half of the target have answered when half of it is over."""
    found = counts([0.5] * 10, target_s=1.0).survival()

    assert (found[STEPS // 2 - 1], found[STEPS // 2]) == (1.0, 0.0)


def test_nothing_is_known_beyond_the_longest() -> None:
    """Where all were cut off early, the curve stays where it was."""
    assert counts([], [0.1] * 9, target_s=1.0).survival() == [1.0] * (STEPS + 1)


def test_failures_are_no_latencies() -> None:
    """They are counted apart."""
    found = counts([0.5] * 3, failed=2, target_s=1.0)

    assert (found.attempts, found.lasting, found.failed) == (5, 3, 2)
    assert found.survival()[0] == 1.0


def test_a_curve_can_be_lent_as_attempts() -> None:
    """Ten attempts of one's own, and twenty of another curve, make one of thirty."""
    lent = counts([0.25, 2.0], target_s=1.0).survival()
    own = counts([0.75] * 10, target_s=1.0)

    assert weighed(lent, 20.0)[LATE] == pytest.approx(10.0)
    assert own.survival(weighed(lent, 20.0))[LATE] == pytest.approx(10 / 30)
    assert own.survival(weighed(lent, 20.0))[STEPS // 2] == pytest.approx(20 / 30)


def test_attempts_are_counted_by_bucket_and_added_up() -> None:
    """Each with its size; one without has a bucket of its own."""
    window = seen([0.2] * 3, size=5.0)
    window.add(2.0, Observation.ANSWERED, 0.0, 50.0)
    window.add(0.4, Observation.CENSORED, 0.0, None)
    window.add(0.4, Observation.FAILED, 0.0, 50.0)

    short, long, unknown = found = WindowCounts(window, 1.0).by_bucket(Buckets([10.0]))

    assert [each.attempts for each in found] == [3, 2, 1]
    assert (short.survival()[LATE], long.survival()[LATE]) == (0.0, 1.0)
    assert unknown.lasting == 1
    assert total(found) == counts([0.2, 0.2, 0.2, 2.0], [0.4], 1, target_s=1.0)


KINDS = st.sampled_from(Observation)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.floats(0, 2), KINDS, st.one_of(st.none(), st.floats(0, 20))),
        st.integers(0, 12),
        st.sampled_from([Buckets([10.0]), Buckets([5.0, 15.0]), None]),
    ),
    max_size=60,
)


@given(EVENTS)
def test_counts_that_are_kept_up_to_date_are_those_counted_anew(events: list[Any]) -> None:
    """Whatever was added, forgotten or cut into other buckets meanwhile."""
    window, buckets = Window(kept=7), None
    kept = WindowCounts(window, 1.0)
    for event in events:
        if isinstance(event, tuple):
            window.add(event[0], event[1], 0.0, event[2])
            continue
        if isinstance(event, int):
            window.keep_latest(event)
        else:
            buckets = event
        assert kept.by_bucket(buckets) == WindowCounts(window, 1.0).by_bucket(buckets)
