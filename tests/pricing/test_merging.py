"""Reports by parts: a later one replaces what it says, and keeps what it does not say."""

from __future__ import annotations

from functools import reduce
from itertools import permutations

import pytest

from routeware.money import Usage
from routeware.pricing import Reading, merged_usage, read_report

START = {
    "type": "message_start",
    "message": {"usage": {"input_tokens": 100, "cache_read_input_tokens": 900, "output_tokens": 1}},
}


def reported(*replies: object) -> Usage | None:
    """Return the usage after all of these reports."""

    def merge(usage: Usage | None, reading: Reading) -> Usage | None:
        return merged_usage(usage, reading.usage, plain_input=reading.plain_input)

    return reduce(merge, map(read_report, replies), None)


def end(**counts: int | None) -> object:
    """Build the last event of one of Anthropic's streams."""
    return {"type": "message_delta", "usage": {"output_tokens": 50, **counts}}


@pytest.mark.parametrize(
    "last",
    [
        end(),
        end(input_tokens=None, cache_read_input_tokens=None),
        end(input_tokens=0, cache_read_input_tokens=0),
        end(input_tokens=100),
        end(input_tokens=100, cache_read_input_tokens=900),
    ],
    ids=["output only", "none", "zeros", "plain input", "all of it"],
)
def test_the_input_of_a_streams_beginning_is_kept(last: object) -> None:
    """However the last event counts: 1,000 tokens in, of which 900 came out of a cache, and 50 out."""
    assert reported(START, last) == Usage(input_tokens=1000, output_tokens=50, cached_input_tokens=900)


def test_an_event_that_corrects_the_input_counts() -> None:
    """A search on the server adds to the input; parts of it may be said alone."""
    assert reported(START, end(input_tokens=150)) == Usage(input_tokens=1050, output_tokens=50, cached_input_tokens=900)
    assert reported(START, end(cache_read_input_tokens=800)) == Usage(
        input_tokens=900, output_tokens=50, cached_input_tokens=800
    )


def test_input_that_was_never_said_stays_unknown() -> None:
    """A cache's count alone is no input."""
    assert reported(end(), end(cache_read_input_tokens=5)) == Usage(output_tokens=50, cached_input_tokens=5)


def test_where_the_input_includes_everything_it_is_replaced_as_a_whole() -> None:
    """OpenAI's and Google's input holds what was cached."""
    first = {"usage": {"prompt_tokens": 90, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 80}}}
    last = {"usage": {"prompt_tokens": 100, "completion_tokens": 30}}

    assert reported(first, last) == Usage(input_tokens=100, output_tokens=30, cached_input_tokens=80)


def test_reports_without_usage_change_nothing() -> None:
    """Most events of a stream are text."""
    events = [START, {"type": "content_block_delta"}, end()]

    assert {reported(*order) for order in permutations(events) if order.index(START) < order.index(events[2])} == {
        Usage(input_tokens=1000, output_tokens=50, cached_input_tokens=900)
    }
    assert reported(None) is None
