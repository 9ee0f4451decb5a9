"""Scripted failures are classified like the providers' own."""

from __future__ import annotations

import pytest

from routeware import ErrorCategory
from routeware.classify import classify
from routeware.testing import fails

NOT_BY_PROVIDERS = {ErrorCategory.REJECTED, ErrorCategory.BUDGET_EXCEEDED}


@pytest.mark.parametrize("category", [one for one in ErrorCategory if one not in NOT_BY_PROVIDERS])
def test_a_category_by_name_is_what_the_failure_is_classified_as(category: ErrorCategory) -> None:
    """With and without a time to be left alone."""
    assert classify(fails(category.value).make()).category is category
    snapshot = classify(fails(category.value, retry_after_ms=2_500).make())
    assert (snapshot.category, snapshot.retry_after_ms) == (category, 2_500)


def test_a_status_and_a_code_are_the_providers_own() -> None:
    """They stand in the snapshot as they would in production."""
    snapshot = classify(fails(429, code="insufficient_quota").make())

    assert (snapshot.status, snapshot.code, snapshot.category) == (429, "insufficient_quota", ErrorCategory.QUOTA)


def test_every_attempt_gets_an_error_of_its_own() -> None:
    """So that the record on one is not replaced by another call's; an exception that is given stays itself."""
    step, own = fails(500), ValueError("mine")

    assert step.make() is not step.make()
    assert fails(own).make() is own


def test_builtin_errors_are_caught_as_such() -> None:
    """``except TimeoutError`` in the code under test works."""
    assert isinstance(fails("timeout").make(), TimeoutError)
    assert isinstance(fails("transient_network").make(), ConnectionError)


@pytest.mark.parametrize(
    ("what", "hint"),
    [
        (200, "a status from 400 to 599"),
        (True, "a status from 400 to 599"),
        (4.5, "a status from 400 to 599"),
        ("rejected", "@ask.accept"),
        ("budget_exceeded", "a cap"),
        ("rate-limit", "known are timeout, rate_limit"),
    ],
)
def test_what_no_provider_fails_with_is_refused(what: object, hint: str) -> None:
    """With what to write instead."""
    with pytest.raises(ValueError, match=hint):
        fails(what)  # type: ignore[arg-type]


def test_an_exception_brings_its_own_code() -> None:
    """Two sources of one fact are refused."""
    with pytest.raises(ValueError, match="the exception alone"):
        fails(ValueError(), code="x")
