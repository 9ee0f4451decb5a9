"""Cooldown never fails a call, whatever has failed before: a share of the random schedules."""

from __future__ import annotations

import pytest

from tests.availability.schedules import play_all


@pytest.mark.parametrize("first", range(0, 1_000, 250))
def test_a_call_that_any_link_would_answer_gets_an_answer(first: int) -> None:
    """A thousand schedules of a hundred thousand, always the same."""
    assert play_all(range(first, first + 250)) > 500
