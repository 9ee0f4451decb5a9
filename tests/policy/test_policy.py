"""A policy is data that is valid once it exists; it may be written in several ways."""

from __future__ import annotations

import copy
import pickle
from enum import Enum
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import attrs
import pytest

from routeware.errors import CATEGORY_ALIASES, ErrorCategory, PolicyError
from routeware.money import Price
from routeware.policy import (
    BudgetRules,
    FailoverRules,
    LatencyRules,
    Link,
    ObserveRules,
    OnExceed,
    RoutingPolicy,
    with_settings,
)


def test_what_is_left_out_has_its_default() -> None:
    """The table of defaults, in code."""
    policy = RoutingPolicy(chain=["a:b", "c:d"])

    assert policy.failover == FailoverRules(on_status=None, on_error_kinds=None, on_timeout_ms=None, max_attempts=None)
    assert policy.latency == LatencyRules(
        race_after_ms=None,
        target_p95_ms=None,
        target_p99_ms=None,
        by_size=False,
        max_extra=0.35,
        explore=0.005,
        swap_in_outage=False,
        race_width=2,
        deadline_ms=None,
    )
    assert policy.budget == BudgetRules(
        per_call_usd=None, session_usd=None, on_exceed=OnExceed.ABORT, allow_unpriced=False
    )
    assert policy.observe == ObserveRules(emit_event="llm.routing", error_messages=False)
    assert policy.label == "routing_policy(chain=2)"
    assert policy.chain[0] == Link(
        provider="a", model="b", timeout_ms=None, label="a:b", price=None, max_output_tokens=None, tier=None
    )


def test_parts_may_be_given_as_themselves_or_as_mappings() -> None:
    """Both spellings are the same policy."""
    price = {"input_usd_per_mtok": 1.0}
    link = {"provider": "a", "model": "b", "price": price}

    by_mapping = RoutingPolicy(chain=[link], latency=MappingProxyType({"race_after_ms": 5}), budget={"session_usd": 1})
    by_class = RoutingPolicy(
        chain=(Link(provider="a", model="b", price=Price(input_usd_per_mtok=1.0)),),
        latency=LatencyRules(race_after_ms=5.0),
        budget=BudgetRules(session_usd=1.0),
    )

    assert by_mapping == by_class
    assert hash(by_mapping) == hash(by_class)
    assert by_class.chain[0] is RoutingPolicy(chain=by_class.chain).chain[0]


def test_a_policy_can_be_copied_and_pickled() -> None:
    """It travels to other processes as it is."""
    policy = RoutingPolicy(chain=["a:b"], budget={"on_exceed": "warn", "per_call_usd": 1})

    assert pickle.loads(pickle.dumps(policy)) == copy.deepcopy(policy) == policy


def test_a_policy_is_frozen_and_takes_no_positional_arguments() -> None:
    """It cannot turn into something that was never checked."""
    policy = RoutingPolicy(chain=["a:b"])

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        policy.label = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        RoutingPolicy("a:b")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("written", "provider", "model"),
    [
        ("openai:gpt", "openai", "gpt"),
        ("ollama:llama3:70b", "ollama", "llama3:70b"),
        ("  openai :  gpt ", "openai", "gpt"),
    ],
)
def test_a_link_in_a_word_is_split_at_the_first_colon(written: str, provider: str, model: str) -> None:
    """Models have colons in their names, providers have not."""
    (link,) = RoutingPolicy(chain=[written]).chain

    assert link == Link(provider=provider, model=model)
    assert link.label == f"{provider}:{model}"


def test_the_same_link_may_stand_twice() -> None:
    """The second place in the chain is a retry."""
    assert len(RoutingPolicy(chain=["a:b", "a:b"]).chain) == 2


def test_an_enum_of_providers_is_read_by_its_values() -> None:
    """Labels hold what the provider is called, not where Python keeps it."""

    class Name(str, Enum):  # noqa: UP042 - a StrEnum spells itself right; this is the older kind that does not
        OPENAI = "openai"

    assert Link(provider=Name.OPENAI, model="m").label == "openai:m"


def test_statuses_are_kept_sorted_and_once() -> None:
    """Two policies that mean the same are equal."""
    expected = (429, 503)

    for given_as in ([503, 429, 503], (429, 503), {503, 429}, [HTTPStatus.SERVICE_UNAVAILABLE, 429]):
        assert FailoverRules(on_status=given_as).on_status == expected
    assert FailoverRules(on_status=range(500, 600)).on_status == tuple(range(500, 600))


@pytest.mark.parametrize("kind", [*ErrorCategory, *CATEGORY_ALIASES, "default", "any"])
def test_error_kinds_are_taken_in_any_case_and_kept_under_their_own_name(kind: str) -> None:
    """An alias is another spelling; ``default`` and ``any`` stand for many and stay."""
    own_name = str(CATEGORY_ALIASES.get(kind, kind))

    assert FailoverRules(on_error_kinds=[f" {kind.upper()} "]).on_error_kinds == (own_name,)


def test_error_kinds_come_in_the_order_given_as_a_list_or_in_one_text() -> None:
    """Both are one: a text is split at its commas."""
    expected = ("quota", "transient_network", "default")

    for given_as in ("quota, network,default", ["quota", "transient", "network", "default"], ErrorCategory.QUOTA):
        kinds = FailoverRules(on_error_kinds=given_as).on_error_kinds
        assert kinds == (expected[:1] if given_as == "quota" else expected)
    assert FailoverRules(on_error_kinds={"auth", "any"}).on_error_kinds == ("any", "auth")
    assert FailoverRules(on_error_kinds=" auth,,not_found, ").on_error_kinds == ("auth", "not_found")


def test_an_empty_list_of_rules_is_a_rule_that_nothing_matches() -> None:
    """It is not the same as none, which leaves the default rules on."""
    rules = FailoverRules(on_status=[], on_error_kinds=[])

    assert (rules.on_status, rules.on_error_kinds) == ((), ())
    assert rules != FailoverRules()


@pytest.mark.parametrize(
    ("written", "meant"),
    [("abort", "abort"), (" SKIP ", "skip"), ("Downgrade", "skip"), ("warn", "warn"), (OnExceed.WARN, "warn")],
)
def test_on_exceed_is_taken_in_any_case(written: str, meant: str) -> None:
    """``downgrade`` is the old word for ``skip``."""
    assert BudgetRules(on_exceed=written).on_exceed is OnExceed(meant)


@pytest.mark.parametrize(("limit", "expected"), [(None, 3), (1, 1), (3, 3), (7, 3)])
def test_no_more_attempts_than_links(limit: int | None, expected: int) -> None:
    """Each link is tried at most once, so a higher limit is the length of the chain."""
    policy = RoutingPolicy(chain=["a:b"] * 3, failover={"max_attempts": limit})

    assert policy.max_attempts == expected


@pytest.mark.parametrize(
    ("budget", "capped"),
    [({}, False), ({"on_exceed": "skip"}, False), ({"per_call_usd": 0}, True), ({"session_usd": 1}, True)],
)
def test_a_cap_of_nothing_is_a_cap(budget: dict[str, Any], capped: bool) -> None:
    """0 dollars is a limit, ``None`` is none."""
    assert BudgetRules(**budget).capped is capped


def test_single_settings_can_be_changed_and_switched_off() -> None:
    """The rest of the policy stays as it is."""
    policy = RoutingPolicy(
        chain=["a:b", "c:d"],
        latency={"race_after_ms": 5, "deadline_ms": 100, "race_width": 3},
        failover={"max_attempts": 1, "on_error_kinds": "any"},
        budget={"per_call_usd": 1, "session_usd": 2},
        label="mine",
    )

    changed = with_settings(policy, deadline_ms=None, race_after_ms=0, max_attempts=None, per_call_usd=0.5)

    assert changed == RoutingPolicy(
        chain=["a:b", "c:d"],
        latency={"race_after_ms": 0, "race_width": 3},
        failover={"on_error_kinds": "any"},
        budget={"per_call_usd": 0.5, "session_usd": 2},
        label="mine",
    )
    assert changed.max_attempts == 2


def test_a_policy_with_nothing_changed_is_itself() -> None:
    """What was prepared for it is found again."""
    policy = RoutingPolicy(chain=["a:b"], latency={"race_after_ms": 5})

    assert with_settings(policy) is policy
    assert with_settings(policy, race_after_ms=5) is policy


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"deadline_ms": 0}, "latency.deadline_ms"),
        ({"race_after_ms": "5"}, "latency.race_after_ms"),
        ({"max_attempts": 0}, "failover.max_attempts"),
        ({"per_call_usd": True}, "budget.per_call_usd"),
    ],
)
def test_a_changed_setting_is_validated_again(changes: dict[str, Any], key: str) -> None:
    """By itself, and against what the rest of the policy says."""
    policy = RoutingPolicy(chain=["a:b"], latency={"race_after_ms": 5, "target_p95_ms": 800})

    with pytest.raises(PolicyError) as caught:
        with_settings(policy, **changes)

    assert caught.value.key == key
