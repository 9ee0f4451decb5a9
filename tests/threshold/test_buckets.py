"""Sizes and the buckets that they are cut into."""

from __future__ import annotations

import fractions
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeware.threshold import RaceSource, checked_size
from routeware.threshold.buckets import BucketRange, find_buckets


def test_numbers_are_cut_at_their_quantiles() -> None:
    """Eight of equal number, from 320 calls on."""
    found = find_buckets([float(size) for size in range(800)])

    assert found is not None
    assert [held.up_to for held in found.ranges[:7]] == [99.0, 199.0, 299.0, 399.0, 499.0, 599.0, 699.0]
    assert found.ranges[7:] == (BucketRange(above=699.0), BucketRange(value="unknown"))
    assert [found.place(size) for size in (-5.0, 99.0, 99.5, 1e9)] == [0, 0, 1, 7]


@pytest.mark.parametrize(("calls", "buckets"), [(79, None), (80, 2), (160, 4), (600, 8)])
def test_a_bucket_has_40_calls(calls: int, buckets: int | None) -> None:
    """Fewer than 80 calls are one bucket."""
    found = find_buckets([float(size) for size in range(calls)])

    assert (found and len(found) - 1) == buckets


def test_equal_sizes_stay_together() -> None:
    """A template that half of the calls share is one bucket, and one size for all calls tells nothing."""
    found = find_buckets([10.0] * 300 + [float(size) for size in range(100, 400)])

    assert found is not None
    assert found.ranges[0] == BucketRange(up_to=10.0)
    assert find_buckets([10.0] * 600) is None


def test_texts_go_by_value_and_the_rarest_together() -> None:
    """A value that fewer than 40 calls have is among the others."""
    found = find_buckets(["chat"] * 100 + ["summary"] * 60 + ["title"] * 30 + ["tags"] * 20)

    assert found is not None
    assert [held.value for held in found.ranges] == ["chat", "summary", "other", "unknown"]
    assert [found.place(size) for size in ("chat", "tags", "never seen", None)] == [0, 2, 2, 3]


def test_there_are_eight_buckets_at_most() -> None:
    """Of texts as of numbers, the unknown ones not counted."""
    found = find_buckets([f"kind {call % 12}" for call in range(600)])

    assert found is not None
    assert len(found) == 9
    assert found.ranges[7].value == "other"


def test_too_few_others_are_joined_by_the_rarest_value() -> None:
    """No bucket is made of less than 40 calls."""
    found = find_buckets(["chat"] * 100 + ["summary"] * 60 + ["title"] * 30)

    assert found is not None
    assert [held.value for held in found.ranges] == ["chat", "other", "unknown"]


def test_numbers_and_texts_may_be_mixed() -> None:
    """Few numbers among texts are others; enough of them have ranges."""
    few = find_buckets(["chat"] * 100 + [5.0] * 10 + ["summary"] * 60)
    many = find_buckets(["chat"] * 100 + [float(size) for size in range(200)])

    assert few is not None
    assert few.place(7.0) == few.place("never seen")
    assert many is not None
    assert [held.value for held in many.ranges if held.value] == ["chat", "unknown"]
    assert len(many) == 7
    assert many.place("never seen") == many.place(None)


def test_unknown_sizes_have_a_bucket_of_their_own() -> None:
    """They are not guessed; where nothing else is known there is nothing to tell apart."""
    found = find_buckets([5.0] * 100 + [None] * 5)

    assert found is not None
    assert (found.place(5.0), found.place(None)) == (0, 1)
    assert find_buckets([None] * 100) is None


@given(st.lists(st.one_of(st.none(), st.integers(0, 9).map(float), st.sampled_from("abcdefghijk")), max_size=700))
def test_whatever_the_sizes_every_bucket_that_is_made_has_its_calls(sizes: list[Any]) -> None:
    """Every size has one place, and none but that of unknown ones is made for fewer than 40."""
    found = find_buckets(sizes)
    if found is None:
        return

    places = [found.place(size) for size in sizes]
    held = [places.count(at) for at in range(len(found) - 1)]
    assert len(found) <= 9
    assert all(calls >= 40 for calls in held) or len(found) == 2


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (5, 5.0),
        (2.5, 2.5),
        (-1, -1.0),
        (np.int64(7), 7.0),
        (np.float32(0.5), 0.5),
        (fractions.Fraction(1, 2), 0.5),
        ("chat", "chat"),
        (RaceSource.NONE, "none"),
        ("x" * 1000, "x" * 64),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        (True, None),
        (None, None),
        (b"chat", None),
        (["chat"], None),
    ],
)
def test_what_may_be_a_size(value: object, size: float | str | None) -> None:
    """A finite number or a text; long texts are cut, for a prompt given by mistake must not be kept."""
    assert checked_size(value) == size
