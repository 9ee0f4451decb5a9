"""What is behind an error, and what it says about the category and the money; groups of errors."""

from __future__ import annotations

import asyncio
import socket

import pytest

from routeware.classify import ErrorSnapshot, classify
from routeware.errors import (
    ErrorCategory,
)
from tests.fakes.failing import FailedError, named, raised


def test_the_cause_speaks_where_the_error_does_not() -> None:
    """Code of one's own wraps what an SDK raises; the status, the code and the wait come with it."""
    inner = FailedError(status_code=429, code="rate_limit_exceeded", retry_after=2)

    found = classify(raised(FailedError("wrapped"), cause=inner))

    assert found == ErrorSnapshot(
        category=ErrorCategory.RATE_LIMIT,
        message="rate_limit 429 rate_limit_exceeded tests.fakes.failing.FailedError",
        status=429,
        code="rate_limit_exceeded",
        retry_after_ms=2_000.0,
        may_have_cost=False,
    )


def test_the_outermost_error_that_means_something_decides() -> None:
    """What was survived on the way is history."""
    found = classify(raised(named("ReadTimeout")(), context=FailedError(status_code=429)))

    assert (found.category, found.status, found.may_have_cost) == (ErrorCategory.TIMEOUT, None, True)


def test_the_context_is_followed_unless_it_is_suppressed() -> None:
    """``raise ... from None`` says that it does not matter."""
    error = raised(FailedError(), context=ConnectionRefusedError())
    assert classify(error).category is ErrorCategory.TRANSIENT_NETWORK

    error.__suppress_context__ = True
    assert classify(error).category is ErrorCategory.GENERIC


def test_the_cause_is_followed_before_the_context() -> None:
    """An explicit cause is what somebody meant."""
    error = raised(FailedError(), cause=TimeoutError(), context=ConnectionResetError())

    assert classify(error).category is ErrorCategory.TIMEOUT


@pytest.mark.parametrize("never", [ConnectionRefusedError(), socket.gaierror(-2, "x"), named("ConnectTimeout")()])
@pytest.mark.parametrize("name", ["APIConnectionError", "APITimeoutError", "ProviderDown"])
def test_a_connection_that_was_never_made_costs_nothing_however_deep(never: BaseException, name: str) -> None:
    """An hour of refused connections is free."""
    error = raised(named(name)(), cause=raised(named("Middle")(), context=never))

    assert classify(error).may_have_cost is False


@pytest.mark.parametrize(
    ("outer", "inner", "may_have_cost"),
    [
        (named("APIConnectionError"), named("ReadError")(), True),
        (named("APITimeoutError"), named("ReadTimeout")(), True),
        (named("APITimeoutError"), TimeoutError(), True),
        (named("CircuitBreakerError"), TimeoutError(), True),
        (named("CircuitBreakerError"), ConnectionRefusedError(), False),
        (named("APITimeoutError"), asyncio.CancelledError(), True),
    ],
)
def test_the_most_knowing_error_says_what_was_spent(
    outer: type[BaseException], inner: BaseException, may_have_cost: bool
) -> None:
    """The outer error knows that it failed, its cause how."""
    assert classify(raised(outer(), cause=inner)).may_have_cost is may_have_cost


def test_ones_own_code_does_not_make_a_lost_answer_free() -> None:
    """A code on a wrapper may be the wrapper's; the read time-out behind it knows better."""
    found = classify(raised(FailedError(code="upstream_trouble"), cause=named("ReadTimeout")()))

    assert (found.category, found.may_have_cost) == (ErrorCategory.TIMEOUT, True)


@pytest.mark.parametrize(
    "stumble", [KeyError("choices"), TypeError("x"), IndexError(0), AttributeError("x"), ValueError("x")]
)
def test_stumbling_over_an_answer_does_not_make_it_free(stumble: Exception) -> None:
    """In the handler of one provider's refusal another provider was asked, and paid; then its answer was misread."""
    refused = FailedError(status_code=429)

    assert classify(raised(stumble, context=refused)).may_have_cost is True
    assert classify(raised(stumble, cause=refused)).may_have_cost is False


@pytest.mark.parametrize("links", [1, 2, 3])
def test_circles_of_causes_end(links: int) -> None:
    """An error can be its own cause."""
    chain = [FailedError(str(number)) for number in range(links)]
    for number, error in enumerate(chain):
        error.__cause__ = chain[(number + 1) % links]

    assert classify(chain[0]).category is ErrorCategory.GENERIC


def test_endless_chains_are_left_at_some_point() -> None:
    """What is behind a hundred others decides nothing."""
    error: BaseException = ConnectionRefusedError()
    for _ in range(1_000):
        error = raised(FailedError(), cause=error)

    assert classify(error).category is ErrorCategory.GENERIC


def test_a_group_whose_leaves_agree_is_what_they_are() -> None:
    """Nested ones, too; the status and the code where they agree as well, and the longest wait."""
    leaves = [
        FailedError(status_code=429, code="slow_down", retry_after=1),
        FailedError(status_code=429, code="slow_down"),
    ]
    group = ExceptionGroup(
        "x", [*leaves, ExceptionGroup("y", [FailedError(status_code=429, code="slow_down", retry_after=3)])]
    )

    assert classify(group) == ErrorSnapshot(
        category=ErrorCategory.RATE_LIMIT,
        message="rate_limit 429 slow_down ExceptionGroup",
        status=429,
        code="slow_down",
        retry_after_ms=3_000.0,
        may_have_cost=False,
    )


def test_leaves_of_one_category_may_differ_otherwise() -> None:
    """Then the group has no status and no code of its own."""
    found = classify(ExceptionGroup("x", [FailedError(status_code=500, code="a_b"), FailedError(status_code=502)]))

    assert (found.category, found.status, found.code) == (ErrorCategory.SERVER_ERROR, None, None)


def test_a_group_whose_leaves_disagree_is_generic() -> None:
    """Nobody can say which of them mattered; not even the cause of the group."""
    group = ExceptionGroup("x", [FailedError(status_code=429), TimeoutError()])

    found = classify(raised(group, cause=FailedError(status_code=503)))

    assert (found.category, found.status) == (ErrorCategory.GENERIC, None)


@pytest.mark.parametrize(
    ("leaves", "may_have_cost"),
    [
        ([ConnectionRefusedError(), ConnectionRefusedError()], False),
        ([ConnectionRefusedError(), ConnectionResetError()], True),
        ([ConnectionRefusedError(), FailedError()], True),
        ([FailedError(status_code=500), named("ConnectTimeout")()], False),
    ],
)
def test_a_group_may_have_cost_what_any_leaf_may(leaves: list[Exception], may_have_cost: bool) -> None:
    """All of them were under way."""
    assert classify(ExceptionGroup("x", leaves)).may_have_cost is may_have_cost


def test_a_group_behind_an_error_speaks_for_it() -> None:
    """A wrapper around a task group's failure."""
    group = BaseExceptionGroup("x", [asyncio.CancelledError()])

    assert classify(raised(FailedError(), cause=group)).category is ErrorCategory.CANCELLED


def test_circles_through_groups_end() -> None:
    """A leaf can have its group as its cause, and a group the same leaf twice."""
    leaf = FailedError(status_code=429)
    group = ExceptionGroup("x", [leaf, leaf])
    assert classify(group).category is ErrorCategory.RATE_LIMIT

    silent = FailedError()
    group = ExceptionGroup("x", [silent])
    silent.__cause__ = group
    assert classify(group).category is ErrorCategory.GENERIC
    assert classify(silent).category is ErrorCategory.GENERIC
    assert classify(silent).may_have_cost is True


@pytest.mark.parametrize(
    ("inner", "may_have_cost"),
    [
        (named("ReadTimeout")(), True),
        (ConnectionResetError(), True),
        (named("APIConnectionError")(), True),
        (ConnectionRefusedError(), False),
        (raised(named("APIConnectionError")(), cause=ConnectionRefusedError()), False),
        (raised(FailedError(status_code=500), cause=named("ReadTimeout")()), True),
        (KeyError("not in the cache"), False),
        (FailedError(status_code=500), False),
        (ValueError(), False),
    ],
)
def test_a_wrappers_status_does_not_make_a_lost_answer_free(inner: BaseException, may_have_cost: bool) -> None:
    """Some SDKs give a 500 to a connection that was reset; what was merely handled on the way is history."""
    error = raised(FailedError(status_code=503), context=inner)

    assert (classify(error).status, classify(error).may_have_cost) == (503, may_have_cost)

    error.__suppress_context__ = True
    assert classify(error).may_have_cost is False


def test_a_hidden_error_says_how_long_to_wait() -> None:
    """Some SDKs raise their own ``from None``, without the headers of the HTTP client's."""
    hidden = FailedError(status_code=429, headers={"retry-after": "3"})
    error = raised(FailedError(status_code=429), context=hidden)
    error.__suppress_context__ = True

    assert classify(error).retry_after_ms == 3_000.0
    vars(hidden)["status_code"] = 503
    assert classify(error).retry_after_ms is None
