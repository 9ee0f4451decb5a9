"""Statuses and machine codes: what a provider says of an error when it answers."""

from __future__ import annotations

import errno
from http import HTTPStatus

import pytest

from routeware.classify import ErrorSnapshot, classify
from routeware.errors import (
    ErrorCategory,
)
from tests.fakes.failing import FailedError, Response, named

STATUSES = {
    400: "bad_request",
    401: "auth",
    402: "quota",
    403: "auth",
    404: "not_found",
    405: "bad_request",
    407: "egress_blocked",
    408: "timeout",
    409: "bad_request",
    410: "not_found",
    413: "context_length",
    418: "bad_request",
    422: "bad_request",
    424: "bad_request",
    429: "rate_limit",
    425: "server_error",
    499: "server_error",
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
        message=f"{category} {status} tests.fakes.failing.FailedError",
        status=status,
        may_have_cost=False,
    )


@pytest.mark.parametrize(
    "attributes",
    [
        {"status_code": 429},
        {"status": 429},
        {"code": 429},
        {"http_status": 429},
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


def test_a_status_may_stand_on_the_class() -> None:
    """Google's older clients keep it there, as ``code``; an instance of its own comes first."""

    class WithCodeError(Exception):
        code = HTTPStatus.TOO_MANY_REQUESTS

    assert (classify(WithCodeError()).status, classify(WithCodeError()).may_have_cost) == (429, False)

    error = WithCodeError()
    vars(error)["code"] = 503
    assert classify(error).status == 503


def test_a_code_that_a_property_computes_is_no_status() -> None:
    """It is mostly a deprecated alias."""

    class WithPropertyError(Exception):
        @property
        def code(self) -> int:
            return 429

    assert classify(WithPropertyError()).status is None


def test_an_answer_below_400_is_recorded_and_may_have_cost() -> None:
    """The provider answered, and what then went wrong is ours to pay for."""
    found = classify(FailedError(status_code=200))

    assert (found.category, found.status, found.may_have_cost) == (ErrorCategory.GENERIC, 200, True)


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
    assert found.message == f"{category} {status} {code} tests.fakes.failing.FailedError"


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
        "xkqvzjwhtlmpbdcrgfns",
        "XKQVZJWHTLMPBDCRGFNS",
        "aBcDeFgHiJkLmNoPqRsT",
        "sklive_AbXcDeFgHiQkLmNo",
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
    assert found.message == "bad_request 400 tests.fakes.failing.FailedError"


def test_a_known_code_is_recorded_however_it_is_spelled() -> None:
    """What is in the table is nobody's secret."""
    assert classify(FailedError(code="rate-limit-exceeded")).code == "rate-limit-exceeded"


@pytest.mark.parametrize(
    "code",
    [
        "ProvisionedThroughputExceeded",
        "InvalidAuthenticationTokenTenant",
        "a_very_long_code_of_many_short_words",
        "MODEL_TEMPORARILY_UNAVAILABLE",
        "unauthenticated",
    ],
)
def test_a_long_code_of_words_is_recorded(code: str) -> None:
    """Keys of letters only differ from words in their case, and in runs that no word has."""
    assert classify(FailedError(status_code=400, code=code)).code == code


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
