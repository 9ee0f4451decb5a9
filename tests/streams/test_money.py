"""What a stream costs, however it ends: exact where that is known, at least and at most where it was cut short."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import routeware
from routeware import BudgetExceededError
from tests.fakes.providers import HTTPStatusError, pause
from tests.streams.films import Cost, Film, Report, Usage, Wait, read

PRICE = {"price": {"input_usd_per_mtok": 1e6, "output_usd_per_mtok": 1e6}, "max_output_tokens": 90}


def reply(sent: int, output: int) -> dict[str, Any]:
    """Give a chunk with usage."""
    return {"choices": [], "usage": {"prompt_tokens": sent, "completion_tokens": output}}


def film(*scenes: object, **settings: Any) -> Film:
    """A stream of one link at a dollar a token, projected at 100 dollars."""
    made = Film({"a": list(scenes)}, links={"a": PRICE}, **settings)
    made.ask.estimate(lambda link, *_args, **_kwargs: 100.0)
    return made


async def closed_after(made: Film, items: int) -> Any:
    """Read so many items, then leave."""
    stream = made.ask()
    for _ in range(items):
        await anext(stream)
    await stream.aclose()
    return made.records[-1]


async def test_what_is_said_by_hand_counts_however_the_stream_ends() -> None:
    """Case 1."""
    for said, cost in ((Cost(7.0), 7.0), (Usage(3, 4), 7.0)):
        record = await closed_after(film("1", said, "2", "3"), 2)
        assert (record.cost_usd, record.uncertain_usd) == (cost, 0)


async def test_usage_of_a_stream_that_ended_is_exact() -> None:
    """Case 2: reported, or read off its first, last or last but one item."""
    for scenes in (
        ("1", Report(reply(3, 4)), "2"),
        (reply(3, 4), "1", "2", "3"),
        ("1", "2", reply(3, 4)),
        ("1", "2", reply(3, 4), "3"),
    ):
        made = film(*scenes)
        await read(made.ask())
        record = made.records[-1]
        assert (record.cost_usd, record.uncertain_usd) == (7.0, 0)
        assert record.attempts[0].cost_source == "priced"


async def test_usage_known_of_a_stream_that_was_cut_off_is_the_least() -> None:
    """Case 3: settled at least, the rest up to the projection uncertain."""
    record = await closed_after(film("1", Report(reply(3, 4)), "2", "3"), 2)

    assert (record.cost_usd, record.uncertain_usd) == (7.0, 93.0)
    attempt = record.attempts[0]
    assert (attempt.cost_usd, attempt.cost_source) == (100.0, "estimated")
    assert attempt.usage is not None
    assert attempt.usage.output_tokens == 4


async def test_usage_known_of_a_stream_that_failed_is_the_least() -> None:
    """An error after an item is not free, whatever its status."""
    made = film("1", Report(reply(3, 4)), HTTPStatusError(429))
    await read(made.ask())
    record = made.records[-1]

    assert (record.cost_usd, record.uncertain_usd) == (7.0, 93.0)


async def test_a_stream_without_usage_is_booked_at_its_projection() -> None:
    """Case 4: ended, cut off or failed."""
    made = film("1", "2")
    await read(made.ask())
    assert (made.records[-1].cost_usd, made.records[-1].uncertain_usd) == (0, 100.0)
    record = await closed_after(film("1", "2"), 1)
    assert (record.cost_usd, record.uncertain_usd) == (0, 100.0)
    made = film("1", HTTPStatusError(429))
    await read(made.ask())
    assert (made.records[-1].cost_usd, made.records[-1].uncertain_usd) == (0, 100.0)


async def test_before_any_item_the_old_rules_hold() -> None:
    """An answered refusal costs nothing; one after an item that was held back does."""
    made = film(HTTPStatusError(429))
    with pytest.raises(HTTPStatusError):
        await made.ask().start()
    assert (made.records[-1].cost_usd, made.records[-1].uncertain_usd) == (0, 0)

    made = film("", HTTPStatusError(429))
    made.ask.first_item(bool)
    with pytest.raises(HTTPStatusError):
        await made.ask().start()
    assert made.records[-1].uncertain_usd == 100.0


async def test_a_placeholder_of_an_opening_event_is_never_exact() -> None:
    """Anthropic counts one output token before there is any."""
    opening = {
        "type": "message_start",
        "message": {"stop_reason": None, "usage": {"input_tokens": 3, "output_tokens": 1}},
    }
    made = film(opening, "1")
    await read(made.ask())

    assert (made.records[-1].cost_usd, made.records[-1].uncertain_usd) == (4.0, 96.0)


async def test_open_streams_hold_their_reservations() -> None:
    """Committed money is right while ten streams are open; an eleventh does not fit."""
    made = film("1", Wait(100), Report(reply(3, 4)), "2")
    async with routeware.session(limit_usd=1_000) as spending:
        streams = [await made.ask().start() for _ in range(10)]
        assert spending.reserved_usd == 1_000
        with pytest.raises(BudgetExceededError):
            await made.ask().start()
        for stream in streams:
            await read(stream)
        assert (spending.reserved_usd, spending.spent_usd, spending.uncertain_usd) == (0, 70, 0)


async def test_a_losers_reservation_is_free_when_it_has_ended_not_when_the_stream_has() -> None:
    """A race does not hold twice the money for the length of an answer."""
    made = Film(
        {"a": [Wait(500), "a1"], "b": ["b1", Wait(1_000), "b2"]},
        links={"a": PRICE, "b": PRICE},
        latency={"race_after_ms": 50},
    )
    made.ask.estimate(lambda link, *_args, **_kwargs: 100.0)
    async with routeware.session(limit_usd=1_000) as spending:
        stream = await made.ask().start()
        await pause(10)
        assert (spending.reserved_usd, spending.uncertain_usd) == (100, 100)
        await read(stream)


async def test_a_session_that_is_left_neither_closes_an_open_stream_nor_waits_for_it() -> None:
    """It is settled there when it ends."""
    made = film("1", Wait(1_000), Report(reply(3, 4)), "2")
    async with routeware.session(limit_usd=1_000) as spending:
        stream = await made.ask().start()
    assert made.clock() == 0
    assert spending.reserved_usd == 100

    assert (await read(stream))[0] == ["1", "2"]
    assert (spending.reserved_usd, spending.spent_usd) == (0, 7)


async def test_a_routed_call_inside_makes_the_attempt_a_container() -> None:
    """The inner call pays; what the reader calls between items is not inside."""
    inner = film("x", Report(reply(3, 4)))
    outer = Film({"a": ["1", "2"]}, links={"a": PRICE})
    play = outer._play

    async def nested(attempt: Any) -> Any:
        await inner.ask.outcome()
        async for item in play(attempt):
            yield item

    outer._play = nested  # type: ignore[method-assign]
    async with routeware.session() as spending:
        async for _ in outer.ask():
            await inner.ask.outcome()

    assert outer.records[-1].uncertain_usd == 0
    assert spending.spent_usd == 21


async def test_outcome_reads_to_the_end() -> None:
    """The list of items, and the record."""
    made = film("1", Report(reply(3, 4)), "2")

    outcome = await made.ask.outcome()

    assert outcome.value == ["1", "2"]
    assert outcome.record.cost_usd == 7
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_usage_of_a_stream_that_ended_without_its_last_item_is_the_least() -> None:
    """It was cut short, however cleanly its connection was closed."""
    made = film(reply(3, 4), "2")
    made.ask.last_item(lambda _item: False)
    await read(made.ask())

    assert (made.records[-1].cost_usd, made.records[-1].uncertain_usd) == (7.0, 93.0)


async def test_a_stream_that_costs_more_than_its_projection_is_not_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    """It is settled at what it cost, and logged once per link."""
    made = film("1", Report(reply(300, 4)), "2")
    async with routeware.session(limit_usd=1_000) as spending:
        for _ in range(2):
            assert (await read(made.ask()))[0] == ["1", "2"]

    assert (spending.spent_usd, spending.uncertain_usd) == (608, 0)
    assert len([one for one in caplog.records if "was projected at" in one.getMessage()]) == 1


async def test_an_estimate_gets_the_arguments_of_the_asking_and_bounds_the_call() -> None:
    """``per_call_usd`` holds for a stream as for a plain call."""
    made = Film({"a": ["1"]}, links={"a": PRICE}, budget={"per_call_usd": 5})
    seen: list[Any] = []
    made.ask.estimate(lambda link, *args, **kwargs: seen.append((link.label, args, kwargs)) or 10.0)

    stream = made.ask("prompt")
    with pytest.raises(BudgetExceededError):
        await stream.start()

    assert seen == [("a", ("prompt",), {})]
    assert stream.record is not None
    assert stream.record.ended == "failed"


async def test_a_link_that_the_budget_refuses_is_skipped_for_the_next() -> None:
    """Before the first item everything is as for plain calls."""
    made = Film(
        {"a": ["a1"], "b": ["b1"]}, links={"a": PRICE, "b": PRICE}, budget={"per_call_usd": 5, "on_exceed": "skip"}
    )
    made.ask.estimate(lambda link, *_args, **_kwargs: 10.0 if link.label == "a" else 1.0)

    assert await read(made.ask()) == (["b1"], None)
    assert [str(one.status) for one in made.records[-1].attempts] == ["skipped", "succeeded"]


async def test_leaving_a_session_with_an_open_stream_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Its reservation stays in the books until it ends."""
    made = film("1", Report(reply(3, 4)), "2")
    async with routeware.session(limit_usd=1_000) as spending:
        stream = await made.ask().start()

    assert "still reserved" in caplog.text
    await stream.aclose()
    assert (spending.reserved_usd, spending.uncertain_usd) == (0, 100)
