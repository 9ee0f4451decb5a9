"""Buying races where they save most, over several buckets."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeware.threshold.hull import Point, buy, lower_hull

STEEP: list[Point] = [(0.1, 0.1, 3.0), (0.2, 0.04, 2.0), (0.9, 0.0, 0.0)]
FLAT: list[Point] = [(0.1, 0.2, 3.0), (0.6, 0.1, 1.0), (0.9, 0.06, 0.0)]


def test_a_hull_leaves_out_what_a_mixture_beats() -> None:
    """The start in the middle costs more than half of each of its neighbours, and saves less."""
    hull = lower_hull([(0.0, 0.4, None), (0.1, 0.1, 3.0), (0.5, 0.09, 2.0), (0.6, 0.0, 1.0)])

    assert hull == [(0.0, 0.4, None), (0.1, 0.1, 3.0), (0.6, 0.0, 1.0)]


def test_a_hull_ends_where_nothing_more_is_saved() -> None:
    """An extra attempt that saves nothing is never offered; one that costs nothing is taken."""
    assert lower_hull([(0.1, 0.2, 3.0), (0.4, 0.2, 2.0), (0.5, 0.2, 1.0)]) == [(0.1, 0.2, 3.0)]
    assert lower_hull([(0.1, 0.2, 3.0), (0.1, 0.1, 2.0)]) == [(0.1, 0.1, 2.0)]


def test_the_steepest_edges_are_bought_first() -> None:
    """Half of the calls each: what the first bucket saves at 0.6 a race, the second does at 0.2."""
    found = buy([STEEP, FLAT], [0.5, 0.5], allowed=0.12)

    assert found.buckets[0].starts == ((2.0, 1.0),)
    assert found.buckets[1].starts == ((3.0, 1.0),)
    assert (found.misses, found.extra, found.capped) == (pytest.approx(0.12), pytest.approx(0.15), False)


def test_the_last_edge_is_bought_in_part() -> None:
    """Half of the second bucket's calls start early; nobody else draws lots."""
    found = buy([STEEP, FLAT], [0.5, 0.5], allowed=0.095)

    assert found.buckets[1].starts == ((1.0, pytest.approx(0.5)), (3.0, pytest.approx(0.5)))
    assert (found.buckets[1].misses, found.buckets[1].extra) == (pytest.approx(0.15), pytest.approx(0.35))
    assert found.misses == pytest.approx(0.095)


def test_a_cap_ends_it_too() -> None:
    """What is affordable is bought, and it is said that it was not enough."""
    found = buy([STEEP, FLAT], [0.5, 0.5], allowed=0.0, max_extra=0.2)

    assert found.capped
    assert found.extra == pytest.approx(0.2)


def test_a_cap_that_the_first_points_pass_buys_nothing() -> None:
    """Whoever asks gets them, and is told."""
    found = buy([STEEP], [1.0], allowed=0.0, max_extra=0.05)

    assert (found.capped, found.extra) == (True, pytest.approx(0.1))


def test_edges_that_save_too_little_are_left() -> None:
    """A target out of reach is not bought at any price."""
    found = buy([STEEP], [1.0], allowed=0.0, least_slope=0.1)

    assert found.buckets[0].starts == ((2.0, 1.0),)
    assert not found.capped


def test_without_lots_the_nearest_start_that_is_offered_is_taken() -> None:
    """The cheapest that saves as much as the part of the edge would; under a cap, the best that it allows."""
    offered: list[Point] = [(0.0, 0.2, None), (0.1, 0.19, 4.0), (0.3, 0.12, 3.0), (0.5, 0.09, 2.0), (0.9, 0.0, 0.0)]
    met = buy([offered], [1.0], allowed=0.1, lots=False)
    capped = buy([offered], [1.0], allowed=0.0, max_extra=0.4, lots=False)

    assert (met.buckets[0].starts, met.misses) == (((2.0, 1.0),), pytest.approx(0.09))
    assert (capped.buckets[0].starts, capped.extra) == (((3.0, 1.0),), pytest.approx(0.3))


def points(steps: list[tuple[float, float]]) -> list[Point]:
    """Starts whose cost grows and whose misses fall."""
    extra, misses, offered = 0.0, 1.0, list[Point]()
    for place, (cost, saved) in enumerate(steps):
        extra, misses = extra + cost, misses * saved
        offered.append((extra, misses, float(place)))
    return offered


OFFERS = st.lists(st.tuples(st.floats(0.01, 0.3), st.floats(0.1, 1.0)), min_size=1, max_size=4).map(points)


@given(st.lists(OFFERS, min_size=1, max_size=3), st.floats(0.0, 1.0), st.booleans())
def test_no_other_choice_of_starts_is_cheaper(offers: list[list[Point]], allowed: float, lots: bool) -> None:
    """With lots, none at all of those that miss no more; and what is bought is what it is said to cost."""
    weights = [1.0 / len(offers)] * len(offers)
    found = buy(offers, weights, allowed=allowed, lots=lots)

    assert found.extra == pytest.approx(sum(w * each.extra for w, each in zip(weights, found.buckets, strict=True)))
    assert found.misses == pytest.approx(sum(w * each.misses for w, each in zip(weights, found.buckets, strict=True)))
    assert all(sum(share for _, share in each.starts) == pytest.approx(1.0) for each in found.buckets)
    for chosen in itertools.product(*offers):
        misses = sum(w * point[1] for w, point in zip(weights, chosen, strict=True))
        if lots and misses <= found.misses:
            assert sum(w * point[0] for w, point in zip(weights, chosen, strict=True)) >= found.extra - 1e-9
