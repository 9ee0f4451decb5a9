"""A misspelled name finds its way home, and a refusal says where in the policy it is."""

from __future__ import annotations

import pickle
from typing import Any

import attrs
import pytest

from routeware.errors import PolicyError
from routeware.money import Price
from routeware.policy import (
    BudgetRules,
    FailoverRules,
    LatencyRules,
    Link,
    ObserveRules,
    RoutingPolicy,
)

SECTIONS = {"failover": FailoverRules, "latency": LatencyRules, "budget": BudgetRules, "observe": ObserveRules}
IN_SECTIONS = [(section, field.name) for section, kind in SECTIONS.items() for field in attrs.fields(kind)]


def refused(settings: Any) -> PolicyError:
    """The refusal of these settings."""
    with pytest.raises(PolicyError) as caught:
        RoutingPolicy.from_dict(settings)
    return caught.value


def misspellings(name: str) -> list[str]:
    """What people write instead: a letter lost, a letter twice, hyphens, another case."""
    middle = len(name) // 2
    return [name[:middle] + name[middle + 1 :], name[:middle] + name[middle - 1 :], name.upper()]


@pytest.mark.parametrize(("section", "name"), IN_SECTIONS)
def test_a_misspelled_name_in_a_section_is_refused_with_the_right_one(section: str, name: str) -> None:
    """A typo would otherwise switch a safety off in silence."""
    for wrong in misspellings(name):
        error = refused({"chain": ["a:b"], section: {wrong: 5}})

        assert error.key == f"{section}.{wrong}"
        assert f"(given 5); did you mean {name!r}?" in str(error)


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Link)])
def test_a_misspelled_name_in_a_link_is_refused_with_the_right_one(name: str) -> None:
    """The path says which link it is."""
    for wrong in misspellings(name):
        error = refused({"chain": ["a:b", {"provider": "a", "model": "b", wrong: 5}]})

        assert error.key == f"chain[1].{wrong}"
        assert f"did you mean {name!r}?" in str(error)


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Price)])
def test_a_misspelled_name_in_a_price_is_refused_with_the_right_one(name: str) -> None:
    """A price that is not read is a price of nothing."""
    for wrong in misspellings(name):
        error = refused({"chain": [{"provider": "a", "model": "b", "price": {wrong: 5}}]})

        assert error.key == f"chain[0].price.{wrong}"
        assert f"did you mean {name!r}?" in str(error)


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(RoutingPolicy)])
def test_a_misspelled_name_at_the_top_is_refused_with_the_right_one(name: str) -> None:
    """Whole sections can be misspelled, too."""
    for wrong in misspellings(name):
        error = refused({"chain": ["a:b"], wrong: 5})

        assert error.key == wrong
        assert f"did you mean {name!r}?" in str(error)


@pytest.mark.parametrize(("section", "name"), IN_SECTIONS)
def test_a_setting_at_the_top_is_sent_to_its_section(section: str, name: str) -> None:
    """Names are unique across sections, so that it can be told where each belongs."""
    error = refused({"chain": ["a:b"], name: 5})

    assert error.key == name
    assert f"did you mean '{section}.{name}'?" in str(error)


def test_a_setting_of_a_link_at_the_top_is_sent_to_the_chain() -> None:
    """The likeliest of these is a time-out."""
    assert "did you mean 'chain[].timeout_ms'?" in str(refused({"chain": ["a:b"], "timeout_ms": 5}))


def test_a_name_that_is_like_none_gets_the_list() -> None:
    """A guess far off would only mislead."""
    error = refused({"chain": ["a:b"], "budget": {"zzz": 5}})

    assert "known are per_call_usd, session_usd, on_exceed, allow_unpriced" in str(error)


@pytest.mark.parametrize("settings", [None, 5, "policy.toml", ["a:b"], RoutingPolicy(chain=["a:b"])])
def test_settings_that_are_no_mapping_are_refused(settings: object) -> None:
    """There is no setting to name yet."""
    error = refused(settings)

    assert error.key is None
    assert str(error).startswith("must be a mapping of settings or a RoutingPolicy, not ")


def test_a_chain_is_required() -> None:
    """It is the one setting without a default."""
    assert refused({}).key == "chain"


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: Link(provider="a", model="b", timeout_ms=-1), "timeout_ms"),
        (lambda: Link(provider="a", model="b", price={"request_usd": -1}), "price.request_usd"),
        (lambda: FailoverRules(on_status=[99]), "on_status[0]"),
        (lambda: LatencyRules(race_width=1), "race_width"),
        (lambda: LatencyRules(target_p95_ms=0), "target_p95_ms"),
        (lambda: BudgetRules(on_exceed="?"), "on_exceed"),
        (lambda: ObserveRules(emit_event=""), "emit_event"),
        (lambda: RoutingPolicy(chain=["a:b"], latency={"race_width": 1}), "latency.race_width"),
    ],
)
def test_a_part_built_by_itself_names_its_own_field(build: Any, key: str) -> None:
    """Its place in a policy is not known yet."""
    with pytest.raises(PolicyError) as caught:
        build()

    assert caught.value.key == key
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_long_value_is_cut_and_a_value_without_a_repr_is_named_by_its_class() -> None:
    """An error is read on one screen, and is never an error in making the error."""

    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    long = refused({"chain": ["a:b"], "budget": {"per_call_usd": "9" * 1000}})
    shy = refused({"chain": [Shy()]})

    assert repr("9" * 1000)[:97] + "..." in str(long)
    assert "9" * 97 not in str(long)
    assert "not <Shy>" in str(shy)


def test_a_target_is_accepted_beside_a_threshold() -> None:
    """It is kept for the day when it is looked at."""
    rules = LatencyRules(target_p95_ms=800, race_after_ms=300)

    assert (rules.target_p95_ms, rules.race_after_ms) == (800.0, 300.0)


def test_there_is_one_target() -> None:
    """A 95th and a 99th percentile at once would be two."""
    with pytest.raises(PolicyError, match=r"latency\.target_p99_ms: .* combined with target_p95_ms"):
        RoutingPolicy(chain=["a:b"], latency={"target_p95_ms": 800, "target_p99_ms": 900})

    assert LatencyRules(target_p99_ms=900).target_ms == 900.0
    assert LatencyRules(target_p95_ms=800).target_ms == 800.0
