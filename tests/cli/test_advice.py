"""What ``routeware check`` warns of, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from routeware import Attempt, RoutingPolicy, routed
from routeware.cli.advice import attempt_timeouts, findings

PRICED = {"price": {"output_usd_per_mtok": 10}, "max_output_tokens": 100}


def policy(*links: dict[str, Any], **settings: Any) -> RoutingPolicy:
    """A policy of these links (two plain ones by default), each ``a:x`` but for what it says."""
    chain = links or ({"provider": "a", "model": "x"}, {"provider": "b", "model": "y"})
    return RoutingPolicy.from_dict({"chain": [{"provider": "a", "model": "x", **link} for link in chain], **settings})


@pytest.mark.parametrize(
    ("suspect", "key", "words"),
    [
        pytest.param(policy(failover={"on_status": [429]}), "failover.on_status", '"default"', id="status, no default"),
        pytest.param(
            policy(failover={"on_error_kinds": ["auth"]}),
            "failover.on_error_kinds",
            '"default"',
            id="kinds, no default",
        ),
        pytest.param(policy(failover={"on_error_kinds": []}), "failover.on_error_kinds", '"default"', id="no kinds"),
        pytest.param(policy(failover={"on_error_kinds": "any"}), "failover.on_error_kinds", "paid", id="any"),
        pytest.param(
            policy(failover={"on_status": [400], "on_error_kinds": "default"}),
            "failover.on_status",
            "400",
            id="own fault",
        ),
        pytest.param(policy(failover={"max_attempts": 1}), "failover.max_attempts", "never tried", id="unreached"),
        pytest.param(
            policy(failover={"max_attempts": 1}, budget={"on_exceed": "skip"}),
            "failover.max_attempts",
            "unless earlier ones are skipped",
            id="reached after skips",
        ),
        pytest.param(policy(failover={"max_attempts": 3}), "failover.max_attempts", "at most once", id="too many"),
        pytest.param(
            policy(failover={"max_attempts": 9, "retries": 2}),
            "failover.max_attempts",
            "each of the 2 links is tried at most once in each of 3 rounds",
            id="too many for all rounds",
        ),
        pytest.param(
            policy(failover={"retries": 1}, latency={"race_after_ms": 50, "race_width": 3}),
            "latency.race_width",
            "3 are never in flight: 2 may be started",
            id="too wide for a round",
        ),
        pytest.param(policy({}, latency={"race_after_ms": 5}), "chain", "one link", id="race alone"),
        pytest.param(policy({}, {}), "chain", "without a pause", id="twice"),
        pytest.param(policy({"label": "l"}, {"label": "l", "model": "y"}), "chain", "called 'l'", id="one label"),
        pytest.param(
            policy(latency={"race_after_ms": 50}, failover={"on_timeout_ms": 50}),
            "latency.race_after_ms",
            "a:x is never raced: its time-out of 50 ms comes first",
            id="race at the time-out",
        ),
        pytest.param(
            policy(latency={"race_after_ms": 130_000}), "latency.race_after_ms", "120,000 ms", id="race after 120 s"
        ),
        pytest.param(
            policy(latency={"race_after_ms": 60, "deadline_ms": 50}),
            "latency.race_after_ms",
            "no race ever starts",
            id="race after the deadline",
        ),
        pytest.param(
            policy(latency={"race_after_ms": 0.4}),
            "latency.race_after_ms",
            "0.4 ms is very short; if seconds were meant, write 400",
            id="a race in seconds",
        ),
        pytest.param(policy(latency={"target_p95_ms": 2.5}), "latency.target_p95_ms", "2500", id="a target in seconds"),
        pytest.param(policy(latency={"deadline_ms": 30}), "latency.deadline_ms", "30000", id="a deadline in seconds"),
        pytest.param(
            policy(failover={"on_timeout_ms": 12.5}), "failover.on_timeout_ms", "12500", id="time-outs in seconds"
        ),
        pytest.param(policy({}, {"timeout_ms": 20}), "chain[1].timeout_ms", "20000", id="a time-out in seconds"),
        pytest.param(
            policy({"provider": "openai", "timeout_ms": 120}, {}), "chain[0].timeout_ms", "120000", id="two minutes"
        ),
        pytest.param(
            policy({"provider": "openai"}, {"provider": "Anthropic"}, {"provider": "azure"}),
            "chain",
            "the SDKs of openai and anthropic raise errors of their own",
            id="several SDKs",
        ),
        pytest.param(policy(latency={"race_after_ms": 0}), "latency.race_after_ms", "2 links at once", id="race at 0"),
        pytest.param(
            policy(latency={"race_after_ms": 5, "race_width": 3}),
            "latency.race_width",
            "never in flight",
            id="too wide",
        ),
        pytest.param(policy(latency={"race_width": 3}), "latency.race_width", "nothing races", id="width alone"),
        pytest.param(policy(latency={"max_extra": 0.1}), "latency.max_extra", "target_p95_ms", id="extra alone"),
        pytest.param(policy(latency={"explore": 0.1}), "latency.explore", "target_p95_ms", id="explore alone"),
        pytest.param(
            policy(latency={"swap_in_outage": True}), "latency.swap_in_outage", "target_p95_ms", id="swap alone"
        ),
        pytest.param(policy(latency={"deadline_ms": 9_000}), "latency.deadline_ms", "a:x hangs", id="no time left"),
        pytest.param(
            policy(failover={"cooldown_after": 3}),
            "failover.cooldown_after",
            "without cooldown_ms",
            id="cooldown alone",
        ),
        pytest.param(
            policy(failover={"backoff_ms": 50}),
            "failover.backoff_ms",
            "means nothing without retries",
            id="backoff alone",
        ),
        pytest.param(policy({"weight": 2}, {}), "chain[0].weight", "without spread", id="weight alone"),
        pytest.param(policy({"spread": "s"}, {}), "chain[0].spread", "no other link has 's'", id="spread alone"),
        pytest.param(policy(latency={"by_size": True}), "latency.by_size", "target_p95_ms", id="by size alone"),
        pytest.param(
            policy(latency={"target_p99_ms": 130_000}), "latency.target_p99_ms", "120,000 ms", id="a p99 after 120 s"
        ),
        pytest.param(policy({}, latency={"target_p95_ms": 5}), "chain", "one link", id="a target alone"),
        pytest.param(
            policy(latency={"target_p95_ms": 50, "deadline_ms": 50}),
            "latency.target_p95_ms",
            "no call lasts so long: the deadline of 50 ms",
            id="a target at the deadline",
        ),
        pytest.param(
            policy(latency={"target_p95_ms": 90}, failover={"on_timeout_ms": 90}),
            "latency.target_p95_ms",
            "a:x is cut off before that, by its time-out of 90 ms, and counts as late",
            id="a target at the time-out",
        ),
        pytest.param(
            policy(latency={"target_p95_ms": 130_000}), "latency.target_p95_ms", "120,000 ms", id="a target after 120 s"
        ),
        pytest.param(
            policy(latency={"target_p95_ms": 90, "race_after_ms": 90}),
            "latency.race_after_ms",
            "late already",
            id="a first start at the target",
        ),
        pytest.param(
            policy(latency={"target_p95_ms": 90, "race_after_ms": 0}),
            "latency.race_after_ms",
            "every race for the target starts at once",
            id="a target, and a race at 0",
        ),
        pytest.param(
            policy(latency={"target_p95_ms": 90, "max_extra": 0}),
            "latency.max_extra",
            "nothing races for the target",
            id="nothing for a target",
        ),
        pytest.param(
            policy(latency={"target_p95_ms": 90, "max_extra": 0, "swap_in_outage": True}),
            "latency.max_extra",
            "all that can change is the order",
            id="nothing but a swap",
        ),
        pytest.param(
            policy(latency={"target_p95_ms": 90, "max_extra": 0.02, "explore": 0.02}),
            "latency.explore",
            "all 0.02 extra attempts a call go into learning",
            id="learning only",
        ),
        pytest.param(
            policy(latency={"target_p95_ms": 90, "race_width": 3}),
            "latency.race_width",
            "never in flight",
            id="a target, and too wide",
        ),
        pytest.param(
            policy({}, {"model": "y"}, {"model": "z"}, latency={"target_p95_ms": 90, "race_width": 3}),
            "latency.race_width",
            "max_extra counts the first one only",
            id="a target, and wide",
        ),
        pytest.param(
            policy(latency={"target_p95_ms": 90, "deadline_ms": 9_000}),
            "latency.deadline_ms",
            "a:x hangs in a call that is not raced",
            id="a target, and no time left",
        ),
        pytest.param(policy(budget={"per_call_usd": 1}), "chain[].price", "each of a:x and b:y", id="no price"),
        pytest.param(
            policy(budget={"per_call_usd": 1, "allow_unpriced": True}), "chain[].price", "as nothing", id="unpriced"
        ),
        pytest.param(
            policy(budget={"session_usd": 1}), "chain[].max_output_tokens", "1,024 tokens", id="no output limit"
        ),
        pytest.param(
            policy(PRICED, budget={"per_call_usd": 0.0009}), "budget.per_call_usd", "projected at $0.001", id="tiny cap"
        ),
        pytest.param(policy(budget={"on_exceed": "warn"}), "budget.on_exceed", "there is none", id="warn of nothing"),
        pytest.param(policy(observe={"error_messages": True}), "observe.error_messages", "keys", id="error texts"),
    ],
)
def test_what_may_surprise_is_warned_of(suspect: RoutingPolicy, key: str, words: str) -> None:
    """Each is valid, and each does otherwise than it looks."""
    found = [finding.text for finding in findings(suspect) if finding.key == key]

    assert any(words in text for text in found), findings(suspect)


@pytest.mark.parametrize(
    "plain",
    [
        pytest.param(policy(), id="a chain"),
        pytest.param(policy({}), id="one link"),
        pytest.param(policy(failover={"retries": 1, "max_attempts": 4}, latency={"race_after_ms": 50}), id="rounds"),
        pytest.param(
            policy({"provider": "openai", "timeout_ms": 800}, {"provider": "deepseek"}, {}), id="one SDK and strangers"
        ),
        pytest.param(policy(failover={"on_error_kinds": "default, auth"}), id="default and more"),
        pytest.param(policy(latency={"race_after_ms": 50, "race_width": 2}), id="a race"),
        pytest.param(policy(failover={"on_timeout_ms": 50}, latency={"deadline_ms": 99}), id="a deadline with room"),
        pytest.param(policy(latency={"deadline_ms": 130_000}), id="a deadline over 120 s"),
        pytest.param(
            policy(PRICED, {**PRICED, "model": "y"}, budget={"per_call_usd": 0.001}), id="a cap that just fits"
        ),
        pytest.param(policy({"price": {"request_usd": 1}}, budget={"session_usd": 5}), id="priced by request"),
        pytest.param(policy(latency={"race_after_ms": 5, "target_p95_ms": 9, "max_extra": 0.1}), id="a target"),
        pytest.param(policy(latency={"target_p95_ms": 9}), id="a target alone"),
        pytest.param(
            policy(
                {"timeout_ms": 50},
                {"model": "y"},
                latency={"target_p95_ms": 9, "deadline_ms": 90, "swap_in_outage": True},
            ),
            id="a target in time",
        ),
    ],
)
def test_an_ordinary_policy_is_not_warned_of(plain: RoutingPolicy) -> None:
    """A warning that cries wolf is turned off."""
    assert findings(attrs.evolve(plain, failover=attrs.evolve(plain.failover, cooldown_ms=5_000))) == []


@pytest.mark.parametrize(
    ("settings", "wait"),
    [
        ({}, "120,000 ms"),
        ({"failover": {"on_timeout_ms": 5_000}}, "5,000 ms"),
        ({"failover": {"on_timeout_ms": 9_000}, "latency": {"deadline_ms": 60_000}}, "9,000 ms"),
    ],
)
def test_waiting_for_a_hanging_link_in_every_call_is_warned_of(settings: dict[str, Any], wait: str) -> None:
    """Where nothing passes it over."""
    found = [finding.text for finding in findings(policy(**settings)) if finding.key == "failover.cooldown_ms"]

    assert found == [f"not set, so while a link hangs every call waits {wait} for it first"]


@pytest.mark.parametrize(
    "plain",
    [
        pytest.param(policy(failover={"cooldown_ms": 1_000}), id="cooldown"),
        pytest.param(policy({}), id="one link"),
        pytest.param(policy(failover={"max_attempts": 1}), id="one attempt"),
        pytest.param(policy(failover={"on_timeout_ms": 4_999}), id="a short time-out"),
        pytest.param(policy(latency={"race_after_ms": 500}), id="a race"),
        pytest.param(policy(latency={"deadline_ms": 4_000}), id="a short deadline"),
    ],
)
def test_a_short_wait_for_a_hanging_link_is_not_warned_of(plain: RoutingPolicy) -> None:
    """Nor is one that a race or cooldown cuts short."""
    assert "failover.cooldown_ms" not in [finding.key for finding in findings(plain)]


def test_time_outs_are_those_that_attempts_will_have() -> None:
    """120 s while another may follow, none on the last; the link's own before the rule's; never past the deadline."""
    three = ({}, {"model": "y"}, {"model": "z"})

    assert attempt_timeouts(policy(*three)) == [120_000.0, 120_000.0, None]
    assert attempt_timeouts(policy(*three, failover={"max_attempts": 2})) == [120_000.0, None, None]
    assert attempt_timeouts(policy({"timeout_ms": 5}, {}, failover={"on_timeout_ms": 9})) == [5.0, 9.0]
    assert attempt_timeouts(policy(*three, latency={"deadline_ms": 70})) == [70.0, 70.0, 70.0]


@pytest.mark.parametrize(
    "chained",
    [
        policy({}, {"model": "y"}, {"model": "z"}),
        policy({}, {"model": "y"}, {"model": "z"}, failover={"max_attempts": 2}),
        policy({"timeout_ms": 5}, {"model": "y"}, failover={"on_timeout_ms": 9}),
        policy({}, {"model": "y"}, latency={"deadline_ms": 70}),
    ],
)
async def test_the_time_outs_that_are_shown_are_the_engines(chained: RoutingPolicy) -> None:
    """What an attempt is told that it has, where every one before it failed at once."""
    had: list[float | None] = []

    @routed(chained)
    async def ask(attempt: Attempt) -> None:
        had.append(attempt.timeout_ms)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await ask()

    assert had == attempt_timeouts(chained)[: len(had)]
