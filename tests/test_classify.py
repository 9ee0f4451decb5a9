"""What an exception means: statuses, codes, class names, causes, money; and whether the next link is tried."""

from __future__ import annotations

import asyncio
import errno
import json
import pickle
import socket
import ssl
from http import HTTPStatus
from typing import Any

import pytest

from routeware.classify import ErrorSnapshot, classify, eligible, error_type, snapshot_from_hook
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
from routeware.policy import FailoverRules

HERE = __name__


class FailedError(Exception):
    """An error of no telling name, with whatever attributes a test gives it."""

    def __init__(self, *args: object, **attributes: object) -> None:
        super().__init__(*args)
        vars(self).update(attributes)


class Response:
    """A response, as far as errors keep one; asking whether it is true is a mistake."""

    def __init__(self, **attributes: object) -> None:
        vars(self).update(attributes)

    def __bool__(self) -> bool:
        raise AssertionError("a response was tested for truth")


def named(name: str, *bases: type[BaseException], module: str = "sdk.errors") -> type[BaseException]:
    """An SDK's exception class, of which the name is all that is known."""
    return type(name, bases or (Exception,), {"__module__": module})


def raised(
    error: BaseException, *, cause: BaseException | None = None, context: BaseException | None = None
) -> BaseException:
    """``error``, with what is behind it."""
    error.__context__ = context
    if cause is not None:
        error.__cause__ = cause
    return error


# --- statuses ---------------------------------------------------------------------------------------------------------


STATUSES = {
    400: "bad_request",
    401: "auth",
    402: "quota",
    403: "auth",
    404: "not_found",
    405: "bad_request",
    408: "timeout",
    409: "bad_request",
    410: "not_found",
    413: "context_length",
    418: "bad_request",
    422: "bad_request",
    424: "bad_request",
    429: "rate_limit",
    499: "bad_request",
    500: "server_error",
    501: "server_error",
    502: "server_error",
    503: "overloaded",
    504: "server_error",
    529: "overloaded",
    599: "server_error",
}


@pytest.mark.parametrize(("status", "category"), STATUSES.items())
def test_a_status_means_what_the_table_says(status: int, category: str) -> None:
    """Without a code, the status decides; the provider answered with an error, so nothing is owed."""
    assert classify(FailedError(status_code=status)) == ErrorSnapshot(
        category=ErrorCategory(category),
        message=f"{category} {status} {HERE}.FailedError",
        status=status,
        may_have_cost=False,
    )


@pytest.mark.parametrize(
    "attributes",
    [
        {"status_code": 429},
        {"status": 429},
        {"code": 429},
        {"response": Response(status_code=429)},
        {"response": Response(status=429)},
        {"raw_response": Response(status_code=429)},
        {"response": {"ResponseMetadata": {"HTTPStatusCode": 429}}},
        {"response": None, "raw_response": Response(status=429)},
        {"status_code": HTTPStatus.TOO_MANY_REQUESTS},
        {"status_code": None, "status": "failed", "response": Response(status_code=429)},
    ],
)
def test_a_status_is_found_wherever_libraries_keep_it(attributes: dict[str, object]) -> None:
    """No SDK is imported for it: the places are known."""
    found = classify(FailedError(**attributes))

    assert (found.category, found.status, found.may_have_cost) == (ErrorCategory.RATE_LIMIT, 429, False)
    assert type(found.status) is int


@pytest.mark.parametrize("value", [True, 0, 99, 600, -429, 429.0, "429", [429], None])
def test_what_is_no_status_is_not_taken_for_one(value: object) -> None:
    """Booleans, texts and numbers outside 100 to 599 are no statuses."""
    found = classify(FailedError(status_code=value, status=value, code=value, response=Response(status_code=value)))

    assert found.status is None


def test_the_order_of_places_is_kept() -> None:
    """``status_code``, then ``status``, then the response, then ``raw_response``, then ``code``."""
    places: dict[str, object] = {
        "status_code": 401,
        "status": 404,
        "response": Response(status_code=408, status=410),
        "raw_response": Response(status_code=413),
        "code": 422,
    }
    seen = []
    while places:
        seen.append(classify(FailedError(**places)).status)
        del places[next(iter(places))]

    assert seen == [401, 404, 408, 413, 422]


def test_a_code_of_the_class_is_no_status() -> None:
    """An int ``code`` counts only in the instance's own ``__dict__``."""

    class WithCodeError(Exception):
        code = 429

    assert classify(WithCodeError()).status is None


def test_an_answer_below_400_is_recorded_and_may_have_cost() -> None:
    """The provider answered, and what then went wrong is ours to pay for."""
    found = classify(FailedError(status_code=200))

    assert (found.category, found.status, found.may_have_cost) == (ErrorCategory.GENERIC, 200, True)


# --- codes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "category"),
    [
        (400, "context_length_exceeded", "context_length"),
        (400, "content_filter", "content_policy"),
        (400, "content_policy_violation", "content_policy"),
        (400, "ResponsibleAIPolicyViolation", "content_policy"),
        (400, "insufficient_quota", "quota"),
        (400, "billing_hard_limit_reached", "quota"),
        (400, "ServiceQuotaExceededException", "quota"),
        (400, "ThrottlingException", "rate_limit"),
        (400, "json_validate_failed", "schema_validation"),
        (400, "tool_use_failed", "tool_error"),
        (400, "invalid_request_error", "bad_request"),
        (400, "ValidationException", "bad_request"),
        (400, "AccessDeniedException", "auth"),
        (422, "context_length_exceeded", "context_length"),
        (401, "invalid_request_error", "auth"),
        (404, "invalid_request_error", "not_found"),
        (403, "permission_error", "auth"),
        (408, "ModelTimeoutException", "timeout"),
        (424, "ModelErrorException", "server_error"),
        (424, "ModelStreamErrorException", "server_error"),
        (429, "insufficient_quota", "quota"),
        (429, "project_spend_limit_exceeded", "quota"),
        (429, "rate_limit_error", "rate_limit"),
        (429, "RateLimitReached", "rate_limit"),
        (429, "ModelNotReadyException", "overloaded"),
        (429, "something_unheard_of", "rate_limit"),
        (500, "api_error", "server_error"),
        (503, "ServiceUnavailableException", "overloaded"),
        (503, "server_error", "overloaded"),
        (529, "overloaded_error", "overloaded"),
    ],
)
@pytest.mark.parametrize("place", ["code", "error_code", "type", "body.error.code", "body.code", "Error.Code"])
def test_a_code_says_more_than_a_status(status: int, code: str, category: str, place: str) -> None:
    """What says something of almost any error refines nothing."""
    places: dict[str, dict[str, object]] = {
        "code": {"code": code},
        "error_code": {"error_code": code},
        "type": {"type": code},
        "body.error.code": {"body": {"error": {"code": code}}},
        "body.code": {"body": {"code": code}},
        "Error.Code": {"response": {"Error": {"Code": code}}},
    }

    found = classify(FailedError(status_code=status, **places[place]))

    assert (found.category.value, found.status, found.code) == (category, status, code)
    assert found.message == f"{category} {status} {code} {HERE}.FailedError"


@pytest.mark.parametrize(
    ("attributes", "category", "code"),
    [
        ({"code": "rate_limit_exceeded"}, "rate_limit", "rate_limit_exceeded"),
        ({"code": "429"}, "rate_limit", "429"),
        ({"code": "200"}, "generic", "200"),
        ({"type": "overloaded_error"}, "overloaded", "overloaded_error"),
        ({"type": "api_error"}, "server_error", "api_error"),
        ({"type": "invalid_request_error"}, "bad_request", "invalid_request_error"),
        ({"code": None, "type": "insufficient_quota"}, "quota", "insufficient_quota"),
        ({"code": "brand_new", "type": "insufficient_quota"}, "quota", "insufficient_quota"),
        ({"code": "brand_new", "type": "server_error"}, "server_error", "server_error"),
        ({"code": "server_error", "type": "invalid_request_error"}, "server_error", "server_error"),
        ({"code": "brand_new", "type": "and_another"}, "generic", "brand_new"),
        ({"status": "RESOURCE_EXHAUSTED"}, "rate_limit", "RESOURCE_EXHAUSTED"),
        ({"status": "Forbidden"}, "auth", "Forbidden"),
        ({"status": "SOMETHING_NEW"}, "generic", "SOMETHING_NEW"),
        ({"status": "failed"}, "generic", None),
        ({"body": {"error": {"type": "overloaded_error"}}}, "overloaded", "overloaded_error"),
        ({"body": {"error": {"innererror": {"code": "content_filter"}}}}, "content_policy", "content_filter"),
        ({"body": {"error": {"details": {"error_code": "billing_error"}}}}, "quota", "billing_error"),
        ({"body": {"type": "error", "error": {"type": "rate_limit_error"}}}, "rate_limit", "rate_limit_error"),
        ({"body": '{"error": {"code": "rate_limited"}}'}, "rate_limit", "rate_limited"),
        ({"body": "<html>rate_limited</html>"}, "generic", None),
        ({"details": [{"reason": "API_KEY_INVALID"}]}, "auth", "API_KEY_INVALID"),
        ({"details": {"error": {"details": [{"reason": "API_KEY_INVALID"}]}}}, "auth", "API_KEY_INVALID"),
        ({"response": {"Error": {"Code": "throttlingException"}}}, "rate_limit", "throttlingException"),
        ({"code": "circuit_open"}, "circuit_open", "circuit_open"),
        ({"code": "cancelled"}, "cancelled", "cancelled"),
    ],
)
def test_without_a_status_the_code_decides(attributes: dict[str, object], category: str, code: str | None) -> None:
    """Streams and event protocols send errors over an answer that began well."""
    found = classify(FailedError(**attributes))

    assert (found.category.value, found.code, found.status) == (category, code, None)
    assert found.may_have_cost is (code is None)


@pytest.mark.parametrize(
    "code",
    [
        "sk-proj-4f9a8b7c6d5e",
        "AKIA5EXAMPLE9KEY77",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi",
        "my secret prompt",
        "naïve",
        "12345678",
        "x" * 65,
        "x" * 100_000,
        "",
        "https://host/?key=abc",
        "line\nbreak",
        "word\n",
    ],
)
def test_free_text_is_not_recorded_as_a_code(code: str) -> None:
    """A key or a prompt can stand anywhere; only what looks like a code is kept."""
    found = classify(
        FailedError(status_code=400, code=code, type=code, error_code=code, body={"error": {"code": code}})
    )

    assert found.code is None
    assert found.message == f"bad_request 400 {HERE}.FailedError"


def test_a_known_code_is_recorded_however_it_is_spelled() -> None:
    """What is in the table is nobody's secret."""
    assert classify(FailedError(code="rate-limit-exceeded")).code == "rate-limit-exceeded"


@pytest.mark.parametrize(
    "error",
    [
        SystemExit("rate_limit"),
        OSError(errno.EIO, "rate_limit"),
        named("StructureError", ValueError)("x"),
        named("CodecError", LookupError)("x"),
    ],
)
def test_the_codes_of_python_are_not_the_providers(error: BaseException) -> None:
    """An exit code, an errno or the type of a parse error says nothing about who was paid."""
    if not isinstance(error, SystemExit):
        vars(error)["code"] = "string_type"
    vars(error)["type"] = "missing"

    found = classify(error)

    assert (found.category, found.code, found.may_have_cost) == (ErrorCategory.GENERIC, None, True)


def test_a_provider_error_may_be_a_kind_of_value_error() -> None:
    """A code that is known is believed, of any family."""
    error = named("ProviderError", ValueError)()
    vars(error)["code"] = "insufficient_quota"

    found = classify(error)

    assert (found.category, found.code, found.may_have_cost) == (ErrorCategory.QUOTA, "insufficient_quota", False)


def test_the_type_of_an_answer_is_not_an_error_code() -> None:
    """An answer of the wrong shape is an answer: its ``type`` is its own, and it has been paid for."""
    error = named("APIResponseValidationError")()
    vars(error).update(status_code=200, type="message", code="rate_limited", body={"type": "message"})

    found = classify(error)

    assert (found.category, found.status, found.code) == (ErrorCategory.SCHEMA_VALIDATION, 200, None)
    assert found.may_have_cost is True


def test_an_error_sent_within_an_answer_is_read_by_its_code() -> None:
    """A stream that began with 200 can still say that the provider is overloaded."""
    found = classify(FailedError(status_code=200, body={"error": {"type": "overloaded_error"}}))

    assert (found.category, found.status, found.may_have_cost) == (ErrorCategory.OVERLOADED, 200, False)


# --- class names ------------------------------------------------------------------------------------------------------


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
        ("RateLimitError", "rate_limit", True),
        ("TooManyRequests", "rate_limit", True),
        ("InsufficientQuotaError", "quota", True),
        ("ServiceUnavailableError", "overloaded", True),
        ("InternalServerError", "server_error", True),
        ("AuthenticationError", "auth", True),
        ("NoCredentialsError", "auth", False),
        ("NotFoundError", "not_found", True),
        ("BadRequestError", "bad_request", True),
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
        ("APIError", "generic", True),
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


# --- causes -----------------------------------------------------------------------------------------------------------


def test_the_cause_speaks_where_the_error_does_not() -> None:
    """Code of one's own wraps what an SDK raises; the status, the code and the wait come with it."""
    inner = FailedError(status_code=429, code="rate_limit_exceeded", retry_after=2)

    found = classify(raised(FailedError("wrapped"), cause=inner))

    assert found == ErrorSnapshot(
        category=ErrorCategory.RATE_LIMIT,
        message=f"rate_limit 429 rate_limit_exceeded {HERE}.FailedError",
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


# --- groups -----------------------------------------------------------------------------------------------------------


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


# --- text -------------------------------------------------------------------------------------------------------------


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
        (401, "credit balance", "auth"),
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


# --- the message ------------------------------------------------------------------------------------------------------


def test_the_message_quotes_nobody() -> None:
    """Providers put prompts and keys into their texts."""
    error = FailedError(
        "the prompt was: SECRET", message="SECRET", status_code=400, body={"error": {"message": "SECRET"}}
    )

    assert classify(error).message == f"bad_request 400 {HERE}.FailedError"


def test_the_text_is_taken_where_it_is_asked_for() -> None:
    """Cut at 256 characters; without a text the plain line stands."""
    assert classify(FailedError("because"), with_text=True).message == "because"
    assert classify(FailedError("é" * 300), with_text=True).message == "é" * 256
    assert classify(FailedError(), with_text=True).message == f"generic {HERE}.FailedError"


def test_an_error_type_is_its_qualified_name() -> None:
    """Builtins go without their module."""

    class LocalError(Exception):
        pass

    assert error_type(KeyError()) == "KeyError"
    assert error_type(FailedError()) == f"{HERE}.FailedError"
    assert error_type(LocalError()).endswith("test_an_error_type_is_its_qualified_name.<locals>.LocalError")


def test_a_snapshot_is_plain_values() -> None:
    """It can be pickled and compared, and keeps no exception alive."""

    class Word(str):
        __slots__ = ()

    found = classify(FailedError(status_code=HTTPStatus.BAD_REQUEST, code=Word("some_code"), retry_after=3))

    assert pickle.loads(pickle.dumps(found)) == found
    assert [type(value) for value in (found.status, found.code, found.retry_after_ms)] == [int, str, float]


# --- failing over -----------------------------------------------------------------------------------------------------


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


# --- the caller's hook ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [ErrorCategory.AUTH, "auth", " AUTH "])
def test_a_hooks_category_replaces_ours(answer: ErrorCategory | str) -> None:
    """All else stays as it was found."""
    error = FailedError("text", status_code=429, code="slow_down", retry_after=1)

    assert snapshot_from_hook(answer, error) == ErrorSnapshot(
        category=ErrorCategory.AUTH,
        message=f"auth 429 slow_down {HERE}.FailedError",
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
