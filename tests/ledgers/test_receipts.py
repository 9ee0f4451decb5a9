"""Which settled ids a ledger may forget: those whose every request was answered, and no others."""

from __future__ import annotations

import pytest

from routeware import LedgerUnavailableError, PolicyError, RoutewareError
from routeware.contrib import receipts
from routeware.contrib.receipts import Receipts


class Clock:
    """The monotonic clock, by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(receipts.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands still."""
    return Clock(monkeypatch)


def test_an_answered_settlement_may_be_forgotten() -> None:
    """Once: it is acknowledged and then the client knows nothing of it."""
    book = Receipts(10)
    assert not book.pending
    book.answered("a", held=True)
    book.answered("b", held=False)

    assert book.pending
    assert book.take(1) == ["a"]
    assert book.take(5) == ["b"]
    assert not book.pending


def test_one_that_had_to_be_repeated_may_not() -> None:
    """Its first copy may still be on its way."""
    book = Receipts(10)
    book.unanswered("a")
    book.answered("a", held=True)

    assert not book.pending


def test_what_the_ledger_could_not_be_told_is_told_another_time() -> None:
    """In any order."""
    book = Receipts(10)
    book.answered("a", held=True)
    book.put_back(book.take(5))

    assert book.take(5) == ["a"]


def test_a_settlement_is_repeated_for_so_long_and_refused_from_then_on(clock: Clock) -> None:
    """Counted from its first request; the error is none that is repeated."""
    book = Receipts(10)
    book.unanswered("a")
    clock.now += 9
    book.unanswered("a")
    clock.now += 1
    book.allow("a")
    clock.now += 0.1

    with pytest.raises(RoutewareError, match="for 10 s; it is not repeated any more") as raised:
        book.allow("a")
    assert not isinstance(raised.value, LedgerUnavailableError)
    book.allow("b")


def test_the_memory_of_unanswered_ids_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was pushed out nobody knows that it may come again, so nothing of unknown history is acknowledged."""
    monkeypatch.setattr(receipts, "_MOST", 2)
    book = Receipts(10)
    for id in "abc":
        book.unanswered(id)

    book.answered("a", held=False)
    assert not book.pending, "pushed out, and its first copy may come"
    book.answered("held", held=True)
    assert book.take(5) == ["held"], "its hold and its settlement were both answered"

    clock.now += 20.1
    book.answered("later", held=False)
    assert book.take(5) == ["later"]


@pytest.mark.parametrize("repeat_s", [0, -1, float("nan")])
def test_a_time_that_is_none_is_refused(repeat_s: float) -> None:
    """By name."""
    with pytest.raises(PolicyError) as raised:
        Receipts(repeat_s)
    assert raised.value.key == "repeat_s"
