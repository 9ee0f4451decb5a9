"""What projections learn of a link's answers: the largest of the last thousand, and no odd one alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routeware.pricing import LargestOutput


def learned(*outputs: int, deduced: bool = False) -> int:
    """Return what is projected after these answers."""
    largest = LargestOutput()
    for output in outputs:
        largest.learn(output, deduced=deduced)
    return largest.tokens


def test_it_is_the_largest_and_at_least_1024() -> None:
    """Short answers do not make a projection short."""
    assert learned() == 1024
    assert learned(5, 700) == 1024
    assert learned(2000, 9000, 3000) == 9000


def test_one_odd_answer_does_not_price_a_link_out() -> None:
    """Above ten times the largest before, a count waits until another one is as hard to believe."""
    assert learned(10**10) == 1024
    assert learned(10**10, *[2000] * 500) == 2000
    assert learned(10_240) == 10_240
    assert learned(10_241) == 1024


def test_the_smaller_of_two_odd_answers_is_confirmed() -> None:
    """The larger one is still only said once."""
    assert learned(10**10, 50_000) == 50_000
    assert learned(50_000, 10**10) == 50_000
    assert learned(10**10, 50_000, 700_000) == 700_000


def test_a_deduced_output_waits_too() -> None:
    """A total that is wrong makes an output that is wrong; a link that always thinks is soon believed."""
    assert learned(2000, deduced=True) == 1024
    assert learned(2000, 3000, deduced=True) == 2000
    assert learned(2000, 3000, 2500, deduced=True) == 2500
    assert learned(800, deduced=True) == 1024


def test_only_the_last_thousand_answers_count() -> None:
    """A link that has become terse needs less set aside; what waited that long for another is forgotten."""
    assert learned(9000, *[10] * 999) == 9000
    assert learned(9000, 2000, *[10] * 998) == 9000
    assert learned(9000, 2000, *[10] * 999) == 2000
    assert learned(9000, *[10] * 1000) == 1024
    assert learned(10**10, *[10] * 999, 10**9) == 1024
    assert learned(10**10, *[10] * 998, 10**9) == 10**9


@given(st.lists(st.integers(0, 3000), max_size=40), st.integers(1, 8))
def test_it_is_the_plain_maximum_of_the_window(outputs: list[int], repeats: int) -> None:
    """Kept up step by step, it is what searching all of the last thousand would give."""
    seen = (outputs * (repeats * 30))[:2500]

    assert learned(*seen) == max([1024, *seen[-1000:]])
