"""Class names, where there is neither status nor code, and text, where there is nothing else."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import ssl

import pytest

from routeware.classify import classify
from routeware.errors import (
    AttemptTimeoutError,
    BudgetExceededError,
    DeadlineExceededError,
    ErrorCategory,
    ExhaustedError,
    LedgerUnavailableError,
    NoSessionError,
    PolicyError,
    ProviderCancelledError,
    ResultRejectedError,
    SessionClosedError,
)
from tests.fakes.failing import FailedError, named, raised


@pytest.mark.parametrize(
    ("error", "category", "may_have_cost"),
    [
        (TimeoutError(), "timeout", True),
        (asyncio.TimeoutError(), "timeout", True),  # noqa: UP041  the old spellings are what older code raises
        (socket.timeout(), "timeout", True),  # noqa: UP041
        (ConnectionRefusedError(), "transient_network", False),
        (ConnectionResetError(), "transient_network", True),
        (ConnectionAbortedError(), "transient_network", True),
        (ConnectionError(), "transient_network", True),
        (BrokenPipeError(), "transient_network", True),
        (socket.gaierror(-2, "unknown"), "transient_network", False),
        (socket.herror(1, "unknown"), "transient_network", False),
        (ssl.SSLError(1, "bad record mac"), "transient_network", True),
        (ssl.SSLCertVerificationError(1, "certificate"), "transient_network", False),
        (OSError(errno.ENETUNREACH, "no way"), "transient_network", False),
        (OSError(errno.EHOSTUNREACH, "no way"), "transient_network", False),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1)"), "transient_network", False),
        (OSError(errno.EIO, "disk"), "generic", True),
        (FileNotFoundError("x"), "generic", True),
        (PermissionError("x"), "generic", True),
        (asyncio.IncompleteReadError(b"", 4), "transient_network", True),
        (asyncio.CancelledError(), "cancelled", True),
        (json.JSONDecodeError("x", "y", 0), "schema_validation", True),
        (ValueError("x"), "generic", True),
        (KeyError("choices"), "generic", True),
        (RuntimeError("x"), "generic", True),
        (NotImplementedError(), "generic", True),
        (KeyboardInterrupt(), "generic", True),
    ],
)
def test_pythons_own_errors_are_known(error: BaseException, category: str, may_have_cost: bool) -> None:
    """Refused, unresolved and unreachable cost nothing; whatever was under way may have."""
    found = classify(error)

    assert (found.category.value, found.may_have_cost) == (category, may_have_cost)
    assert (found.status, found.code) == (None, None)


@pytest.mark.parametrize(
    "reason", ["SSLV3_ALERT_HANDSHAKE_FAILURE", "WRONG_VERSION_NUMBER", "CERTIFICATE_VERIFY_FAILED"]
)
def test_a_tls_handshake_that_failed_cost_nothing(reason: str) -> None:
    """No request was sent over a connection that never came to be."""
    error = ssl.SSLError(1, "x")
    error.reason = reason

    assert classify(error).may_have_cost is False


@pytest.mark.parametrize(
    ("name", "category", "may_have_cost"),
    [
        ("ConnectTimeout", "timeout", False),
        ("PoolTimeout", "timeout", False),
        ("ConnectionTimeoutError", "timeout", False),
        ("ReadTimeout", "timeout", True),
        ("ReadTimeoutError", "timeout", True),
        ("WriteTimeout", "timeout", True),
        ("SocketTimeoutError", "timeout", True),
        ("UpstreamTimedOut", "timeout", True),
        ("DeadlineExceeded", "timeout", True),
        ("ConnectError", "transient_network", False),
        ("EndpointConnectionError", "transient_network", False),
        ("ReadError", "transient_network", True),
        ("RemoteProtocolError", "transient_network", True),
        ("APIConnectionError", "transient_network", True),
        ("CircuitBreakerError", "circuit_open", False),
        ("CircuitOpenError", "circuit_open", False),
        ("BrokenCircuitException", "circuit_open", False),
        ("OpenCircuitError", "circuit_open", False),
        ("ShortCircuit", "generic", True),
        ("RateLimitError", "rate_limit", False),
        ("TooManyRequests", "rate_limit", False),
        ("InsufficientQuotaError", "quota", False),
        ("ServiceUnavailableError", "overloaded", False),
        ("InternalServerError", "server_error", True),
        ("AuthenticationError", "auth", False),
        ("NoCredentialsError", "auth", False),
        ("NotFoundError", "not_found", False),
        ("BadRequestError", "bad_request", False),
        ("InvalidURL", "bad_request", False),
        ("ContextWindowExceededError", "context_length", True),
        ("ContentPolicyViolationError", "content_policy", True),
        ("ContentFilterFinishReasonError", "content_policy", True),
        ("LengthFinishReasonError", "schema_validation", True),
        ("ValidationError", "schema_validation", True),
        ("ToolExecutionError", "tool_error", True),
        ("ToolRejectedError", "tool_rejected", True),
        ("EgressBlockedError", "egress_blocked", False),
        ("BudgetExceededError", "budget_exceeded", False),
        ("CancelledError", "cancelled", True),
        ("APIError", "server_error", True),
        ("ApiException", "server_error", True),
        ("GoogleAPICallError", "server_error", True),
        ("ResponseError", "server_error", True),
        ("SDKError", "server_error", True),
        ("UpstreamError", "server_error", True),
        ("ClientResponseError", "generic", True),
        ("UsageLimitExceeded", "budget_exceeded", True),
        ("ProviderError", "generic", True),
    ],
)
def test_foreign_errors_are_known_by_name(name: str, category: str, may_have_cost: bool) -> None:
    """So that no SDK has to be imported."""
    found = classify(named(name)("x"))

    assert (found.category.value, found.may_have_cost) == (category, may_have_cost)
    assert found.message == f"{category} sdk.errors.{name}"


def test_the_same_name_may_mean_another_thing_in_another_library() -> None:
    """The ValidationError of botocore is about a parameter, and nothing was sent."""
    found = classify(named("ValidationError", module="botocore.exceptions")())

    assert (found.category, found.may_have_cost) == (ErrorCategory.BAD_REQUEST, False)


def test_a_subclass_is_what_its_bases_are() -> None:
    """The most derived name that means something decides."""
    base = named("RateLimitError")

    assert classify(named("TenantRefused", base)()).category is ErrorCategory.RATE_LIMIT
    assert classify(named("CircuitOpenError", base)()).category is ErrorCategory.CIRCUIT_OPEN


def test_a_time_out_comes_before_a_lost_connection() -> None:
    """An SDK's time-out is often a kind of its connection error; the order of bases does not matter."""
    connection, timeout = named("APIConnectionError"), named("TimeoutException")

    assert classify(named("Slow", connection, timeout)()).category is ErrorCategory.TIMEOUT
    assert classify(named("ServerTimeoutError", connection)()).category is ErrorCategory.TIMEOUT
    assert classify(named("Late", named("Lost", ConnectionError), TimeoutError)()).category is ErrorCategory.TIMEOUT


@pytest.mark.parametrize(
    ("error", "category", "may_have_cost"),
    [
        (AttemptTimeoutError("a:b", 5), "timeout", True),
        (DeadlineExceededError(5), "timeout", True),
        (ResultRejectedError("a:b", object()), "rejected", True),
        (ProviderCancelledError("a:b"), "cancelled", True),
        (BudgetExceededError(kind="session", limit_usd=1, projected_usd=1, committed_usd=1), "budget_exceeded", False),
        (NoSessionError(), "generic", False),
        (SessionClosedError(), "generic", False),
        (LedgerUnavailableError(), "generic", False),
        (PolicyError("x"), "generic", False),
        (ExhaustedError(("a:b",)), "generic", True),
    ],
)
def test_our_own_errors_out_of_a_nested_call_are_known(error: Exception, category: str, may_have_cost: bool) -> None:
    """What is behind them does not change them, exhaustion apart."""
    assert classify(error).category.value == category
    assert classify(error).may_have_cost is may_have_cost
    if not isinstance(error, ExhaustedError):
        assert classify(raised(error, cause=FailedError(status_code=401))).category.value == category


def test_exhaustion_means_what_its_cause_means() -> None:
    """The last provider error is what there is to know."""
    found = classify(raised(ExhaustedError(("a:b",)), cause=FailedError(status_code=429)))

    assert (found.category, found.status, found.may_have_cost) == (ErrorCategory.RATE_LIMIT, 429, False)
    assert found.message == "rate_limit 429 routeware.errors.ExhaustedError"


def test_a_deadline_has_cut_off_more_than_its_cause() -> None:
    """The refusal that it is raised from was an earlier attempt; what was in flight may have cost."""
    assert classify(raised(DeadlineExceededError(5), cause=ConnectionRefusedError())).may_have_cost is True
    assert classify(raised(AttemptTimeoutError("a:b", 5), cause=ConnectionRefusedError())).may_have_cost is False


@pytest.mark.parametrize(
    ("text", "category", "status"),
    [
        ("HTTP 429 Too Many Requests", "rate_limit", 429),
        ("provider said HTTP/1.1 503 Service Unavailable", "overloaded", 503),
        ("HTTP Error 404: Not Found", "not_found", 404),
        ("Error code: 500 - oops", "server_error", 500),
        ("status=401", "auth", 401),
        ("bad status code: 502", "server_error", 502),
        ("503 Service Unavailable", "overloaded", 503),
        ("(503)", "overloaded", 503),
        ("HTTP 400: your credit balance is too low", "quota", 400),
        ("HTTP 400: context length is 4096", "context_length", 400),
        ("Your credit balance is too low to go on", "quota", None),
        ("insufficient_quota", "quota", None),
        ("prompt is too long: 300 tokens", "context_length", None),
        ("Rate limit reached", "rate_limit", None),
        ("404 items were processed", "generic", None),
        ("after 500 ms", "generic", None),
        ("HTTP 200 OK", "generic", None),
        ("port 4290", "generic", None),
    ],
)
def test_text_is_the_last_resort(text: str, category: str, status: int | None) -> None:
    """A status in prose counts as one; a few phrases are known."""
    found = classify(RuntimeError(text))

    assert (found.category.value, found.status) == (category, status)
    assert found.may_have_cost is (status is None)
    assert text not in found.message


def test_structure_comes_before_text() -> None:
    """Anything can stand in a text, a prompt for example."""
    assert classify(TimeoutError("HTTP 401")).category is ErrorCategory.TIMEOUT
    assert classify(FailedError("HTTP 401", status_code=500)).category is ErrorCategory.SERVER_ERROR
    assert (
        classify(raised(FailedError("HTTP 401"), cause=ConnectionResetError())).category
        is ErrorCategory.TRANSIENT_NETWORK
    )


def test_the_texts_behind_an_error_are_read_too() -> None:
    """Outermost first, like everything."""
    assert classify(raised(FailedError("x"), cause=FailedError("HTTP 401"))).status == 401
    assert classify(raised(FailedError("HTTP 403"), cause=FailedError("HTTP 401"))).status == 403


@pytest.mark.parametrize(
    ("status", "text", "category"),
    [
        (400, "Your credit balance is too low to access the API", "quota"),
        (400, "Input is too long for requested model", "context_length"),
        (400, "max_tokens is missing", "bad_request"),
        (422, "Prompt is too long", "context_length"),
        (429, "insufficient_quota", "quota"),
        (429, "Your context length is fine, slow down", "rate_limit"),
        (401, "credit balance", "quota"),
        (500, "credit balance", "server_error"),
    ],
)
def test_a_coarse_status_is_refined_by_text(status: int, text: str, category: str) -> None:
    """Some providers answer 400 where the money ran out, and have no code for it."""
    assert classify(FailedError(text, status_code=status)).category.value == category
    assert classify(FailedError(message=text, status_code=status)).category.value == category


def test_a_code_comes_before_text() -> None:
    """A code that settles the matter settles it."""
    assert (
        classify(FailedError("credit balance", status_code=400, code="content_filter")).category.value
        == "content_policy"
    )


@pytest.mark.parametrize(
    ("text", "category", "status", "may_have_cost"),
    [
        ("", "server_error", None, True),
        ("Provider returned error", "server_error", None, True),
        ("Rate limit reached, slow down", "rate_limit", None, False),
        ("Your credit balance is too low", "quota", None, False),
        ("The model is overloaded", "overloaded", None, False),
        ("prompt is too long: 9 tokens", "context_length", None, False),
        ("HTTP 401 from upstream", "auth", 401, False),
        ("Error code: 400 - your credit balance is too low", "quota", 400, False),
    ],
)
def test_a_providers_own_error_without_a_status_is_read_by_its_text(
    text: str, category: str, status: int | None, may_have_cost: bool
) -> None:
    """It is raised in the middle of a stream, and is no mistake in the caller's function."""
    found = classify(named("APIError")(text))

    assert (found.category.value, found.status, found.may_have_cost) == (category, status, may_have_cost)


def test_a_providers_own_error_gives_way_to_its_cause() -> None:
    """Wrappers use the same name for whatever went wrong below."""
    error = raised(named("APIError")("it failed"), cause=named("ReadTimeout")())

    assert (classify(error).category, classify(error).may_have_cost) == (ErrorCategory.TIMEOUT, True)
    assert classify(raised(named("APIError")(), cause=ConnectionRefusedError())).may_have_cost is False
    assert classify(raised(named("APIError")(), cause=KeyError())).category is ErrorCategory.SERVER_ERROR


def test_steps_that_were_billed_before_are_not_forgotten() -> None:
    """The name of one class says only that; what broke it off is its cause."""
    error = raised(named("ContinuationInterruptedError")(), cause=FailedError(status_code=429))

    assert (classify(error).category, classify(error).may_have_cost) == (ErrorCategory.RATE_LIMIT, True)


@pytest.mark.parametrize(
    ("name", "status", "category"),
    [
        ("ContextWindowExceededError", 400, "context_length"),
        ("ContentPolicyViolationError", 400, "content_policy"),
        ("ContentPolicyViolationError", 403, "content_policy"),
        ("BudgetExceededError", 400, "budget_exceeded"),
        ("InsufficientQuotaError", 429, "quota"),
        ("InsufficientQuotaError", 401, "quota"),
        ("RateLimitError", 400, "rate_limit"),
        ("GatewayTimeoutError", 504, "timeout"),
        ("BadRequestError", 429, "rate_limit"),
        ("InternalServerError", 503, "overloaded"),
        ("InternalServerError", 529, "overloaded"),
        ("PermissionDeniedError", 400, "bad_request"),
        ("RateLimitError", 402, "quota"),
        ("ContextWindowExceededError", 429, "rate_limit"),
    ],
)
def test_a_class_that_says_more_than_a_coarse_status_decides(name: str, status: int, category: str) -> None:
    """Names that only repeat a status do not."""
    error = named(name)("x")
    vars(error)["status_code"] = status

    assert (classify(error).category.value, classify(error).status) == (category, status)
