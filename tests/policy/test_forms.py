"""A policy can be kept as a dict, as JSON or as TOML, and comes back as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeware.errors import ErrorCategory, PolicyError
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

POLICY_TOML = """
chain = ["openai:gpt", {provider = "anthropic", model = "claude", timeout_ms = 8_000, tier = ""}]
label = "shop"
[failover]
on_error_kinds = "default, auth"
on_status = [409]
[latency]
race_after_ms = 800
[budget]
per_call_usd = 0.05
on_exceed = "Skip"
"""

EXPECTED = RoutingPolicy(
    chain=["openai:gpt", Link(provider="anthropic", model="claude", timeout_ms=8000, tier="")],
    label="shop",
    failover=FailoverRules(on_error_kinds=("default", "auth"), on_status=(409,)),
    latency=LatencyRules(race_after_ms=800),
    budget=BudgetRules(per_call_usd=0.05, on_exceed=OnExceed.SKIP),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that each test writes."""
    return tmp_path / "policy.toml"


def test_a_whole_file_is_a_policy(file: Path) -> None:
    """Its path may be a text, too."""
    file.write_text(POLICY_TOML)

    assert RoutingPolicy.from_toml(file) == RoutingPolicy.from_toml(str(file)) == EXPECTED


def test_a_table_of_a_larger_file_is_a_policy(file: Path) -> None:
    """So that it can live in pyproject.toml."""
    file.write_text(
        '[project]\nname = "shop"\n[tool.shop.routing]\nchain = ["a:b"]\n[tool.shop.routing.latency]\nrace_after_ms = 5'
    )

    policy = RoutingPolicy.from_toml(file, table="tool.shop.routing")

    assert policy == RoutingPolicy(chain=["a:b"], latency={"race_after_ms": 5})


def test_a_missing_file_is_the_ordinary_error(file: Path) -> None:
    """It is not the policy that is wrong."""
    with pytest.raises(FileNotFoundError):
        RoutingPolicy.from_toml(file)


@pytest.mark.parametrize(
    ("content", "table", "key", "words"),
    [
        (b"chain = [\n'a:b'\nlabel = 5", None, None, "this is not TOML"),
        (b"chain = [\n'a:b'\nlabel = 5", None, None, "(at line 3, "),
        (b"chain = ['a:b']\n# caf\xe9", None, None, "UTF-8 (at line 2)"),
        (b"chain = ['a:b']\nlatency.race_after_ms = '5'", None, "latency.race_after_ms", "without quotes"),
        (b"chain = ['a:b']\nlatency.race_after_ms = inf", None, "latency.race_after_ms", "finite"),
        (b"chain = ['a:b']\nlabel = 2026-01-01", None, "label", "a text"),
        (b"[tool.shop.routing]\nchain = ['a:b']", None, "chain", "did you mean table='tool.shop.routing'?"),
        (b"[project]\nname = 'x'", None, "project", "no such setting"),
        (b"[tool.shop.routing]\nchain = ['a:b']", "tool.shop.routnig", "tool.shop.routnig", "'tool.shop.routing'?"),
        (b"[tool.My-Shop]\nchain = ['a:b']", "tool.my_shop", "tool.my_shop", "did you mean 'tool.My-Shop'?"),
        (b"[tool.shop]\nrouting = 'a:b'", "tool.shop.routing", "tool.shop.routing", "did you mean 'tool.shop'?"),
        (b"[zzz]", "routing", "routing", "there are zzz"),
        (b"", "routing", "routing", "there are none"),
        (b"[tool]\nchain = 5", "tool", "chain", "one alone is written [5]"),
        (b"[tool]", 5, "table", "a dotted path, not 5"),
    ],
)
def test_what_is_wrong_in_a_file_names_the_file(
    file: Path, content: bytes, table: Any, key: str | None, words: str
) -> None:
    """A service reads several."""
    file.write_bytes(content)

    with pytest.raises(PolicyError) as caught:
        RoutingPolicy.from_toml(file, table=table)

    assert caught.value.key == key
    assert words in str(caught.value)
    assert f"(in {file}" in str(caught.value)


# Round trips


def test_plain_settings_hold_the_chain_and_what_is_not_at_its_default() -> None:
    """What a person would have written."""
    policy = RoutingPolicy(
        chain=["a:b", Link(provider="c", model="d", label="spare", price=Price(request_usd=0.5))],
        failover={"on_status": [], "max_attempts": 2},
        budget={"on_exceed": "skip", "allow_unpriced": False},
    )

    assert policy.to_dict() == {
        "chain": [
            {"provider": "a", "model": "b"},
            {"provider": "c", "model": "d", "label": "spare", "price": {"request_usd": 0.5}},
        ],
        "failover": {"on_status": [], "max_attempts": 2},
        "budget": {"on_exceed": "skip"},
    }


positive = st.floats(min_value=1e-3, max_value=1e9)
amounts = st.floats(min_value=0, max_value=1e6) | st.integers(min_value=0, max_value=1000)
names = st.text(min_size=1, max_size=8).filter(str.strip)


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A value or nothing."""
    return st.none() | values


prices = st.builds(
    Price,
    input_usd_per_mtok=amounts,
    output_usd_per_mtok=amounts,
    cached_input_usd_per_mtok=some(amounts),
    request_usd=amounts,
)
plain_links = st.builds(
    Link,
    provider=names,
    model=names,
    timeout_ms=some(positive),
    price=some(prices),
    max_output_tokens=some(st.integers(min_value=1)),
    tier=some(st.text(max_size=8)),
)
links = plain_links | st.builds(lambda link, label: attrs.evolve(link, label=label), plain_links, names)
statuses = st.lists(st.integers(100, 599), max_size=5)
kinds = st.lists(st.sampled_from([*ErrorCategory, "network", "default", "any"]), max_size=4)
policies = st.builds(
    RoutingPolicy,
    chain=st.lists(links, min_size=1, max_size=4),
    failover=st.builds(
        FailoverRules,
        on_status=some(statuses),
        on_error_kinds=some(kinds),
        on_timeout_ms=some(positive),
        max_attempts=some(st.integers(min_value=1)),
    ),
    latency=st.builds(
        LatencyRules,
        race_after_ms=st.floats(min_value=0, max_value=1e6),
        target_p95_ms=some(positive),
        by_size=st.booleans(),
        max_extra=st.floats(0, 1),
        explore=st.floats(0, 0.1),
        swap_in_outage=st.booleans(),
        race_width=st.integers(2, 9),
        deadline_ms=some(positive),
    )
    | st.builds(LatencyRules, target_p99_ms=some(positive), deadline_ms=some(positive)),
    budget=st.builds(
        BudgetRules,
        per_call_usd=some(amounts),
        session_usd=some(amounts),
        on_exceed=st.sampled_from([*OnExceed, "downgrade"]),
        allow_unpriced=st.booleans(),
    ),
    observe=st.builds(ObserveRules, emit_event=names, error_messages=st.booleans()),
)


@given(policy=policies)
def test_any_policy_comes_back_from_its_plain_settings(policy: RoutingPolicy) -> None:
    """As a dict, and through JSON."""
    settings = policy.to_dict()

    again = RoutingPolicy.from_dict(json.loads(json.dumps(settings, allow_nan=False)))

    assert again == RoutingPolicy.from_dict(settings) == policy
    assert hash(again) == hash(policy)
    assert again.to_dict() == settings


@given(policy=policies, label=names)
def test_a_label_of_ones_own_comes_back_too(policy: RoutingPolicy, label: str) -> None:
    """It is left out only where it says what would be said anyway."""
    named = attrs.evolve(policy, label=label)

    assert RoutingPolicy.from_dict(named.to_dict()) == named


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=5,
)
sections = {"failover": FailoverRules, "latency": LatencyRules, "budget": BudgetRules, "observe": ObserveRules}
places = st.sampled_from(
    [
        *((field.name, None) for field in attrs.fields(RoutingPolicy)),
        *((section, field.name) for section, kind in sections.items() for field in attrs.fields(kind)),
    ]
)


# A time that is longer than its bound is reported as the bound's fault, which is most often the default.
BOUNDS = {"failover.cooldown_ms": "failover.cooldown_max_ms", "failover.backoff_ms": "failover.backoff_max_ms"}


@given(place=places, value=junk)
def test_whatever_is_written_is_a_policy_or_a_refusal(place: tuple[str, str | None], value: object) -> None:
    """Never another error, whatever stands where."""
    section, name = place
    settings = {"chain": ["a:b"], section: value if name is None else {name: value}}
    try:
        policy = RoutingPolicy.from_dict(settings)
    except PolicyError as error:
        key = error.key
    else:
        key = section if name is None else f"{section}.{name}"
        assert RoutingPolicy.from_dict(policy.to_dict()) == policy

    place_key = section if name is None else f"{section}.{name}"
    assert key is not None
    assert key.startswith(place_key) or key == BOUNDS.get(place_key)
