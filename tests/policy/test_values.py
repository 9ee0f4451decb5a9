"""A value means something, or is refused with the setting that holds it, and what would be right."""

from __future__ import annotations

import math
from typing import Any

import pytest

from routeware.errors import PolicyError
from routeware.policy import (
    LatencyRules,
    Link,
    RoutingPolicy,
)

NOT_ONE_VALUE: tuple[object, ...] = ([1], (1,), {1}, {"a": 1}, [])
NOT_NUMBERS = ("5", "", True, False, math.nan, math.inf, -math.inf, b"5", 5j, *NOT_ONE_VALUE)
TOO_LARGE = (10**400, 10**5000)  # no float holds the first, and the second has no repr
NOT_TEXTS = (5, 5.0, True, b"text", *NOT_ONE_VALUE)

NUMBERS = {
    # setting: (what fits, what is out of range)
    "chain[1].timeout_ms": ((1, 0.5, 1e9), (0, -1, -0.0)),
    "chain[1].price.input_usd_per_mtok": ((0, 2.5, 1e12), (-1, -0.001, 1.1e12)),
    "chain[1].price.output_usd_per_mtok": ((0, 2.5), (-1,)),
    "chain[1].price.cached_input_usd_per_mtok": ((0, 2.5), (-1,)),
    "chain[1].price.cache_write_usd_per_mtok": ((0, 2.5), (-1,)),
    "chain[1].price.cache_write_1h_usd_per_mtok": ((0, 2.5), (-1,)),
    "chain[1].price.input_audio_usd_per_mtok": ((0, 2.5), (-1,)),
    "chain[1].price.output_audio_usd_per_mtok": ((0, 2.5), (-1,)),
    "chain[1].price.web_search_usd": ((0, 0.01, 1e12), (-1, 1.1e12)),
    "chain[1].price.request_usd": ((0, 0.01), (-1, 1.1e12)),
    "chain[1].uncertain_share": ((0, 1, 0.5), (-0.1, 1.1)),
    "failover.on_timeout_ms": ((1, 0.5), (0, -1)),
    "latency.race_after_ms": ((0, 0.0, 50), (-1, -0.1)),
    "latency.max_extra": ((0, 1, 0.5), (-0.1, 1.1, 35)),
    "latency.explore": ((0, 0.1), (-0.1, 0.11, 1)),
    "latency.deadline_ms": ((1, 0.5), (0, -1)),
    "budget.per_call_usd": ((0, 0.25, 3, 1e12), (-1, -0.01, 1.1e12)),
    "budget.session_usd": ((0, 0.25, 3, 1e12), (-1, -0.01, 1.1e12)),
}
COUNTS = {
    "chain[1].max_output_tokens": ((1, 4096, 2**53), (0, -1)),
    "failover.max_attempts": ((1, 9), (0, -1)),
    "latency.race_width": ((2, 3), (1, 0, -2)),
}
TEXTS = ("chain[1].provider", "chain[1].model", "chain[1].label", "observe.emit_event", "label")
FLAGS = ("latency.swap_in_outage", "budget.allow_unpriced", "observe.error_messages")
ALWAYS_SET = tuple(f"chain[1].price.{name}" for name in ("input_usd_per_mtok", "output_usd_per_mtok", "request_usd"))
WITH_A_DEFAULT = (
    "chain[1].uncertain_share",
    "latency.max_extra",
    "latency.explore",
    "latency.race_width",
    *FLAGS,
    *TEXTS,
    "budget.on_exceed",
)


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


@pytest.mark.parametrize(("path", "value"), table(*((path, fits) for path, (fits, _) in (NUMBERS | COUNTS).items())))
def test_a_value_in_range_is_kept(path: str, value: float) -> None:
    """The ends of a range belong to it, ints stand for floats."""
    kept = at(RoutingPolicy.from_dict(holding(path, value)), path)

    assert kept == value
    assert isinstance(kept, int if path in COUNTS else float)


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
    if path in ALWAYS_SET:
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
        ("latency.target_p95_ms", 0, "latency.target_p95_ms", "above 0"),
        ("latency.target_p99_ms", 0, "latency.target_p99_ms", "above 0"),
        ("latency.by_size", 1, "latency.by_size", "true or false"),
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
        ("failover.on_error_kinds", " , ", "failover.on_error_kinds[0]", "known are timeout, rate_limit"),
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
