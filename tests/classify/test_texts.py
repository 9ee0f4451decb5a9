"""Sentences of real providers, where a status is too coarse and no code says more; and their counter-examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeware.classify import classify
from routeware.classify.texts import names_a_wait
from routeware.errors import ErrorCategory
from tests.fakes.failing import FailedError

SENTENCES = {
    "quota": [
        (400, "Your credit balance is too low to access the API. Please go to Plans & Billing to upgrade."),
        (400, "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."),
        (400, "Access denied, please make sure your account is in good standing."),
        (401, "You have insufficient credits to complete this request."),
        (403, "The free tier of the model has been exhausted. Use paid calls."),
        (403, "Key limit exceeded (monthly limit). Manage it using your dashboard."),
        (403, "Your account has run out of credits."),
        (422, "Budget has been exceeded! Current cost: 12, Max budget: 10"),
        (429, "You exceeded your current quota, please check your plan and billing details."),
        (429, "Your team has either used all available credits or reached its monthly spending limit."),
        (429, "Account balance is insufficient, please recharge."),
        (429, "You exceeded your current quota, please check your plan. Please retry in 40000s."),
        (400, "您的账户已欠费"),
        (403, "Your newly created team doesn't have any credits or licenses yet."),
        (403, "INVALID_PAYMENT_INSTRUMENT: A valid payment instrument must be provided."),
        (403, "This API method requires billing to be enabled."),
        (403, "Sorry, your account balance is insufficient"),
        (412, "Account is suspended, possibly due to reaching the monthly spending limit"),
        (429, "You have used up your daily free allocation of 10,000 neurons"),
        (400, "You lack sufficient balance to make this request."),
    ],
    "rate_limit": [
        (413, "Request too large on tokens per minute (TPM): Limit 6000, Requested 9000"),
        (413, "Request too large for gpt-4o on tokens per min (TPM): Limit 30000"),
        (403, "Rate limit exceeded for this project."),
        (429, "Rate limit reached on tokens per min. You can increase it by adding a payment method, billing is here."),
        (429, "You exceeded your current quota, please check your plan and billing details. Please retry in 24.5s."),
        (429, "Quota exceeded for quota metric 'requests' and limit 'GenerateRequestsPerMinutePerProject'"),
        (429, "Quota exceeded for aiplatform.googleapis.com/generate_content_requests_per_minute_per_project"),
        (429, "Resource exhausted. Please try again later."),
        (429, "This request would exceed your organization's rate limit of 10,000 input tokens per minute."),
        (429, "prompt is too long for the tokens left"),
    ],
    "content_policy": [
        (400, "The response was filtered due to the prompt triggering the service's content management policy."),
        (400, "Output blocked by content filtering policy"),
        (400, "Your request was rejected as a result of our safety system."),
        (400, "Invalid prompt: your prompt was flagged as potentially violating our usage policy."),
        (400, "Input data may contain inappropriate content."),
        (400, "Content Exists Risk"),
        (400, "The request was rejected because it was considered high risk"),
        (403, "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_X"),
        (403, "Your input was flagged"),
        (403, 'x requires moderation on this gateway. Your input was flagged for "y". No credits were charged.'),
        (400, "NSFW content detected. Try a different prompt."),
        (422, "The request was blocked by our guardrails"),
        (451, "prohibited content"),
    ],
    "context_length": [
        (400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length"),
        (400, "prompt is too long: 210000 tokens > 200000 maximum"),
        (400, "prompt token count of 125516 exceeds the limit of 64000"),
        (400, "The input (9000 tokens) is longer than the model's context length (8192 tokens)."),
        (400, "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens"),
        (400, "The input token count exceeds the maximum number of tokens allowed (1048576)."),
        (400, "the request exceeds the available context size, try increasing it"),
        (400, "input tokens exceed the configured limit of 272000 tokens"),
        (400, "Your input exceeds the context window of this model."),
        (400, "Input is too long for requested model."),
        (400, "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000."),
        (400, "Prompt contains 9 tokens, too large for model with 8 maximum context length"),
        (400, "Invalid request: Your request exceeded model token limit: 8192"),
        (400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
        (400, "Range of input length should be [1, 30720]"),
        (400, "Unable to submit request because the input token count is 50000 but model only supports up to 32768."),
        (400, "Please reduce the length of the messages or completion."),
        (400, "Prompt exceeds max length"),
        (400, "Message is too long"),
        (400, "Your request has 9000 tokens, but this model supports at most 8192."),
        (400, "Total tokens of image and text exceed max message tokens."),
        (400, "Invalid 'messages[0].content': string too long. Expected a string with maximum length 10485760."),
        (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 3000"),
        (
            422,
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs`",
        ),
        (400, "'max_tokens' is too large: 9000. This model's maximum context length is 8192 tokens"),
        (400, "The max allowed tokens per submitted batch is 120000. Your batch has 200000 tokens."),
    ],
    "bad_request": [
        (400, "max_tokens is too large: 100000. This model supports at most 16384 completion tokens"),
        (400, "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for the model"),
        (400, "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"),
        (400, "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6 MB > 5 MB"),
        (400, "Invalid 'messages[2].tool_calls[0].id': string too long. Expected a string with maximum length 40."),
        (400, "Invalid 'metadata.note': string too long. Expected a string with maximum length 512."),
        (400, "Invalid 'prompt_cache_key': string too long. Expected a string with maximum length 64."),
        (400, "Invalid 'tools': array too long. Expected an array with maximum length 128."),
        (400, "messages: at least one message is required"),
        (400, "image in the input is too large"),
        (422, "Input should be less than or equal to 2"),
        (422, "temperature: Input should be a valid number"),
        (400, "missing field billing_address"),
        (400, "Invalid 'input': array too long. Expected an array with maximum length 2048."),
        (400, "batch size exceeds limit 2048 inputs"),
        (400, "moderation parameter must be 'low' or 'auto'"),
        (400, "Unknown parameter: 'safety_settings'."),
        (400, "sensitive words filter option is unsupported"),
        (400, "thinking.budget_tokens: Input should be greater than or equal to 1024"),
        (400, "Validation error: credits must be a positive integer"),
        (451, "Unavailable for legal reasons"),
    ],
    "auth": [
        (401, "Incorrect API key provided."),
        (401, "Your account context length is fine"),
        (403, "You are not authorized: no identity-based policy allows the bedrock:InvokeModel action"),
        (403, "with an explicit deny in a service control policy"),
        (403, "Country, region, or territory not supported"),
        (403, "Your organization has been disabled for violating our usage policies"),
        (403, "The security token included in the request is invalid"),
        (403, "Sorry, you have been blocked"),
        (403, "You do not have access to the content moderation API"),
        (403, "The role lacks sufficient permissions"),
    ],
    "not_found": [(404, "No endpoints found matching your data policy"), (404, "insufficient credits")],
    "server_error": [(500, "insufficient credits"), (502, "prompt is too long")],
}


@pytest.mark.parametrize(
    ("status", "text", "category"),
    [(status, text, category) for category, rows in SENTENCES.items() for status, text in rows],
)
@pytest.mark.parametrize("place", ["args", "message", "body", "text of the body"])
def test_sentences_of_real_providers_are_understood(status: int, text: str, category: str, place: str) -> None:
    """In the error's arguments, its ``message``, its body, or the body's own text."""
    error = {
        "args": FailedError(text, status_code=status),
        "message": FailedError(status_code=status, message=text),
        "body": FailedError(status_code=status, body={"error": {"message": text}}),
        "text of the body": FailedError(status_code=status, body=text),
    }[place]

    found = classify(error)

    assert (found.category.value, found.may_have_cost) == (category, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Please try again in 6ms.", 6.0),
        ("Please try again in 1.2s.", 1_200.0),
        ("try again in 7m12s", 432_000.0),
        ("Please retry in 24.5s.", 24_500.0),
        ("Please retry after 6 seconds.", 6_000.0),
        ("retry the request after 20 sec", 20_000.0),
        ("wait for 3 seconds", 3_000.0),
        ("Please wait 3600 seconds before retrying.", 3_600_000.0),
        ("try again in 1h2m3.5s", 3_723_500.0),
        ("Try again in 5 minutes.", 300_000.0),
        ("retry in 1 hour, 2 minutes and 3 seconds", 3_723_000.0),
        ("Try again in 2 months", None),
        ("wait in line 5", None),
        ("Please try again later", None),
        ("regain access on 2026-12-01", None),
        ("we retry. In 5 seconds more came", None),
    ],
)
def test_a_time_to_wait_is_read_out_of_a_sentence(text: str, expected: float | None) -> None:
    """Hours, minutes, seconds, milliseconds, and sums of them."""
    assert names_a_wait(text) == expected


def test_a_throttle_says_how_long_to_wait() -> None:
    """Where no header does, under 429."""
    text = "Rate limit reached. Please try again in 1.2s."

    assert classify(FailedError(text, status_code=429)).retry_after_ms == 1_200.0
    assert classify(FailedError(text, status_code=429, headers={"retry-after": "9"})).retry_after_ms == 9_000.0
    assert classify(FailedError(text, status_code=400)).retry_after_ms is None


MONEY = [text for status, text in SENTENCES["quota"] if status == 429 and "retry" not in text] + [
    "insufficient_quota",
    "quota exceeded",
]
THROTTLES = ["Rate limit reached", "limit 20 per minute", "too many requests", "Please try again in 20s", "TPM: 300"]


@given(st.sampled_from(THROTTLES), st.lists(st.sampled_from(MONEY), max_size=3))
def test_no_sentence_turns_a_rate_limit_into_a_quota(throttle: str, others: list[str]) -> None:
    """Providers advertise a bigger plan in the text of a throttle."""
    for text in (" ".join([throttle, *others]), " ".join([*others, throttle])):
        assert classify(FailedError(text, status_code=429)).category is ErrorCategory.RATE_LIMIT


def test_a_request_that_is_quoted_says_nothing() -> None:
    """Validation errors repeat what was sent, and SDKs put the whole body into their message."""
    body = {"detail": [{"type": "missing", "msg": "Field required", "input": {"prompt": "about content policy"}}]}
    error = FailedError(f"Error code: 422 - {body}", status_code=422, body=body)

    assert classify(error).category is ErrorCategory.BAD_REQUEST


def test_a_known_rate_limit_is_not_read_further() -> None:
    """A code that settles the matter comes before every sentence."""
    error = FailedError("your credit balance is too low", status_code=429, code="rate_limit_exceeded")

    assert classify(error).category is ErrorCategory.RATE_LIMIT


@pytest.mark.parametrize(
    ("status", "code", "text", "category"),
    [
        (403, "permission_error", "Output blocked by content filtering policy", "content_policy"),
        (403, "PERMISSION_DENIED", "your account has run out of credits", "quota"),
        (401, "authentication_error", "Incorrect API key provided.", "auth"),
        (413, "tokens_limit_reached", "Request too large on tokens per minute (TPM): Limit 6000", "context_length"),
        (413, "tokens", "Request too large on tokens per minute (TPM): Limit 6000", "rate_limit"),
        (429, "insufficient_quota", "You have no quota left", "quota"),
        (429, "insufficient_quota", "Allocated tokens per minute are used up", "rate_limit"),
        (429, "credit_balance_exhausted", "Your rate limit is 0 now", "quota"),
    ],
)
def test_a_code_that_repeats_a_refusal_leaves_the_word_to_the_text(
    status: int, code: str, text: str, category: str
) -> None:
    """Every other code that settles the matter comes before what is said in prose."""
    assert classify(FailedError(text, status_code=status, code=code)).category.value == category


@pytest.mark.parametrize(
    ("status", "text", "category"),
    [
        (429, "litellm.RateLimitError: RateLimitError: OpenAIException - You exceeded your current quota", "quota"),
        (429, "RateLimitError('Your credit balance is too low')", "quota"),
        (429, "OpenAI::RateLimitError: 429 You exceeded your current quota", "quota"),
        (429, "com.openai.errors.RateLimitException: 429: insufficient_quota", "quota"),
        (429, "ThrottlingException: your credits are exhausted", "quota"),
        (429, "RateLimitExceededError: the monthly spending limit has been reached", "quota"),
        (403, "openai.RateLimitError: billing hard limit has been reached", "quota"),
        (429, "litellm.RateLimitError: Rate limit reached; you exceeded your current quota", "rate_limit"),
        (429, "RateLimitError: you exceeded your current quota of requests per minute", "rate_limit"),
        (429, "RateLimitError: you exceeded your current quota. Please retry in 12.5s", "rate_limit"),
        (429, "rate_limit_error: you exceeded your current quota", "rate_limit"),
        (429, "rateLimitExceeded: you exceeded your current quota", "rate_limit"),
        (429, "ThrottlingException: Too many tokens per day", "rate_limit"),
        (429, "RateLimitError: slow down", "rate_limit"),
        (403, "RateLimitError: slow down", "rate_limit"),
        (403, "ThrottledException: slow down", "rate_limit"),
    ],
)
def test_the_name_of_a_class_in_a_text_is_no_rate(status: int, text: str, category: str) -> None:
    """SDKs put the class in front of the provider's words; a sentence says more than it, and it more than nothing."""
    assert classify(FailedError(text, status_code=status)).category.value == category
