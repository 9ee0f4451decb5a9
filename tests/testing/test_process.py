"""Switches for the whole process, handles of attempts, and the pytest plug-in."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import routeware
from routeware import Attempt, CallRecord, PolicyError, RoutingPolicy, Usage, routed
from routeware.testing import (
    UnscriptedCallError,
    attempt,
    fails,
    forbid_calls,
    is_active,
    reported,
    scripted,
    set_active,
    trail,
)
from tests.fakes.providers import HTTPStatusError

POLICY = RoutingPolicy(chain=["a:m", "b:m"], latency={"race_after_ms": 50, "deadline_ms": 200})
CALLED: list[str] = []

pytest_plugins = ["pytester", "routeware.testing.plugin"]


@routed(POLICY)
async def ask(attempt: Attempt, ms: float = 0) -> str:
    """Answer for real, after a while."""
    CALLED.append(attempt.label)
    await asyncio.sleep(ms / 1000)
    return attempt.label


@pytest.fixture
def inactive() -> Iterator[None]:
    """Routing is off."""
    set_active(False)
    yield
    set_active(True)


async def test_an_inactive_call_is_its_first_link_once(inactive: None) -> None:
    """No race and no deadline; sessions and records as ever."""
    assert not is_active()
    async with routeware.session("tests") as spending:
        outcome = await ask.outcome(1_000)

    assert trail(outcome.record) == ["a:m selected"]
    assert outcome.record.duration_ms == pytest.approx(1_000)
    assert spending.report().calls == {"succeeded": 1}


async def test_an_inactive_call_neither_fails_over_nor_retries(inactive: None) -> None:
    """What the first link raises comes out."""
    failing = RoutingPolicy(chain=["a:m", "b:m"], failover={"retries": 3, "cooldown_ms": 1_000, "cooldown_after": 1})
    view = ask.with_policy(failing)
    with scripted(view, {"*": fails(503)}) as play:
        for _ in range(3):
            with pytest.raises(Exception, match="scripted"):
                await view()

    assert [one.label for one in play.attempts] == ["a:m"] * 3
    assert view.health is not None
    assert view.health.report() == ()


async def test_an_inactive_call_does_not_ask_the_learner(inactive: None) -> None:
    """A latency target decides nothing, and learns nothing."""
    view = ask.with_policy(RoutingPolicy(chain=["a:m", "b:m"], latency={"target_p95_ms": 100}))
    outcome = await view.outcome(1_000)

    assert trail(outcome.record) == ["a:m selected"]
    assert outcome.record.race_source is None


async def test_routing_is_active_by_default() -> None:
    """And after it was switched on again."""
    assert is_active()
    assert (await ask.outcome(60)).record.raced


async def test_a_forbidden_call_names_its_function_and_starts_nothing() -> None:
    """A test that forgot its script spends no money."""
    CALLED.clear()
    with forbid_calls():
        with pytest.raises(UnscriptedCallError, match="ask was called outside of a script") as raised:
            await ask()
        with scripted(ask, {"*": "scripted"}):
            assert await ask() == "scripted"
    assert raised.value.function == "ask"
    assert CALLED == []
    assert await ask() == "a:m"


async def test_prohibitions_nest() -> None:
    """The outer one holds on when the inner one ends."""
    with forbid_calls():
        with forbid_calls():
            pass
        with pytest.raises(UnscriptedCallError):
            await ask()
    assert await ask() == "a:m"


def test_a_provider_function_is_called_by_itself() -> None:
    """With an attempt that is made by hand, on which is seen what was reported."""

    async def provide(attempt: Attempt) -> int | None:
        attempt.report_usage(input_tokens=7)
        return attempt.max_output_tokens

    by_hand = attempt("ollama:llama3:70b", max_output_tokens=99, timeout_ms=5_000)

    assert (by_hand.provider, by_hand.model, by_hand.link.timeout_ms) == ("ollama", "llama3:70b", 5_000)
    assert by_hand.timeout_ms == 5_000
    assert attempt("ollama:llama3:70b").timeout_ms is None
    assert reported(by_hand) is None
    with asyncio.Runner() as runner:
        assert runner.run(provide(by_hand)) == 99
    assert reported(by_hand) == Usage(input_tokens=7)
    with pytest.raises(PolicyError, match="max_output_tokens"):
        attempt("a:m", max_output_token=1)


async def test_the_plug_in_collects_the_records_of_a_test(routed_calls: list[CallRecord]) -> None:
    """Of every routed function, scripted or not."""

    @routed(RoutingPolicy(chain=["c:m"]))
    async def other(_attempt: Attempt) -> None:
        raise HTTPStatusError(500)

    await ask()
    with scripted(ask, {"*": "scripted"}) as play:
        await ask()
    with pytest.raises(HTTPStatusError):
        await other()

    assert [trail(call) for call in routed_calls] == [["a:m selected"], ["a:m selected"], ["c:m failed:server_error"]]
    assert routed_calls[1] is play.calls[0]


def test_the_plug_in_loads_itself_nowhere() -> None:
    """A suite that does not name it runs as before: there is no entry point for pytest."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert "pytest11" not in project.get("entry-points", {})


CONFTEST = 'pytest_plugins = ["routeware.testing.plugin"]\n'
INSIDE = """
import asyncio, pytest
from routeware import RoutingPolicy, routed
from routeware.testing import scripted

@routed(RoutingPolicy(chain=["a:m"]))
async def ask(attempt):
    return "real"

def test_forbidden():
    assert asyncio.run(ask()) == "real"

def test_scripted(routed_calls):
    with scripted(ask, {"*": "scripted"}):
        assert asyncio.run(ask()) == "scripted"
    assert len(routed_calls) == 1
"""


@pytest.mark.parametrize(("ini", "failed"), [("[pytest]\nrouteware_forbid_calls = true\n", 1), ("[pytest]\n", 0)])
def test_the_setting_forbids_calls_in_a_whole_suite(pytester: pytest.Pytester, ini: str, failed: int) -> None:
    """One line in the configuration."""
    pytester.makeconftest(CONFTEST)
    pytester.makefile(".ini", pytest=ini)
    pytester.makepyfile(INSIDE)

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    result.assert_outcomes(passed=2 - failed, failed=failed)
    if failed:
        result.stdout.fnmatch_lines(["*UnscriptedCallError: ask was called outside of a script*"])


async def test_an_inactive_stream_has_no_deadline_either(inactive: None) -> None:
    """Neither to its first item nor after it."""

    @routed(RoutingPolicy(chain=["a:m", "b:m"], latency={"first_item_deadline_ms": 50, "deadline_ms": 200}))
    async def tell(attempt: Attempt) -> AsyncIterator[int]:
        for number in range(3):
            await asyncio.sleep(0.2)
            yield number

    assert [number async for number in tell()] == [0, 1, 2]
