"""What is kept of an error, whether the next link is tried after it, and what the caller's hook may say."""

from __future__ import annotations

import pickle
from http import HTTPStatus
from typing import Any

import pytest

from routeware.classify import ErrorSnapshot, classify, eligible, error_type, snapshot_from_hook
from routeware.errors import (
    ErrorCategory,
)
from routeware.policy import FailoverRules
from tests.fakes.failing import FailedError


def test_the_message_quotes_nobody() -> None:
    """Providers put prompts and keys into their texts."""
    error = FailedError(
        "the prompt was: SECRET", message="SECRET", status_code=400, body={"error": {"message": "SECRET"}}
    )

    assert classify(error).message == "bad_request 400 tests.fakes.failing.FailedError"


def test_the_text_is_taken_where_it_is_asked_for() -> None:
    """Cut at 256 characters; without a text the plain line stands."""
    assert classify(FailedError("because"), with_text=True).message == "because"
    assert classify(FailedError("é" * 300), with_text=True).message == "é" * 256
    assert classify(FailedError(), with_text=True).message == "generic tests.fakes.failing.FailedError"


def test_an_error_type_is_its_qualified_name() -> None:
    """Builtins go without their module."""

    class LocalError(Exception):
        pass

    assert error_type(KeyError()) == "KeyError"
    assert error_type(FailedError()) == "tests.fakes.failing.FailedError"
    assert error_type(LocalError()).endswith("test_an_error_type_is_its_qualified_name.<locals>.LocalError")


def test_a_snapshot_is_plain_values() -> None:
    """It can be pickled and compared, and keeps no exception alive."""

    class Word(str):
        __slots__ = ()

    found = classify(FailedError(status_code=HTTPStatus.BAD_REQUEST, code=Word("some_code"), retry_after=3))

    assert pickle.loads(pickle.dumps(found)) == found
    assert [type(value) for value in (found.status, found.code, found.retry_after_ms)] == [int, str, float]


def snapshot(category: str, status: int | None = None) -> ErrorSnapshot:
    """An error of that category."""
    return ErrorSnapshot(category=ErrorCategory(category), message="x", status=status)


DEFAULT = {
    "timeout",
    "rate_limit",
    "quota",
    "overloaded",
    "server_error",
    "transient_network",
    "cancelled",
    "circuit_open",
    "rejected",
}


@pytest.mark.parametrize("category", ErrorCategory)
def test_without_rules_what_another_provider_may_cure_is_failed_over(category: ErrorCategory) -> None:
    """A refusal for content is not an outage, and nor is a wrong key."""
    assert eligible(snapshot(category), FailoverRules()) is (category in DEFAULT)


@pytest.mark.parametrize("status", range(400, 600))
def test_without_rules_some_statuses_fail_over_by_themselves(status: int) -> None:
    """Whatever their category is."""
    wanted = status in {408, 429, 500, 502, 503, 504, 529}

    assert eligible(snapshot("content_policy", status), FailoverRules()) is wanted
    assert eligible(snapshot("content_policy", status), FailoverRules(), by_hook=True) is False


@pytest.mark.parametrize("category", ErrorCategory)
def test_a_hooks_category_decides_by_itself(category: ErrorCategory) -> None:
    """Where the caller's hook gave it, the status is not asked."""
    assert eligible(snapshot(category, 503), FailoverRules(), by_hook=True) is (category in DEFAULT)


@pytest.mark.parametrize("category", ErrorCategory)
def test_statuses_given_replace_the_default(category: ErrorCategory) -> None:
    """A status in the list fails over; of the rest only time-outs and rejected results do."""
    rules = FailoverRules(on_status=[404, 503])

    assert eligible(snapshot(category, 404), rules) is True
    assert eligible(snapshot(category, 404), rules, by_hook=True) is True
    assert eligible(snapshot(category, 429), rules) is (category in {"timeout", "rejected"})
    assert eligible(snapshot(category), rules) is (category in {"timeout", "rejected"})


@pytest.mark.parametrize("category", ErrorCategory)
def test_kinds_given_replace_the_default(category: ErrorCategory) -> None:
    """Only these, time-outs and rejected results fail over, also at a status that would by default."""
    rules = FailoverRules(on_error_kinds=["auth", "network"])
    wanted = category in {"auth", "transient_network", "timeout", "rejected"}

    assert eligible(snapshot(category), rules) is wanted
    assert eligible(snapshot(category, 503), rules) is wanted


@pytest.mark.parametrize("category", ErrorCategory)
def test_default_and_any_stand_for_many(category: ErrorCategory) -> None:
    """``default`` is what goes without rules, its statuses included; ``any`` is everything."""
    default = FailoverRules(on_error_kinds=["default", "not_found"])

    assert eligible(snapshot(category), default) is (category in DEFAULT | {"not_found"})
    assert eligible(snapshot(category, 504), default) is True
    assert eligible(snapshot(category, 504), default, by_hook=True) is (category in DEFAULT | {"not_found"})
    assert eligible(snapshot(category), FailoverRules(on_error_kinds="any")) is True


def test_either_of_statuses_and_kinds_suffices() -> None:
    """Both given, both count."""
    rules = FailoverRules(on_status=[418], on_error_kinds=["auth"])

    assert eligible(snapshot("generic", 418), rules)
    assert eligible(snapshot("auth", 401), rules)
    assert not eligible(snapshot("overloaded", 503), rules)


@pytest.mark.parametrize("answer", [ErrorCategory.AUTH, "auth", " AUTH "])
def test_a_hooks_category_replaces_ours(answer: ErrorCategory | str) -> None:
    """All else stays as it was found."""
    error = FailedError("text", status_code=429, code="slow_down", retry_after=1)

    assert snapshot_from_hook(answer, error) == ErrorSnapshot(
        category=ErrorCategory.AUTH,
        message="auth 429 slow_down tests.fakes.failing.FailedError",
        status=429,
        code="slow_down",
        retry_after_ms=1_000.0,
        may_have_cost=False,
    )
    assert snapshot_from_hook(answer, error, with_text=True).message == "text"


@pytest.mark.parametrize(
    ("alias", "category"),
    [("network", "transient_network"), ("transient", "transient_network"), ("provider_5xx", "server_error")],
)
def test_a_hook_may_use_aliases(alias: str, category: str) -> None:
    """The same names as in a policy."""
    assert snapshot_from_hook(alias, FailedError()).category.value == category


def test_a_hooks_snapshot_is_taken_as_it_is() -> None:
    """Whoever makes one knows best."""
    made = ErrorSnapshot(category=ErrorCategory.QUOTA, message="mine", may_have_cost=True)

    assert snapshot_from_hook(made, FailedError(status_code=500)) is made


def test_a_hook_may_leave_it_to_us() -> None:
    """``None`` is the structural classification."""
    error = FailedError("text", status_code=500)

    assert snapshot_from_hook(None, error) == classify(error)
    assert snapshot_from_hook(None, error, with_text=True) == classify(error, with_text=True)


@pytest.mark.parametrize("answer", ["default", "any", "", "SECRET"])
def test_a_hook_that_names_no_category_is_told_which_there_are(answer: str) -> None:
    """Its answer is not quoted: it may be the provider's text."""
    with pytest.raises(ValueError, match="rate_limit") as caught:
        snapshot_from_hook(answer, FailedError())

    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("answer", [True, 429, 1.5, ["auth"], object()])
def test_a_hook_that_gives_something_else_is_told_what_to_give(answer: Any) -> None:
    """A category, a snapshot or nothing."""
    with pytest.raises(TypeError, match="category"):
        snapshot_from_hook(answer, FailedError())
