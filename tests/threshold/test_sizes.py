"""Targets by size, from the call's side: what a request is measured by, and what that does to its races."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from routeware import Attempt, Routed, RoutingPolicy, routed
from routeware.threshold import BucketReport
from tests.fakes.providers import pause
from tests.fakes.tracing import Traces, fields_of, logged


@pytest.fixture(autouse=True)
def chance(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same draws every time."""
    drawn = random.Random(1)
    monkeypatch.setattr("random.random", drawn.random)
    return iter(())


def asking(options: dict[str, Any] | None = None, **latency: object) -> Routed[[str], str]:
    """A target of a second. Short prompts take 100 ms and long ones 900; one in five of either hangs at the primary."""
    rules = {"target_p95_ms": 1000, "explore": 0, "max_extra": 1, **latency}
    calls = iter(range(10**6))

    @routed(RoutingPolicy(chain=["a:m", "b:m"], latency=rules), **(options or {}))
    async def ask(attempt: Attempt, prompt: str) -> str:
        usual_ms = 900 if len(prompt) > 100 else 100
        if attempt.provider == "a":
            await pause(5000 if next(calls) % 10 in (4, 5) else usual_ms)
        else:
            await pause(usual_ms)
        return attempt.provider

    return ask


SHORT, LONG = "hello", "hello " * 100


async def called(ask: Routed[[str], str], count: int) -> None:
    """Every other prompt is long."""
    for call in range(count):
        await ask(LONG if call % 2 else SHORT)


def rows(ask: Routed[[str], str]) -> tuple[BucketReport, ...]:
    """What is believed of requests by size."""
    report = ask.latency_report()
    assert report is not None
    return report.buckets


async def test_without_sizes_all_requests_start_alike() -> None:
    """One row in the report, one start."""
    ask = asking()
    await called(ask, 300)

    (row,) = rows(ask)
    assert (row.above, row.up_to, row.value) == (None, None, None)


async def test_by_size_long_requests_race_earlier_than_short_ones() -> None:
    """By default a request is measured by its input tokens; each size has starts of its own."""
    ask = asking(by_size=True)
    await called(ask, 300)

    short, long = rows(ask)
    assert short.up_to is not None
    assert short.up_to < 20
    assert long.above == short.up_to
    early = [row.starts[0].race_after_ms for row in (short, long)]
    assert early[0] is not None
    assert early[1] is not None
    assert early[0] > early[1] + 300
    after = [(await ask.outcome(LONG)).record.race_after_ms or 0.0 for _ in range(20)]
    assert min(after) == pytest.approx(early[1])


async def test_a_registered_size_switches_sizes_on() -> None:
    """Whatever the policy says, and for views that were made before; it gets the caller's arguments."""
    ask = asking()
    view = ask.with_options(deadline_ms=60_000)
    seen: list[str] = []

    @ask.size
    def kind(prompt: str) -> str:
        seen.append(prompt)
        return "long" if len(prompt) > 100 else "short"

    await called(view, 300)

    assert seen[:2] == [SHORT, LONG]
    assert sorted(str(row.value) for row in rows(view)) == ["long", "short"]
    assert rows(ask) == rows(view)


async def test_a_methods_size_gets_no_instance() -> None:
    """As its estimate."""
    seen: list[tuple[object, ...]] = []

    class Bot:
        @routed(RoutingPolicy(chain=["a:m", "b:m"], latency={"target_p95_ms": 1000}))
        async def ask(self, attempt: Attempt, prompt: str, *, limit: int = 3) -> str:
            return prompt

        @ask.size
        def measured(*args: object, **kwargs: object) -> float:
            seen.append((*args, kwargs))
            return 5

    await Bot().ask("hello", limit=7)

    assert seen == [("hello", {"limit": 7})]


class OddError(Exception):
    """What a hook raises; its text is nobody's business."""


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (float("nan"), "gave a float that is neither"),
        (None, "gave a NoneType that is neither"),
        (True, "gave a bool that is neither"),
        (OddError("a secret prompt"), "failed (OddError)"),
        (asyncio.CancelledError("a secret prompt"), "failed (CancelledError)"),
    ],
)
async def test_a_size_that_cannot_be_used_is_unknown(
    answer: object, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The call goes on, is decided and counted; the log has one line, without what the hook said."""
    ask = asking()

    @ask.size
    def measured(prompt: str) -> Any:
        if len(prompt) > 100:
            return 5
        if isinstance(answer, BaseException):
            raise answer
        return answer

    await called(ask, 300)

    known, unknown = rows(ask)
    assert (known.value, unknown.value) == (None, "unknown")
    assert known.calls == unknown.calls
    lines = [record for record in caplog.records if "size hook" in record.getMessage()]
    assert len(lines) == 1
    assert lines[0].levelname == "WARNING"
    assert told in lines[0].getMessage()
    assert "secret" not in caplog.text


async def test_without_a_target_nothing_is_measured() -> None:
    """There is nothing to learn from it."""

    @routed(RoutingPolicy(chain=["a:m", "b:m"], latency={"race_after_ms": 50}))
    async def ask(attempt: Attempt) -> str:
        return "never measured"

    @ask.size
    def measured() -> float:
        raise AssertionError

    assert await ask() == "never measured"


def test_a_size_is_a_function_that_is_not_async() -> None:
    """It is asked before anything is started."""
    ask = asking()
    nonsense: Any = 5

    async def measured(prompt: str) -> float:
        return 5

    with pytest.raises(TypeError, match="size takes a function that is not async, not 5"):
        ask.size(nonsense)
    with pytest.raises(TypeError, match="size takes a function that is not async"):
        ask.size(measured)  # type: ignore[arg-type]


async def test_a_capped_target_is_told_by_event_and_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """With the misses to expect and the ``max_extra`` that would do."""
    traces = Traces()
    ask = asking(traces.options, max_extra=0.05)
    await called(ask, 400)

    (line,) = logged(caplog.records)["target_capped"]
    events = [event for span in traces.spans for event in span.events if event.name.endswith("target_capped")]
    assert line.levelname == "WARNING"
    assert len(events) == 1
    assert fields_of(line)["target_ms"] == 1000
    assert fields_of(line)["expected_miss_share"] > 0.055
    assert 0.05 < fields_of(line)["max_extra_needed"] <= 1
    report = ask.latency_report()
    assert report is not None
    assert report.max_extra_needed is not None


async def test_a_size_that_is_registered_before_the_first_policy_with_a_target_counts() -> None:
    """A function may ask for its policy at each call, so the target may come after the hook."""
    policies = [RoutingPolicy(chain=["a:m", "b:m"])]

    @routed(lambda: policies[0])
    async def ask(attempt: Attempt, prompt: str) -> str:
        await pause(900 if prompt == LONG else 100)
        return attempt.provider

    @ask.size
    def _(prompt: str) -> str:
        return "long" if prompt == LONG else "short"

    await ask(SHORT)
    assert ask.latency_report() is None
    policies[0] = RoutingPolicy(chain=["a:m", "b:m"], latency={"target_p95_ms": 1000, "explore": 0, "max_extra": 1})
    await called(ask, 200)

    assert {row.value for row in rows(ask)} == {"long", "short"}
