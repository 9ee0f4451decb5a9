"""Real SDKs stream through the middleware: usage, errors under 200, cut connections, truncated answers, leaving."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from importlib.util import find_spec
from typing import Any

import pytest
import pytest_asyncio

from routeware import Price, RoutingPolicy, StreamTruncatedError, has_output, is_final, record_of, routed
from tests.real.streams.apis import APIS, Api
from tests.real.streams.server import CUT, HANG, Server, running
from tests.streams.films import read

PRICE = Price(input_usd_per_mtok=1e6, output_usd_per_mtok=1e6)


def over(apis: Mapping[str, Api]) -> pytest.MarkDecorator:
    """Run a test over each of these APIs."""
    return pytest.mark.parametrize("api", apis.values(), ids=apis)


everywhere = over(APIS)
with_errors = over({name: api for name, api in APIS.items() if api.error is not None})


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    """Run a server for one test."""
    async with running() as started:
        yield started


def routed_over(api: Api) -> Any:
    """Decorate the API's function over two links.

    Mistral's SDK takes an error event for a chunk of the wrong shape, and shows nothing of it.
    """
    if api.module is not None:
        pytest.importorskip(api.module)
    chain = [{"provider": one, "model": "m", "label": one, "price": PRICE, "max_output_tokens": 100} for one in "ab"]
    kinds = {"on_error_kinds": ["default", "schema_validation"]}
    ask = routed(RoutingPolicy.from_dict({"chain": chain, "failover": kinds}))(api.ask)
    ask.first_item(has_output)
    ask.last_item(is_final)
    return ask


@everywhere
async def test_a_whole_answer_is_handed_over_and_its_usage_is_exact(api: Api, server: Server) -> None:
    """20 tokens in, 6 out, at a dollar each."""
    server.scripts = {"a": api.events}

    outcome = await routed_over(api).outcome(server.url)

    record = outcome.record
    assert (record.ended, record.cost_usd, record.uncertain_usd) == ("completed", 26.0, 0)
    assert record.items == len(outcome.value) > 2
    usage = record.attempts[0].usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (20, 6)


@everywhere
async def test_a_reader_that_breaks_at_the_finish_reason_is_settled_exactly(api: Api, server: Server) -> None:
    """Usage comes after it."""
    server.scripts = {"a": api.events}
    stream = routed_over(api)(server.url)

    async with stream:
        async for item in stream:
            if is_final(item):
                break

    assert (stream.record.cost_usd, stream.record.uncertain_usd) == (26.0, 0)


@with_errors
async def test_an_error_under_200_before_the_first_item_fails_over(api: Api, server: Server) -> None:
    """Whatever opening events came before it."""
    server.scripts = {"a": [*api.events[: api.after - 1], api.error], "b": api.events}

    outcome = await routed_over(api).outcome(server.url)

    assert server.asked == ["a", "b"]
    assert [str(one.status) for one in outcome.record.attempts] == ["failed", "succeeded"]
    assert outcome.record.selected == 1


@with_errors
async def test_an_error_under_200_after_the_first_item_reaches_the_reader(api: Api, server: Server) -> None:
    """Unchanged, with the record."""
    server.scripts = {"a": [*api.events[: api.after], api.error], "b": api.events}
    stream = routed_over(api)(server.url)

    items, error = await read(stream)

    assert any(map(has_output, items))
    assert server.asked == ["a"]
    assert error is not None
    record = record_of(error)
    assert record is not None
    assert (record.ended, record.outcome, record.selected) == ("failed", "failed", 0)
    if api.hands_errors_on:
        assert isinstance(error, StreamTruncatedError)
        assert items[-1].type == "error"
    else:
        assert type(error).__module__.partition(".")[0] != "routeware"


@everywhere
async def test_a_connection_that_is_cut_fails_over_or_reaches_the_reader(api: Api, server: Server) -> None:
    """Before the first item the next link answers; after it the client's own error comes out."""
    server.scripts = {"a": [CUT], "b": [*api.events[: api.after], CUT]}
    stream = routed_over(api)(server.url)

    items, error = await read(stream)

    assert server.asked == ["a", "b"]
    assert any(map(has_output, items))
    assert stream.record.selected == 1
    assert stream.record.attempts[1].error.category == "transient_network"
    assert error is not None
    assert record_of(error) == stream.record


@everywhere
async def test_an_answer_that_ends_without_its_finish_reason_was_cut_short(api: Api, server: Server) -> None:
    """However cleanly its connection was closed."""
    server.scripts = {"a": api.events[: api.unfinished]}
    stream = routed_over(api)(server.url)

    with pytest.raises(StreamTruncatedError):
        async for _ in stream:
            pass

    assert stream.record.ended == "failed"
    assert stream.record.uncertain_usd > 0


@everywhere
async def test_a_server_sees_within_a_second_that_its_client_has_left(api: Api, server: Server) -> None:
    """Whether it leaves by itself or is cancelled."""
    for leave in ("close", "cancel"):
        server.scripts = {"a": [*api.events[: api.after], HANG]}
        server.left.clear()
        server.has_left.clear()
        stream = routed_over(api)(server.url)
        await stream.start()
        began = time.monotonic()
        if leave == "close":
            await stream.aclose()
        else:
            task = asyncio.ensure_future(read(stream))
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.wait([task])
        await asyncio.wait_for(server.has_left.wait(), 5)
        assert server.left["a"] - began < 1
        assert stream.record.ended == ("closed" if leave == "close" else "cancelled")


@everywhere
async def test_a_slow_stream_is_raced(api: Api, server: Server) -> None:
    """And its server sees that it has lost."""
    server.scripts = {"a": [*api.events[: api.after - 1], HANG], "b": api.events}

    outcome = await routed_over(api).with_options(race_after_ms=50).outcome(server.url)

    assert [str(one.status) for one in outcome.record.attempts] == ["race_lost", "succeeded"]
    await asyncio.wait_for(server.has_left.wait(), 5)
    assert list(server.left) == ["a"]


def test_they_stream_on_uvloop() -> None:
    """Each of them, once: a whole answer, and a reader that leaves."""
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        for api in APIS.values():
            if api.module is not None and find_spec(api.module) is None:
                continue
            async with running() as server:
                server.scripts = {"a": api.events}
                outcome = await routed_over(api).outcome(server.url)
                assert outcome.record.cost_usd == 26.0
                server.scripts = {"a": [*api.events[: api.after], HANG]}
                stream = await routed_over(api)(server.url).start()
                await stream.aclose()
                assert stream.record.ended == "closed"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
