"""Routing to the first item: what wins, what fails over, and what its reader never sees."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from routeware import (
    Attempt,
    AttemptTimeoutError,
    DeadlineExceededError,
    ExhaustedError,
    ResultRejectedError,
    StreamTruncatedError,
    has_output,
    is_final,
    record_of,
)
from tests.fakes.providers import FatalError, HTTPStatusError, other_tasks
from tests.fakes.tracing import Traces
from tests.streams.films import Film, Report, Wait, quiet, read


def busy() -> HTTPStatusError:
    """An answered 503."""
    return HTTPStatusError(503)


def chat(**delta: Any) -> dict[str, Any]:
    """Give a chunk of a chat."""
    finish = delta.pop("finish", None)
    return {"choices": [{"delta": delta, "finish_reason": finish}]}


async def test_a_slow_stream_is_raced_to_its_first_item() -> None:
    """A at 500 ms for its first item, b at 10, threshold 50: the reader's first item is there at 60."""
    traces = Traces()
    film = Film(
        {"a": [Wait(500), "a1"], "b": [Wait(10), "b1", Wait(100), "b2"]},
        latency={"race_after_ms": 50},
        options=traces.options,
    )

    async with film.ask("hi") as stream:
        assert film.clock() == 60
        assert stream.link is not None
        assert stream.link.label == "b"
        assert [item async for item in stream] == ["b1", "b2"]

    assert film.clock() == 160
    assert film.ended == {"a": (60.0, "CancelledError"), "b": (160.0, "end")}
    record = film.records[-1]
    assert stream.record == record
    assert (record.first_item_ms, record.items, record.ended, record.outcome) == (60.0, 2, "completed", "succeeded")
    assert [(one.label, str(one.status), one.first_item_ms, one.items) for one in record.attempts] == [
        ("a", "race_lost", None, 0),
        ("b", "succeeded", 10.0, 2),
    ]
    assert record.selected == 1
    spans = traces.attempts
    assert spans["a"].end_time is not None
    assert spans["b"].end_time is not None
    assert spans["a"].end_time < spans["b"].end_time
    assert [name.rpartition(".")[2] for name in traces.events][:3] == ["race_started", "first_item", "race_lost"]


async def test_the_first_item_does_not_wait_for_a_losers_clean_up_and_the_end_does() -> None:
    """A loser that cleans up for 200 ms delays nobody's first word."""
    film = Film({"a": [Wait(500), "a1"], "b": ["b1"]}, latency={"race_after_ms": 50})

    original = film._play

    async def stubborn(attempt: Any) -> Any:
        try:
            async for item in original(attempt):
                yield item
        except asyncio.CancelledError:
            await asyncio.sleep(0.2)
            raise

    film._play = stubborn  # type: ignore[method-assign]
    stream = film.ask()
    assert await anext(stream) == "b1"
    assert film.clock() == 50

    assert await read(stream) == ([], None)
    assert film.clock() == 250


async def test_before_the_first_item_a_failure_is_failed_over() -> None:
    """Nothing of the failed attempt is ever seen."""
    film = Film({"a": [Wait(5), busy()], "b": ["b1", "b2"]})

    assert await read(film.ask()) == (["b1", "b2"], None)
    assert [str(one.status) for one in film.records[-1].attempts] == ["failed", "succeeded"]


async def test_after_the_first_item_an_error_reaches_the_reader_as_it_is() -> None:
    """After the items before it, the same object, with notes and a record."""
    error = busy()
    film = Film({"a": ["a1", "a2", error], "b": ["b1"]})

    items, raised = await read(film.ask())

    assert items == ["a1", "a2"]
    assert raised is error
    record = record_of(error)
    assert record is not None
    assert (record.outcome, record.ended, record.selected, record.items) == ("failed", "failed", 0, 2)
    assert record.attempts[0].error is not None
    assert record.attempts[0].error.may_have_cost
    assert len(error.__notes__) == 1


async def test_with_wrap_errors_an_error_in_the_middle_stays_as_it_is() -> None:
    """Only an exhausted chain is wrapped."""
    error = busy()
    film = Film({"a": ["a1", error]}, options={"wrap_errors": True})
    assert (await read(film.ask()))[1] is error

    film = Film({"a": [busy()], "b": [busy()]}, options={"wrap_errors": True})
    stream = film.ask()
    with pytest.raises(ExhaustedError):
        await stream.start()
    assert stream.record is not None
    assert stream.record.ended == "failed"
    assert stream.link is None


async def test_a_role_does_not_win_and_is_handed_over_with_the_first_item() -> None:
    """Held back in order; with a loser it is dropped."""
    role, text = chat(role="assistant"), chat(content="Hi")
    film = Film({"a": [role, Wait(500), chat(content="late")], "b": [role, text]}, latency={"race_after_ms": 50})
    film.ask.first_item(has_output)

    assert await read(film.ask()) == ([role, text], None)
    assert film.records[-1].attempts[0].items == 0


async def test_what_a_stream_begins_with_may_be_turned_down() -> None:
    """``accept`` judges the first item that counts and no other."""
    film = Film({"a": ["no", "a2"], "b": ["yes", "no"]})

    @film.ask.accept
    async def good(item: str) -> bool:
        await asyncio.sleep(0.01)
        return item == "yes"

    assert await read(film.ask()) == (["yes", "no"], None)
    assert str(film.records[-1].attempts[0].status) == "rejected"
    assert film.ended["a"][0] == 10


async def test_a_stream_that_is_turned_down_last_raises_with_its_item() -> None:
    """As a rejected result does."""
    film = Film({"a": ["no"]})
    film.ask.accept(lambda item: item == "yes")

    with pytest.raises(ResultRejectedError) as caught:
        await film.ask().start()
    assert caught.value.result == "no"


async def test_a_generator_that_gives_nothing_is_an_answer_without_items() -> None:
    """As the bare function: an empty result is a result."""
    film = Film({"a": [Wait(5)], "b": ["b1"]})

    assert await read(film.ask()) == ([], None)
    record = film.records[-1]
    assert (record.outcome, record.first_item_ms, record.items, record.ended) == ("succeeded", None, 0, "completed")


async def test_a_generator_that_ends_before_an_item_counts_is_rejected() -> None:
    """With what was held back as the result."""
    film = Film({"a": ["", ""], "b": ["b1"]})
    film.ask.first_item(has_output)
    assert await read(film.ask()) == (["b1"], None)

    film = Film({"a": ["", ""]})
    film.ask.first_item(has_output)
    with pytest.raises(ResultRejectedError) as caught:
        await film.ask().start()
    assert caught.value.result == ["", ""]


async def test_a_stream_that_ends_without_its_last_item_was_cut_short() -> None:
    """Before the first item that fails over; after it the reader is told in place of the end."""
    film = Film({"a": [], "b": [chat(content="Hi"), chat(finish="stop")]})
    film.ask.last_item(is_final)
    items, error = await read(film.ask())
    assert (len(items), error) == (2, None)
    first = film.records[-1].attempts[0].error
    assert first is not None
    assert first.category == "transient_network"

    film = Film({"a": [chat(content="Hi"), chat(content="!")]})
    film.ask.last_item(is_final)
    items, error = await read(film.ask())
    assert len(items) == 2
    assert isinstance(error, StreamTruncatedError)
    assert (error.label, error.items) == ("a", 2)
    assert film.records[-1].ended == "failed"


async def test_an_error_that_is_not_failed_over_is_raised_unchanged() -> None:
    """As for plain calls."""
    error = FatalError("mine")
    film = Film({"a": [error], "b": ["b1"]})

    with pytest.raises(FatalError) as caught:
        await film.ask().start()
    assert caught.value is error


async def test_a_time_out_runs_to_the_first_item() -> None:
    """Held-back items are no answer; after the first item ``timeout_ms`` says nothing."""
    film = Film({"a": ["", Wait(200), "a1"], "b": ["b1", Wait(500), "b2"]}, failover={"on_timeout_ms": 100})
    film.ask.first_item(has_output)

    assert await read(film.ask()) == (["b1", "b2"], None)
    assert str(film.records[-1].attempts[0].error.category) == "timeout"  # type: ignore[union-attr]
    assert film.clock() == 600


async def test_a_deadline_for_the_first_item_holds_over_all_attempts() -> None:
    """A chat has to begin within seconds, and may take a minute."""
    film = Film(
        {"a": [Wait(80), busy()], "b": [Wait(80), "b1"]},
        latency={"first_item_deadline_ms": 100, "deadline_ms": 60_000},
    )
    with pytest.raises(DeadlineExceededError) as caught:
        await film.ask().start()
    assert caught.value.deadline_ms == 100
    assert film.clock() == 100
    assert film.records[-1].outcome == "deadline_exceeded"

    film = Film({"a": [Wait(80), "a1", Wait(500), "a2"]}, latency={"first_item_deadline_ms": 100})
    assert await read(film.ask()) == (["a1", "a2"], None)


async def test_a_deadline_cuts_a_stream_in_the_middle() -> None:
    """The items so far, then the error; the attempt that was read stays the selected one."""
    film = Film({"a": ["a1", Wait(80), "a2", Wait(500), "a3"]}, latency={"deadline_ms": 100})

    items, error = await read(film.ask())

    assert items == ["a1", "a2"]
    assert isinstance(error, DeadlineExceededError)
    assert film.clock() == 100
    record = film.records[-1]
    assert (record.outcome, record.ended, record.selected) == ("deadline_exceeded", "failed", 0)
    assert str(record.attempts[0].status) == "cancelled"


async def test_a_stall_gives_what_came_then_a_time_out() -> None:
    """``idle_timeout_ms`` after three items: the three, then the error that says so."""
    film = Film({"a": [1, 2, 3, Wait(5_000), 4], "b": [5]}, failover={"idle_timeout_ms": 1_000})

    items, error = await read(film.ask())

    assert items == [1, 2, 3]
    assert isinstance(error, AttemptTimeoutError)
    assert (error.items, error.timeout_ms, error.label) == (3, 1_000, "a")
    assert film.clock() == 1_000
    assert film.ended["a"] == (1_000, "CancelledError")


async def test_the_readers_own_time_is_no_stall_and_a_report_begins_the_wait_anew() -> None:
    """Only what the provider keeps the reader waiting counts."""
    film = Film({"a": [1, Wait(800), Report({}), Wait(800), 2]}, links={"a": {"idle_timeout_ms": 1_000}})
    stream = film.ask()

    assert await anext(stream) == 1
    await asyncio.sleep(5)
    assert await anext(stream) == 2
    assert await read(stream) == ([], None)


async def test_an_item_that_comes_as_the_timer_rings_is_delivered() -> None:
    """What is there counts."""
    film = Film({"a": [1, Wait(1_000), 2]}, failover={"idle_timeout_ms": 1_000})

    assert await read(film.ask()) == ([1, 2], None)


async def test_a_stall_after_the_last_item_is_no_error() -> None:
    """Some providers keep the connection open after they have said that they are done."""
    last = chat(finish="stop")
    film = Film({"a": [chat(content="Hi"), last, Wait(60_000)]}, failover={"idle_timeout_ms": 1_000})
    film.ask.last_item(is_final)

    items, error = await read(film.ask())

    assert items[-1] is last
    assert error is None
    assert film.records[-1].ended == "completed"


async def test_the_provider_is_held_back_by_a_slow_reader() -> None:
    """Nothing is read ahead."""
    film = Film({"a": [1, 2, 3]})
    stream = film.ask()

    assert await anext(stream) == 1
    await asyncio.sleep(1)
    assert film.made == [1]
    assert await anext(stream) == 2
    assert film.made == [1, 2]
    await stream.aclose()
    assert not other_tasks()


class Tidy(Film):
    """Films of which ``a`` takes its time to clean up."""

    clean_up_ms = 200.0

    def _function(self) -> Any:
        async def ask(attempt: Attempt) -> AsyncIterator[Any]:
            try:
                async for item in self._play(attempt):
                    yield item
            finally:
                if attempt.label == "a":
                    await asyncio.sleep(self.clean_up_ms / 1000)

        return ask


def _turn_down(item: str) -> bool:
    return item != "no"


def _fail(item: str) -> bool:
    return 1 / (item != "no") > 0


@pytest.mark.parametrize(
    ("check", "status", "category"), [(_turn_down, "rejected", "rejected"), (_fail, "failed", "generic")]
)
async def test_the_next_link_does_not_wait_for_the_clean_up_of_one_that_was_turned_down(
    check: Any, status: str, category: str
) -> None:
    """The first item is there at once; the end waits for what is left of the clean-up, which nothing cancels."""
    film = Tidy({"a": ["no"], "b": ["yes"]}, failover={"on_error_kinds": ["default", "generic"]})
    film.ask.accept(check)

    stream = film.ask()
    assert await anext(stream) == "yes"
    assert film.clock() == 0

    assert await read(stream) == ([], None)
    assert film.clock() == 200
    first = film.records[-1].attempts[0]
    assert first.error is not None
    assert (str(first.status), first.error.category, first.duration_ms) == (status, category, 0)
    quiet()


@pytest.mark.parametrize("settings", [{}, {"failover": {"on_timeout_ms": 100}}])
async def test_a_stream_that_is_turned_down_waits_250_ms_for_its_clean_up(settings: dict[str, Any]) -> None:
    """No time-out runs any more: it has answered, though not well."""
    film = Tidy({"a": ["no"]}, **settings)
    film.clean_up_ms = 3_000
    film.ask.accept(_turn_down)

    with pytest.raises(ResultRejectedError):
        await film.ask().start()

    assert film.clock() == 250
    assert [str(one.status) for one in film.records[-1].attempts] == ["rejected"]
    await asyncio.sleep(3)
    quiet()


async def test_a_caller_who_goes_away_cancels_no_clean_up_of_what_was_turned_down() -> None:
    """It is ending already: a second cancellation would break that off."""
    film = Tidy({"a": ["no"], "b": [Wait(1_000), "yes"]})
    film.ask.accept(_turn_down)

    starting = asyncio.ensure_future(film.ask().start())
    await asyncio.sleep(0.1)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert film.clock() == 200
    assert [str(one.status) for one in film.records[-1].attempts] == ["rejected", "cancelled"]
    quiet()


async def test_a_stream_that_is_turned_down_as_another_answers_is_rejected_all_the_same() -> None:
    """What is there counts, though it still cleans up."""
    film = Tidy({"a": [Wait(50), "no"], "b": [Wait(40), "yes"]}, latency={"race_after_ms": 10})
    film.ask.accept(_turn_down)

    assert await read(film.ask()) == (["yes"], None)

    assert film.clock() == 250
    assert [(str(one.status), one.duration_ms) for one in film.records[-1].attempts] == [
        ("rejected", 50),
        ("succeeded", 40),
    ]
    quiet()


async def test_a_stream_that_is_turned_down_as_its_caller_goes_away_is_rejected_all_the_same() -> None:
    """And its clean-up is waited for."""
    film = Tidy({"a": ["no"], "b": ["yes"]})

    @film.ask.accept
    def check(_item: str) -> bool:
        starting.cancel()
        return False

    starting = asyncio.ensure_future(film.ask().start())
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert film.clock() == 200
    first = film.records[-1].attempts[0]
    assert first.error is not None
    assert (str(first.status), first.error.category, first.duration_ms) == ("rejected", "rejected", 0)
    quiet()
