"""What users of many SDKs report: the wordings that come closest to another meaning, next to those that have it."""

from __future__ import annotations

import pytest

from routeware.classify import classify, error_in_reply
from routeware.errors import ErrorCategory
from tests.fakes.failing import FailedError, named

SENTENCES = [
    # An account that cannot spend, and one that only has to wait.
    (429, "Your prepaid balance has run out", "quota"),
    (429, "You have 0 credits remaining", "quota"),
    (403, "Your account has unpaid invoices", "quota"),
    (403, "Out of call volume quota. It is replenished in 2.12:33:44.", "quota"),
    (429, "A trial key is limited to 1000 API calls / month", "quota"),
    (429, "A trial key is limited to 40 API calls / minute", "rate_limit"),
    (403, "Your input was flagged. No credits were charged.", "content_policy"),
    (429, "This model costs 10.0 credits; slow down", "rate_limit"),
    (429, "Please check your plan and billing details", "quota"),
    (429, "Please check your plan and billing details. Please retry in 33.4s.", "rate_limit"),
    (429, "The API's QPS is used up", "rate_limit"),
    (413, "The request limit of this key is reached", "rate_limit"),
    (400, "Please enable billing on your project", "quota"),
    (403, "This project's billing account is closed", "quota"),
    (403, "The billing account id is malformed", "auth"),
    (400, "billing must be enabled", "quota"),
    (429, "You have exhausted your monthly quota", "quota"),
    (429, "You have exhausted your requests per minute", "rate_limit"),
    (400, "Prepaid credit exhausted", "quota"),
    (403, "Your trial credits have expired", "quota"),
    (401, "Account balance is not enough", "quota"),
    (403, "Wallet balance is zero", "quota"),
    (400, "balance must be greater than zero", "bad_request"),
    (403, "This key reached its monthly budget", "quota"),
    (400, "The request reached the thinking budget", "bad_request"),
    (403, "Your subscription has expired, please renew", "quota"),
    # Too long, and a setting that is wrong.
    (400, "The maximum tokens you requested exceeds the model limit of 4096", "bad_request"),
    (400, "The maximum tokens value is more than the limit of 4096", "bad_request"),
    (400, "The input has more than the maximum tokens allowed", "context_length"),
    (400, "Unknown parameter: 'context_window'", "bad_request"),
    (400, "context_length: Extra inputs are not permitted", "bad_request"),
    (400, "Your input exceeds the context window", "context_length"),
    (400, "max_tokens must be at least 1, got -344.", "context_length"),
    (400, "max_tokens must be at least 1, got 0.", "bad_request"),
    (400, "max_total_tokens must be less than or equal to max_seq_len 32768", "context_length"),
    (400, "Unknown parameter: 'max_seq_len'", "bad_request"),
    (400, "Prompt 超长", "context_length"),
    (400, "输入长度超出限制", "context_length"),
    (400, "输入图片大小超过限制", "bad_request"),
    # Refused for content, and a filter that is not there.
    (400, "Blocked by the guardrail", "content_policy"),
    (400, "The guardrail version in the request does not exist", "bad_request"),
    (400, "The content filter named in the request doesn't exist", "bad_request"),
    # A key that is wrong, under the status of a bad request.
    (400, "Incorrect API key provided", "auth"),
    (400, "API key expired. Please renew it.", "auth"),
    (400, "The secret key has been revoked", "auth"),
    (400, "Invalid value for 'key'", "bad_request"),
    (400, "An API key is not needed here", "bad_request"),
]


@pytest.mark.parametrize(("status", "text", "category"), SENTENCES)
def test_a_sentence_and_its_neighbour_are_told_apart(status: int, text: str, category: str) -> None:
    """Each wording that decides stands next to one that must not."""
    assert classify(FailedError(text, status_code=status)).category.value == category


@pytest.mark.parametrize(
    ("code", "text", "category"),
    [
        ("validationException", "Input is too long for requested model.", "context_length"),
        ("validationException", "The request has no messages", "bad_request"),
        ("invalid_request_error", "Your credit balance is too low", "quota"),
        ("permission_error", "Output blocked by content filtering policy", "content_policy"),
        ("RESOURCE_EXHAUSTED", "Your credits are depleted", "quota"),
        ("RESOURCE_EXHAUSTED", "Try again later", "rate_limit"),
        ("rate_limit_error", "Your credits are depleted", "rate_limit"),
    ],
)
def test_a_vague_code_in_a_stream_leaves_the_word_to_the_text(code: str, text: str, category: str) -> None:
    """An error that comes once a stream has begun has no status; its code is as coarse as one."""
    assert classify(named("EventStreamError", FailedError)(text, code=code)).category.value == category
    assert _in_reply({"error": {"code": code, "message": text}}) == category


@pytest.mark.parametrize(
    ("reply", "category"),
    [
        (
            {"error": {"code": 429, "message": "Exceeded your current quota"}},
            "quota",
        ),
        (
            {
                "error": {
                    "code": 429,
                    "message": "Exceeded your current quota",
                    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "20s"}],
                }
            },
            "rate_limit",
        ),
        ({"error_code": 18, "error_msg": "Open api qps request limit reached"}, "rate_limit"),
        ({"error": "Too busy, no answer in 60 seconds", "error_type": "overloaded"}, "overloaded"),
        (
            {"fault": {"faultstring": "Try later", "detail": {"errorcode": "policies.ratelimit.Violation"}}},
            "rate_limit",
        ),
        ({"fault": {"faultstring": "Rate limit violation", "detail": {"errorcode": "x"}}}, "rate_limit"),
    ],
)
def test_a_gateways_own_shape_of_an_error_is_read(reply: dict[str, object], category: str) -> None:
    """Codes and sentences stand under many names."""
    assert _in_reply(reply) == category


def _in_reply(reply: object) -> str:
    found = error_in_reply(reply)
    assert found is not None
    return found.category.value


def test_the_sentences_of_a_body_may_stand_in_a_list() -> None:
    """Some list what is wrong, with a single sentence in the list."""
    error = FailedError("", status_code=403, body={"name": "x", "errors": ["Flagged by our content moderation"]})

    assert classify(error).category is ErrorCategory.CONTENT_POLICY


def test_an_empty_body_does_not_hide_what_the_error_says() -> None:
    """LiteLLM makes up a response, with nothing in it, for what it was told without one."""
    error = FailedError("Your credit balance is too low", status_code=400, body=b"")

    assert classify(error).category is ErrorCategory.QUOTA


def test_the_type_that_an_sdk_gives_to_every_429_says_nothing() -> None:
    """LiteLLM calls a spent quota a throttling error."""
    spent = FailedError("You exceeded your current quota", status_code=429, type="throttling_error")
    plain = FailedError("x", status_code=429, type="throttling_error")

    assert [classify(error).category.value for error in (spent, plain)] == ["quota", "rate_limit"]
    assert classify(plain).code is None


def test_a_protocols_client_may_number_its_time_out_as_http_does() -> None:
    """The request was under way: nobody has answered it."""
    snapshot = classify(named("McpError", FailedError)("Timed out", error=FailedError("", code=408)))

    assert (snapshot.category, snapshot.may_have_cost) == (ErrorCategory.TIMEOUT, True)


@pytest.mark.parametrize(
    ("name", "status", "category"),
    [
        ("InvalidTokenError", 498, "auth"),
        ("InvalidTokenError", 400, "bad_request"),
        ("CapacityExceededError", 498, "overloaded"),
        ("RequestFailedError", 498, "bad_request"),
    ],
)
def test_the_class_says_what_498_means(name: str, status: int, category: str) -> None:
    """498 is an invalid token for one provider, and lack of capacity for another."""
    assert classify(named(name, FailedError)("x", status_code=status)).category.value == category


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("ModelConnectionError", "transient_network"),
        ("GatewayNetworkException", "transient_network"),
        ("ModelRefusalError", "content_policy"),
        ("BlockedPromptException", "content_policy"),
        ("ConnectionRefusedByPeer", "generic"),
        ("SensitiveDataError", "generic"),
        ("SensitiveWordsError", "content_policy"),
        ("ModelInvalidRequestError", "bad_request"),
        ("UnprocessableEntityError", "bad_request"),
    ],
)
def test_a_framework_puts_its_own_words_before_a_known_name(name: str, category: str) -> None:
    """Frameworks wrap what SDKs raise in classes of their own, some without the error inside."""
    assert classify(named(name)("x")).category.value == category


@pytest.mark.parametrize(
    ("raw", "category"),
    [
        ('{"error": {"message": "This endpoint\'s maximum context length is 8192 tokens."}}', "context_length"),
        ('{"type": "error", "error": {"type": "x", "message": "Your credit balance is too low."}}', "quota"),
        ('{"error": {"code": "data_inspection_failed", "message": "x"}}', "content_policy"),
        ({"error": {"code": "context_length_exceeded"}}, "context_length"),
        ('{"error": {"message": "at most 1 image per prompt"}}', "bad_request"),
        ("upstream said no", "bad_request"),
        (None, "bad_request"),
    ],
)
def test_what_a_gateway_hands_on_says_more_than_the_gateway(raw: object, category: str) -> None:
    """OpenRouter answers "Provider returned error" with the provider's status, and keeps its body beside it."""
    body = {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw, "provider_name": "p"}}

    assert classify(FailedError("x", status_code=400, body=body)).category is ErrorCategory(category)
    found = error_in_reply({"error": body})
    assert found is not None
    assert (found.category, found.status) == (ErrorCategory(category), 400)


@pytest.mark.parametrize(
    ("status", "code", "category"),
    [
        (424, "DeploymentNotReady", "overloaded"),
        (400, "organization_restricted", "auth"),
        (400, "account_settings_restricted", "bad_request"),
    ],
)
def test_a_code_and_its_neighbour_are_told_apart(status: int, code: str, category: str) -> None:
    """A deployment that starts fails over; an account that may not ask does not."""
    assert classify(FailedError("x", status_code=status, code=code)).category is ErrorCategory(category)
