"""A policy means something, or is refused with the setting, its value and what would be right."""

from __future__ import annotations

import copy
import math
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
)

NOT_ONE_VALUE: tuple[object, ...] = ([1], (1,), {1}, {"a": 1}, [])
NOT_NUMBERS = ("5", "", True, False, math.nan, math.inf, -math.inf, b"5", 5j, *NOT_ONE_VALUE)
TOO_LARGE = (10**400, 10**5000)  # no float holds the first, and the second has no repr
NOT_TEXTS = (5, 5.0, True, b"text", *NOT_ONE_VALUE)

NUMBERS = {
    # setting: (what fits, what is out of range)
    "chain[1].timeout_ms": ((1, 0.5, 1e9), (0, -1, -0.0)),
    "chain[1].price.input_usd_per_mtok": ((0, 2.5), (-1, -0.001)),
    "chain[1].price.output_usd_per_mtok": ((0, 2.5), (-1,)),
    "chain[1].price.cached_input_usd_per_mtok": ((0, 2.5), (-1,)),
    "chain[1].price.request_usd": ((0, 0.01), (-1,)),
    "failover.on_timeout_ms": ((1, 0.5), (0, -1)),
    "latency.race_after_ms": ((0, 0.0, 50), (-1, -0.1)),
    "latency.max_extra": ((0, 1, 0.5), (-0.1, 1.1, 35)),
    "latency.explore": ((0, 0.1), (-0.1, 0.11, 1)),
    "latency.deadline_ms": ((1, 0.5), (0, -1)),
    "budget.per_call_usd": ((0, 0.25, 3), (-1, -0.01)),
    "budget.session_usd": ((0, 0.25, 3), (-1, -0.01)),
}
COUNTS = {
    "chain[1].max_output_tokens": ((1, 4096), (0, -1)),
    "failover.max_attempts": ((1, 9), (0, -1)),
    "latency.race_width": ((2, 3), (1, 0, -2)),
}
TEXTS = ("chain[1].provider", "chain[1].model", "chain[1].label", "observe.emit_event", "label")
FLAGS = ("latency.swap_in_outage", "budget.allow_unpriced", "observe.error_messages")
WITH_A_DEFAULT = ("latency.max_extra", "latency.explore", "latency.race_width", *FLAGS, *TEXTS, "budget.on_exceed")


def holding(path: str, value: object) -> dict[str, Any]:
    """Settings that are right but for the value at ``path``."""
    link: dict[str, Any] = {"provider": "a", "model": "b"}
    settings: dict[str, Any] = {"chain": ["x:y", link]}
    place = link if path.startswith("chain[1].") else settings
    *sections, name = path.removeprefix("chain[1].").split(".")
    for section in sections:
        place = place.setdefault(section, {})
    place[name] = value
    return settings


def refused(settings: Any) -> PolicyError:
    """The refusal of these settings, which is not about anything but a policy."""
    with pytest.raises(PolicyError) as caught:
        RoutingPolicy.from_dict(settings)
    return caught.value


def at(policy: RoutingPolicy, path: str) -> object:
    """The value at ``path``."""
    found: Any = policy.chain[1] if path.startswith("chain[1].") else policy
    for name in path.removeprefix("chain[1].").split("."):
        found = getattr(found, name)
    return found


def quoted(value: object) -> tuple[str, ...]:
    """How the value may be seen in an error: an int may have become the float that it stands for."""
    return (repr(value), repr(float(value))) if isinstance(value, int) else (repr(value),)


def table(*rows: tuple[str, tuple[object, ...]]) -> list[Any]:
    """One test for each value of each row."""
    return [
        pytest.param(path, value, id=f"{path}-{number}") for path, values in rows for number, value in enumerate(values)
    ]


# What fits


@pytest.mark.parametrize(("path", "value"), table(*((path, fits) for path, (fits, _) in (NUMBERS | COUNTS).items())))
def test_a_value_in_range_is_kept(path: str, value: float) -> None:
    """The ends of a range belong to it, ints stand for floats."""
    kept = at(RoutingPolicy.from_dict(holding(path, value)), path)

    assert kept == value
    assert isinstance(kept, int if path in COUNTS else float)


def test_what_is_left_out_has_its_default() -> None:
    """The table of defaults, in code."""
    policy = RoutingPolicy(chain=["a:b", "c:d"])

    assert policy.failover == FailoverRules(on_status=None, on_error_kinds=None, on_timeout_ms=None, max_attempts=None)
    assert policy.latency == LatencyRules(
        race_after_ms=None,
        target_p95_ms=None,
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


# What does not


@pytest.mark.parametrize(
    ("path", "value"),
    table(*((path, (*NOT_NUMBERS, *TOO_LARGE, *out)) for path, (_, out) in NUMBERS.items())),
)
def test_what_is_no_number_in_range_is_refused(path: str, value: object) -> None:
    """The error names the whole path and the value."""
    error = refused(holding(path, value))

    assert error.key == path
    assert str(error).startswith(f"{path}: ")
    assert value in TOO_LARGE or any(seen in str(error) for seen in quoted(value))


@pytest.mark.parametrize(
    ("path", "value"),
    table(*((path, (*NOT_NUMBERS, 1.5, 2.0, *out)) for path, (_, out) in COUNTS.items())),
)
def test_what_is_no_count_in_range_is_refused(path: str, value: object) -> None:
    """A count has no decimal point, not even a harmless one."""
    error = refused(holding(path, value))

    assert error.key == path
    assert repr(value) in str(error)


@pytest.mark.parametrize(("path", "value"), table(*((path, (*NOT_TEXTS, "", "  ")) for path in TEXTS)))
def test_what_is_no_text_is_refused_and_so_is_an_empty_one(path: str, value: object) -> None:
    """Each of these texts names something."""
    error = refused(holding(path, value))

    assert error.key == path
    assert repr(value) in str(error)


@pytest.mark.parametrize("value", NOT_TEXTS)
def test_a_tier_may_be_empty_but_is_a_text(value: object) -> None:
    """It is free text."""
    path = "chain[1].tier"

    assert at(RoutingPolicy.from_dict(holding(path, "")), path) == ""
    assert refused(holding(path, value)).key == path


@pytest.mark.parametrize(("path", "value"), table(*((path, (0, 1, "true", "", *NOT_ONE_VALUE)) for path in FLAGS)))
def test_what_is_no_boolean_is_refused(path: str, value: object) -> None:
    """``"false"`` would be true in Python."""
    error = refused(holding(path, value))

    assert error.key == path
    assert f"must be true or false, not {value!r}" in str(error)


@pytest.mark.parametrize("path", WITH_A_DEFAULT)
def test_none_where_there_is_a_default_is_refused(path: str) -> None:
    """It could be meant as the default or as off; leaving it out cannot."""
    error = refused(holding(path, None))

    assert error.key == path
    assert "None (leave it out for the default)" in str(error)


@pytest.mark.parametrize("path", [path for path in (*NUMBERS, *COUNTS) if path not in WITH_A_DEFAULT])
def test_none_where_nothing_need_be_set_is_nothing(path: str) -> None:
    """As JSON writes it."""
    if path.startswith("chain[1].price") and "cached" not in path:
        assert refused(holding(path, None)).key == path
    else:
        assert at(RoutingPolicy.from_dict(holding(path, None)), path) is None


@pytest.mark.parametrize(
    ("path", "value", "key", "words"),
    [
        ("chain", "a:b", "chain", "one alone is written ['a:b']"),
        ("chain", {"provider": "a", "model": "b"}, "chain", "one alone is written [{'provider': 'a', 'model': 'b'}]"),
        ("chain", Link(provider="a", model="b"), "chain", "one alone is written [Link("),
        ("chain", {"a:b"}, "chain", "a set has no order"),
        ("chain", [], "chain", "at least one link"),
        ("chain", None, "chain", "None"),
        ("chain", 5, "chain", "5"),
        ("chain", ["a:b", 5], "chain[1]", "provider:model"),
        ("chain", ["a:b", ["c", "d"]], "chain[1]", "['c', 'd']"),
        ("chain", ["a"], "chain[0]", "'a'"),
        ("chain", [":b"], "chain[0]", "neither of them empty"),
        ("chain", ["a: "], "chain[0]", "'a: '"),
        ("chain", [""], "chain[0]", "''"),
        ("chain", [{}], "chain[0].provider", "required"),
        ("chain", [{"provider": "a"}], "chain[0].model", "required"),
        ("chain[1].price", 5, "chain[1].price", "a Price, not 5"),
        ("chain[1].price", "free", "chain[1].price", "'free'"),
        ("failover", 5, "failover", "a FailoverRules, not 5"),
        ("latency", None, "latency", "a LatencyRules, not None"),
        ("budget", [], "budget", "a BudgetRules, not []"),
        ("observe", LatencyRules(), "observe", "a ObserveRules, not LatencyRules("),
        ("latency", {5: 6}, "latency", "not by 5"),
        ("latency.target_p95_ms", 800, "latency.target_p95_ms", "not built yet"),
        ("latency.target_p95_ms", "800", "latency.target_p95_ms", "without quotes"),
        ("failover.on_status", 429, "failover.on_status", "one alone is written [429]"),
        ("failover.on_status", "429, 503", "failover.on_status", "write [429, 503]"),
        ("failover.on_status", {"429": True}, "failover.on_status", "a list of statuses"),
        ("failover.on_status", [429, "503"], "failover.on_status[1]", "without quotes"),
        ("failover.on_status", [True], "failover.on_status[0]", "a boolean is not a number"),
        ("failover.on_status", [429.0], "failover.on_status[0]", "no decimal point"),
        ("failover.on_status", [99], "failover.on_status[0]", "from 100 to 599, not 99"),
        ("failover.on_status", [600], "failover.on_status[0]", "from 100 to 599, not 600"),
        ("failover.on_error_kinds", 5, "failover.on_error_kinds", "a list of error kinds"),
        ("failover.on_error_kinds", [5], "failover.on_error_kinds[0]", "5"),
        ("failover.on_error_kinds", "", "failover.on_error_kinds[0]", "''"),
        ("failover.on_error_kinds", "auth, ", "failover.on_error_kinds[1]", "known are timeout, rate_limit"),
        ("failover.on_error_kinds", ["auth", "Rate-Limit"], "failover.on_error_kinds[1]", "did you mean 'rate_limit'?"),
        ("failover.on_error_kinds", "defualt", "failover.on_error_kinds[0]", "did you mean 'default'?"),
        ("budget.on_exceed", "skp", "budget.on_exceed", "did you mean 'skip'?"),
        ("budget.on_exceed", "", "budget.on_exceed", "abort, skip or warn, not ''"),
        ("budget.on_exceed", True, "budget.on_exceed", "True"),
        ("budget.on_exceed", ["skip"], "budget.on_exceed", "one value belongs here"),
    ],
)
def test_a_wrong_shape_is_refused_with_what_would_be_right(path: str, value: object, key: str, words: str) -> None:
    """A list where one value belongs, one value where a list does, a word that nobody knows."""
    error = refused(holding(path, value))

    assert error.key == key
    assert words in str(error)
