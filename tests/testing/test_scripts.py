"""Scripts play in place of providers, on the real engine, in the context that entered them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routeware import Attempt, DeadlineExceededError, Price, RoutingPolicy, Usage, routed
from routeware.testing import ScriptError, after, answers, fails, hangs, scripted, streams, trail, wait

POLICY = RoutingPolicy(chain=["openai:gpt-4o", "anthropic:claude"])


@routed(POLICY)
async def ask(attempt: Attempt, prompt: str, *, tone: str = "plain") -> str:
    """Answer for real."""
    return f"real {attempt.label}: {prompt} ({tone})"


@ask.provider("anthropic")
async def ask_anthropic(attempt: Attempt, prompt: str, *, tone: str = "plain") -> str:
    """Answer for real, at the other provider."""
    return f"real {attempt.label}: {prompt}, {tone}"


async def test_a_script_plays_every_provider_function() -> None:
    """Also those that are registered for one provider; afterwards the real ones are called again."""
    with scripted(ask, {"openai": fails(429), "anthropic": "scripted"}) as play:
        assert await ask("sky?", tone="dry") == "scripted"

    assert [(one.label, one.args, one.kwargs) for one in play.attempts] == [
        ("openai:gpt-4o", ("sky?",), {"tone": "dry"}),
        ("anthropic:claude", ("sky?",), {"tone": "dry"}),
    ]
    assert [trail(call) for call in play.calls] == [["openai:gpt-4o failed:rate_limit", "anthropic:claude selected"]]
    assert await ask("sky?") == "real openai:gpt-4o: sky? (plain)"
    assert len(play.calls) == 1


async def test_a_step_is_found_by_label_then_model_then_provider_then_star() -> None:
    """The nearest name wins."""
    script = {"openai:gpt-4o": "label", "gpt-4o": "model", "openai": "provider", "*": "any"}
    for key, value in list(script.items()):
        with scripted(ask, script):
            assert await ask("sky?") == value
        del script[key]


async def test_a_list_is_one_step_for_each_attempt() -> None:
    """The caller's own list stays whole."""
    steps = [fails(500), "second"]
    with scripted(ask, {"openai": steps, "anthropic": "backup"}):
        assert [await ask("a"), await ask("b")] == ["backup", "second"]
        with pytest.raises(ScriptError, match=r"'openai' has run out at an attempt at 'openai:gpt-4o'"):
            await ask("c")

    assert len(steps) == 2


async def test_an_exception_is_raised_and_a_class_of_them_is() -> None:
    """The very object, so that a test can look for it."""
    gone = ValueError("gone")
    with scripted(ask, {"openai": gone, "anthropic": KeyError}) as play:
        with pytest.raises(KeyError):
            await ask.with_policy(RoutingPolicy(chain=POLICY.chain, failover={"on_error_kinds": "any"}))("sky?")
        with pytest.raises(ValueError, match="gone") as raised:
            await ask("sky?")

    assert raised.value is gone
    assert len(play.attempts) == 3


async def test_a_function_is_called_with_the_attempt_and_the_arguments() -> None:
    """Sync or async; a function that is the answer itself stands in answers()."""

    def shout(attempt: Attempt, prompt: str, **_: Any) -> str:
        return f"{attempt.model} {prompt.upper()}"

    async def later(_attempt: Attempt, prompt: str, **_: Any) -> str:
        await asyncio.sleep(1)
        return prompt

    with scripted(ask, {"openai": [shout, later, answers(len)]}):
        assert await ask("sky?") == "gpt-4o SKY?"
        assert await ask("sky?") == "sky?"
        assert await ask("sky?") is len


async def test_time_passes_on_the_loops_clock() -> None:
    """Races, time-outs and deadlines happen as in production."""
    racing = ask.with_options(race_after_ms=500)
    with scripted(ask, {"openai": after(2_000, "slow"), "anthropic": after(100, "fast")}) as play:
        began = asyncio.get_running_loop().time()
        assert await racing("sky?") == "fast"
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.6)
    assert trail(play.calls[0]) == ["openai:gpt-4o race_lost", "anthropic:claude selected"]

    with scripted(ask, {"*": hangs()}), pytest.raises(DeadlineExceededError):
        await ask.with_options(deadline_ms=3_000)("sky?")


async def test_usage_is_reported_and_priced() -> None:
    """What a call costs can be tested."""
    priced = ask.with_policy(
        RoutingPolicy(
            chain=[{"provider": "a", "model": "m", "price": Price(input_usd_per_mtok=10, output_usd_per_mtok=20)}]
        )
    )
    with scripted(priced, {"a": answers("yes", input_tokens=1_000, output_tokens=100)}):
        outcome = await priced.outcome("sky?")

    assert outcome.record.cost_usd == pytest.approx(0.012)
    assert outcome.record.attempts[0].usage == Usage(input_tokens=1_000, output_tokens=100)


async def test_other_contexts_keep_the_real_functions() -> None:
    """A task that was made before the script, or a test that runs beside it."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def bystander() -> str:
        await entered.wait()
        try:
            return await ask("sky?")
        finally:
            leave.set()

    beside = asyncio.create_task(bystander())
    await asyncio.sleep(0)
    with scripted(ask, {"*": "scripted"}) as play:
        entered.set()
        inside = asyncio.create_task(ask("sky?"))
        await leave.wait()
        assert await inside == "scripted"
    assert await beside == "real openai:gpt-4o: sky? (plain)"
    assert len(play.calls) == len(play.attempts) == 1


async def test_scripts_nest() -> None:
    """The innermost one of a function plays; scripts of two functions play side by side."""

    @routed(POLICY)
    async def other(_attempt: Attempt) -> str:
        return await ask("inner")

    with scripted(ask, {"*": "outer"}) as outer:
        with scripted(ask, {"*": "inner"}), scripted(other, {"*": lambda _attempt: ask("again")}):
            assert await other() == "inner"
        assert await ask("sky?") == "outer"
        assert await other() == "outer"
    assert len(outer.calls) == 2


async def test_views_and_methods_are_played() -> None:
    """A script is of the function, whichever view is called."""

    class Client:
        @routed(POLICY)
        async def ask(self, attempt: Attempt, prompt: str) -> str:
            """Answer for real."""
            return f"real {attempt.label} {prompt}"

    client = Client()
    with scripted(client.ask, {"*": "scripted"}) as play:
        assert await client.ask("a") == await client.ask.with_options(max_attempts=1)("b") == "scripted"

    assert [one.args for one in play.attempts] == [("a",), ("b",)]
    assert await client.ask("a") == "real openai:gpt-4o a"


async def test_a_function_registered_during_a_script_is_played_and_stays() -> None:
    """Nothing is lost when the script ends."""

    @routed(POLICY)
    async def fresh(_attempt: Attempt) -> str:
        return "main"

    with scripted(fresh, {"*": "scripted"}):

        @fresh.provider("openai")
        async def special(_attempt: Attempt) -> str:
            return "special"

        assert await fresh() == "scripted"
    assert await fresh() == "special"


async def test_the_functions_own_hook_is_told_as_ever() -> None:
    """A script takes nothing away."""
    told: list[object] = []

    @routed(POLICY, on_call=told.append)
    async def hooked(_attempt: Attempt) -> str:
        return "real"

    with scripted(hooked, {"*": "scripted"}) as play:
        await hooked()
    await hooked()

    assert told[0] is play.calls[0]
    assert len(told) == 2


async def test_a_link_without_a_step_is_an_error_that_no_rule_fails_over_on() -> None:
    """A forgotten step must not pass for an outage, whatever the policy takes."""
    every = ask.with_policy(RoutingPolicy(chain=POLICY.chain, failover={"on_error_kinds": "any"}))
    missing = pytest.raises(ScriptError, match=r"no step for 'openai:gpt-4o': it has 'anthropic'")
    with scripted(ask, {"anthropic": "backup"}) as play, missing:
        await every("sky?")

    assert len(play.attempts) == 1


@pytest.mark.parametrize(
    ("key", "hint"),
    [("anthropc", "did you mean 'anthropic'"), ("zzz", "known are 'openai:gpt-4o', 'gpt-4o', 'openai', '\\*'")],
)
def test_a_key_that_no_link_has_is_refused(key: str, hint: str) -> None:
    """A typing error would leave the script without a step."""
    with pytest.raises(ValueError, match=hint), scripted(ask, {key: "never"}):
        pass


def test_what_is_not_routed_is_refused() -> None:
    """Rather than not played."""
    with pytest.raises(TypeError, match="made by @routed"), scripted(len, {"*": 1}):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize(
    ("step", "hint"),
    [
        ([["a"]], r"answers\(\[...\]\)"),
        (after(5, [1]), r"answers\(\[...\]\)"),
        (streams("a"), "for generator functions"),
        (wait(5), "between the items"),
    ],
)
async def test_a_step_that_cannot_be_played_says_so(step: object, hint: str) -> None:
    """At the attempt, as an error that ends the call."""
    with scripted(ask, {"*": step}), pytest.raises(ScriptError, match=hint):
        await ask("sky?")


@pytest.mark.parametrize("make", [lambda ms: after(ms, "late"), wait, lambda ms: fails(429, retry_after_ms=ms)])
@pytest.mark.parametrize("ms", [-1, True, "5", float("nan"), float("inf")])
def test_a_time_is_a_number_of_milliseconds(make: Any, ms: object) -> None:
    """Refused where it is written."""
    with pytest.raises(ValueError, match="number of milliseconds"):
        make(ms)


def test_usage_that_cannot_be_reported_is_refused_where_the_step_is_made() -> None:
    """At the attempt it would pass for the provider's failure, and the next link would be tried."""
    with pytest.raises(TypeError, match="input_token'"):
        answers("sky", input_token=3)
    with pytest.raises(ValueError, match="input_tokens"):
        answers("sky", input_tokens=-1)
