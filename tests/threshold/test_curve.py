"""The survival curve."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeware.threshold import kaplan_meier

# Freireich et al. 1963, weeks of remission under 6-MP: the textbook example; the others were well when last seen.
RELAPSED = [6, 6, 6, 7, 10, 13, 16, 22, 23]
STILL_WELL = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]


@pytest.mark.parametrize(
    ("week", "share"),
    [(5, 1.0), (6, 0.857), (7, 0.807), (10, 0.753), (13, 0.690), (16, 0.627), (22, 0.538), (23, 0.448), (40, 0.448)],
)
def test_the_curve_is_that_of_the_textbook(week: float, share: float) -> None:
    """Kaplan and Meier's estimate, by the figures that every course prints."""
    assert kaplan_meier(RELAPSED, STILL_WELL).beyond(week) == pytest.approx(share, abs=0.0005)


def test_without_cuts_it_is_the_share_that_is_left() -> None:
    """Four answers leave three quarters, a half, a quarter, nothing."""
    curve = kaplan_meier([4.0, 1.0, 3.0, 2.0])

    assert [curve.beyond(at) for at in (0.5, 1.0, 2.5, 3.0, 4.0)] == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])
    assert [curve.quantile(share) for share in (0.25, 0.5, 0.51, 1.0)] == [1.0, 2.0, 3.0, 4.0]


def test_leaving_cuts_out_or_counting_them_as_answers_would_look_faster() -> None:
    """The slow ones are those that get cut off, so the curve lies above both."""
    answered, cut = [1.0, 2.0, 4.0], [3.0, 3.0]

    curve = kaplan_meier(answered, cut)
    left_out = kaplan_meier(answered)
    taken_for_answers = kaplan_meier(answered + cut)
    assert curve.beyond(3.0) > max(left_out.beyond(3.0), taken_for_answers.beyond(3.0))


def test_a_quantile_that_the_data_do_not_reach_is_unknown() -> None:
    """Never an extrapolation."""
    curve = kaplan_meier([1.0], [2.0, 2.0])

    assert curve.quantile(0.3) == 1.0
    assert curve.quantile(0.5) is None
    assert curve.longest_s == 2.0


def test_who_was_cut_at_the_time_of_an_answer_had_not_answered() -> None:
    """At equal times answers come first, so the cut one still counts among those at risk."""
    assert kaplan_meier([1.0], [1.0]).beyond(1.0) == pytest.approx(0.5)


def test_of_nothing_nothing_is_known() -> None:
    """A curve without observations never falls."""
    curve = kaplan_meier([])

    assert (curve.beyond(10.0), curve.quantile(0.5), curve.longest_s) == (1.0, None, 0.0)


TIMES = st.lists(st.floats(0, 100), max_size=30)


@given(TIMES, TIMES, st.floats(0, 1))
def test_it_falls_from_1_and_stays_a_share(answered: list[float], cut: list[float], share: float) -> None:
    """Whatever was observed; and a quantile is the first time by which that share has answered."""
    curve = kaplan_meier(answered, cut)
    shares = [curve.beyond(elapsed) for elapsed in sorted(answered + cut)]

    assert all(-1e-9 <= here <= 1.0 for here in shares)
    assert shares == sorted(shares, reverse=True)
    found = curve.quantile(share)
    if found is not None:
        assert 1.0 - curve.beyond(found) >= share - 1e-6
