"""The real errors of the OpenAI, Anthropic, Google and Mistral SDKs, made as those make them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from routeware.classify import ErrorSnapshot, classify
from tests.fakes.failing_sdks import LOST, Body, broken, failure, http_library_of, outcome, transport


def openai_failure(make: Callable[[ModuleType], Any]) -> BaseException:
    """What the OpenAI client raises over that transport."""
    openai = pytest.importorskip("openai")
    http = openai.DefaultHttpxClient(transport=make(http_library_of(openai.DefaultHttpxClient)))
    client = openai.OpenAI(api_key="sk-x", max_retries=0, http_client=http)
    return failure(lambda: client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}]))


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, {"type": "invalid_request_error", "code": None}, ("bad_request", "invalid_request_error")),
        (
            400,
            {"type": "invalid_request_error", "code": "context_length_exceeded"},
            ("context_length", "context_length_exceeded"),
        ),
        (400, {"code": "content_filter", "status": 400}, ("content_policy", "content_filter")),
        (
            400,
            {"type": "image_generation_user_error", "code": "content_policy_violation"},
            ("content_policy", "content_policy_violation"),
        ),
        (401, {"type": "invalid_request_error", "code": "invalid_api_key"}, ("auth", "invalid_api_key")),
        (
            403,
            {"type": "request_forbidden", "code": "unsupported_country_region_territory"},
            ("auth", "unsupported_country_region_territory"),
        ),
        (404, {"type": "invalid_request_error", "code": "model_not_found"}, ("not_found", "model_not_found")),
        (429, {"type": "tokens", "code": "rate_limit_exceeded"}, ("rate_limit", "rate_limit_exceeded")),
        (429, {"type": "insufficient_quota", "code": "insufficient_quota"}, ("quota", "insufficient_quota")),
        (
            429,
            {"type": "insufficient_quota", "code": "credit_balance_exhausted"},
            ("quota", "credit_balance_exhausted"),
        ),
        (500, {"type": "server_error", "code": None}, ("server_error", "server_error")),
        (503, {"type": "server_error", "code": None}, ("overloaded", "server_error")),
    ],
)
def test_openai_answers_are_understood(status: int, error: dict[str, object], expected: tuple[str, str]) -> None:
    """Its code is closer than its type, and either closer than the status."""
    body = {"error": {"message": "the prompt said SECRET", **error}}

    found = openai_failure(lambda library: transport(library, status, body, {}))

    assert outcome(found) == (expected[0], status, expected[1], False)
    assert "SECRET" not in classify(found).message


def test_openai_answers_without_json_are_understood() -> None:
    """A gateway in between speaks HTML."""
    found = openai_failure(lambda library: transport(library, 502, "<html>Bad gateway</html>", {"retry-after": "7"}))

    assert classify(found) == ErrorSnapshot(
        category=classify(found).category,
        message="server_error 502 openai.InternalServerError",
        status=502,
        retry_after_ms=7_000.0,
        may_have_cost=False,
    )


@pytest.mark.parametrize(("lost", "expected"), LOST.items())
def test_openai_connections_are_lost_in_two_ways(lost: str, expected: tuple[str, bool]) -> None:
    """Only the cause knows whether a request was ever sent."""
    found = openai_failure(lambda library: broken(library, lost))

    assert outcome(found) == (expected[0], None, None, expected[1])


def test_openai_errors_while_parsing_may_have_cost() -> None:
    """The answer came, and was cut short or of the wrong shape."""
    openai = pytest.importorskip("openai")
    httpx = http_library_of(openai.DefaultHttpxClient)
    completion = openai.types.CompletionUsage(completion_tokens=1, prompt_tokens=1, total_tokens=2)
    answer = httpx.Response(200, json={"type": "message"}, request=httpx.Request("POST", "http://x"))

    cut = openai.LengthFinishReasonError(completion=openai.types.chat.ChatCompletion.construct(usage=completion))
    odd = openai.APIResponseValidationError(answer, body={"type": "message", "code": "x"})

    assert outcome(cut) == ("schema_validation", None, None, True)
    assert outcome(odd) == ("schema_validation", 200, None, True)
    assert outcome(openai.ContentFilterFinishReasonError())[0] == "content_policy"


def test_openai_errors_within_a_stream_are_read_by_code() -> None:
    """They come without a status."""
    openai = pytest.importorskip("openai")
    httpx = http_library_of(openai.DefaultHttpxClient)
    request = httpx.Request("POST", "http://x")

    found = openai.APIError("x", request, body={"type": "server_error", "code": "rate_limit_exceeded"})

    assert outcome(found) == ("rate_limit", None, "rate_limit_exceeded", False)


def anthropic_failure(make: Callable[[ModuleType], Any]) -> BaseException:
    """What the Anthropic client raises over that transport."""
    anthropic = pytest.importorskip("anthropic")
    http = anthropic.DefaultHttpxClient(transport=make(http_library_of(anthropic.DefaultHttpxClient)))
    client = anthropic.Anthropic(api_key="x", max_retries=0, http_client=http)
    return failure(lambda: client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}]))


@pytest.mark.parametrize(
    ("status", "kind", "text", "category"),
    [
        (400, "invalid_request_error", "max_tokens: field required", "bad_request"),
        (400, "invalid_request_error", "Your credit balance is too low to access the API", "quota"),
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", "context_length"),
        (401, "authentication_error", "x", "auth"),
        (402, "billing_error", "x", "quota"),
        (403, "permission_error", "x", "auth"),
        (404, "not_found_error", "x", "not_found"),
        (413, "request_too_large", "x", "context_length"),
        (429, "rate_limit_error", "x", "rate_limit"),
        (500, "api_error", "x", "server_error"),
        (504, "timeout_error", "x", "timeout"),
        (529, "overloaded_error", "x", "overloaded"),
    ],
)
def test_anthropic_answers_are_understood(status: int, kind: str, text: str, category: str) -> None:
    """A spent credit is a 400 there, without a code of its own."""
    body = {"type": "error", "error": {"type": kind, "message": text}}

    found = anthropic_failure(lambda library: transport(library, status, body, {"retry-after": "17"}))

    assert outcome(found) == (category, status, kind, False)
    assert classify(found).retry_after_ms == 17_000.0


@pytest.mark.parametrize(("lost", "expected"), LOST.items())
def test_anthropic_connections_are_lost_in_two_ways(lost: str, expected: tuple[str, bool]) -> None:
    """As with OpenAI."""
    found = anthropic_failure(lambda library: broken(library, lost))

    assert outcome(found) == (expected[0], None, None, expected[1])


def test_anthropic_errors_within_a_stream_are_read_by_type() -> None:
    """The answer began with 200, and then the provider was overloaded."""
    anthropic = pytest.importorskip("anthropic")
    events = 'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}\n\n'
    library = http_library_of(anthropic.DefaultHttpxClient)
    http = anthropic.DefaultHttpxClient(
        transport=transport(library, 200, events, {"content-type": "text/event-stream"})
    )
    client = anthropic.Anthropic(api_key="x", max_retries=0, http_client=http)

    found = failure(
        lambda: list(
            client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}], stream=True)
        )
    )

    assert outcome(found) == ("overloaded", 200, "overloaded_error", False)


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, {"status": "INVALID_ARGUMENT"}, ("bad_request", "INVALID_ARGUMENT")),
        (400, {"status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}, ("auth", "API_KEY_INVALID")),
        (403, {"status": "PERMISSION_DENIED"}, ("auth", "PERMISSION_DENIED")),
        (404, {"status": "NOT_FOUND"}, ("not_found", "NOT_FOUND")),
        (429, {"status": "RESOURCE_EXHAUSTED"}, ("rate_limit", "RESOURCE_EXHAUSTED")),
        (500, {"status": "INTERNAL"}, ("server_error", "INTERNAL")),
        (503, {"status": "UNAVAILABLE"}, ("overloaded", "UNAVAILABLE")),
        (504, {"status": "DEADLINE_EXCEEDED"}, ("timeout", "DEADLINE_EXCEEDED")),
    ],
)
def test_google_answers_are_understood(status: int, error: dict[str, object], expected: tuple[str, str]) -> None:
    """Its ``code`` is the HTTP status, and its ``status`` the code."""
    errors = pytest.importorskip("google.genai.errors")
    httpx = pytest.importorskip("httpx")
    reply = httpx.Response(status, json={"error": {"code": status, "message": "SECRET", **error}})

    found = failure(lambda: errors.APIError.raise_for_response(reply))

    assert outcome(found) == (expected[0], status, expected[1], False)
    assert "SECRET" not in classify(found).message


def test_google_says_how_long_to_wait_in_its_details() -> None:
    """A RetryInfo among them."""
    errors = pytest.importorskip("google.genai.errors")
    httpx = pytest.importorskip("httpx")
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}
    body = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"@type": "x"}, info]}}

    found = failure(lambda: errors.APIError.raise_for_response(httpx.Response(429, json=body)))

    assert classify(found).retry_after_ms == 3_500.0


def mistral() -> Any:
    """The module of Mistral's client, which has moved."""
    try:
        return pytest.importorskip("mistralai.client")
    except ImportError:
        return pytest.importorskip("mistralai")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"detail": "Unauthorized"}, ("auth", None)),
        (
            400,
            {"object": "error", "type": "invalid_request_error", "code": "3051"},
            ("bad_request", "invalid_request_error"),
        ),
        (
            400,
            {"message": "Prompt contains 9 tokens, too large for model with 8 maximum context length"},
            ("context_length", None),
        ),
        (422, {"detail": [{"loc": ["body"], "msg": "x", "type": "missing"}]}, ("bad_request", None)),
        (429, {"message": "Requests rate limit exceeded", "type": "rate_limited"}, ("rate_limit", "rate_limited")),
        (503, "upstream connect error", ("overloaded", None)),
    ],
)
def test_mistral_answers_are_understood(status: int, body: Body, expected: tuple[str, str | None]) -> None:
    """Its errors keep the text of the body."""
    module = mistral()
    sdk = sys.modules[f"{module.__name__}.basesdk"]
    httpx = sdk.httpx
    http = httpx.Client(transport=transport(httpx, status, body, {"retry-after": "2"}))
    # One of its own would be closed on an event loop made for it when the client is collected.
    client = module.Mistral(api_key="x", client=http, async_client=httpx.AsyncClient())

    found = failure(lambda: client.chat.complete(model="m", messages=[{"role": "user", "content": "x"}]))

    assert outcome(found) == (expected[0], status, expected[1], False)
    assert classify(found).retry_after_ms == 2_000.0
