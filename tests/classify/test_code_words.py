"""Codes are read by their parts: what real providers send, and what only looks like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeware.classify import classify
from routeware.classify.meanings import meaning_of, parts_of
from routeware.errors import ErrorCategory
from tests.fakes.failing import FailedError

KNOWN = {
    "rate_limit": """
        rate_limit_exceeded rate_limit_error RateLimitReached rateLimitExceeded userRateLimitExceeded ratelimited
        too_many_requests TooManyRequests ThrottlingException Throttling.RateQuota Throttling.AllocationQuota
        requests_limit_exceeded RequestLimitExceeded ModelAccountTpmRateLimitExceeded AccountRateLimitExceeded
        RequestBurstTooFast.TooFast concurrency_limit_exceeded tokens_per_minute_limit_exceeded slow_down
        tokens_quota_per_minute free-models-per-day model_rpm_exceeded""",
    "quota": """
        insufficient_quota exceeded_current_quota_error quotaExceeded ServiceQuotaExceededException
        Arrearage PrepaidBillOverdue PostpaidBillOverdue CommodityNotPurchased AllocationQuota.FreeTierOnly
        AccountOverdueError ResourceUnavailable.InArrears FailedOperation.ResourcePackExhausted
        billing_hard_limit_reached billing_not_active BillingDisabled insufficient_balance
        insufficient_user_quota credit_balance_exhausted credits_depleted out_of_credits no_credits payment_required
        spend_limit_exceeded SpendingLimitReached monthly_limit_reached usage_limit_reached budget_exceeded
        ExceededBudget trial_expired""",
    "content_policy": """
        content_filter ContentFilteredError content_policy_violation ResponsibleAIPolicyViolation SAFETY
        SAFETY_CHECK_TYPE_X prohibited_content PROHIBITED_CONTENT RECITATION SPII BLOCKLIST image_safety
        data_inspection_failed DataInspectionFailed SensitiveContentDetected InputTextSensitiveContentDetected
        moderation_blocked content_moderation guardrail_intervened flagged_input jailbreak_detected
        usage_policy_violation unsafe_content invalid_prompt""",
    "context_length": """
        context_length_exceeded ContextWindowExceededError exceed_context_size_error context_limit
        model_max_prompt_tokens_exceeded tokens_limit_reached token_limit_exceeded prompt_too_long PromptTooLong
        input_too_long InputTooLarge max_input_tokens_exceeded too_many_tokens too_many_input_tokens
        request_too_large RequestEntityTooLarge payload_too_large messages_too_long input_limit_exceeded""",
    "overloaded": """
        overloaded_error engine_overloaded ModelOverloaded ServerOverloaded ServiceUnavailableException UNAVAILABLE
        model_unavailable server_busy no_capacity at_capacity ModelNotReadyException model_loading""",
    "timeout": "timeout_error ModelTimeoutException request_timeout gateway_timeout DEADLINE_EXCEEDED timed_out",
    "auth": """
        authentication_error UNAUTHENTICATED unauthorized permission_denied PermissionDenied AccessDeniedException
        invalid_api_key InvalidApiKey incorrect_api_key API_KEY_INVALID invalid_token ExpiredTokenException
        UnrecognizedClientException missing_api_key api_key_expired""",
    "not_found": "model_not_found ModelNotFoundError NOT_FOUND DeploymentNotFound model_not_exist model_decommissioned",
    "schema_validation": "json_validate_failed invalid_json_schema JSONSchemaValidationError",
}


@pytest.mark.parametrize(
    ("word", "category"), [(word, category) for category, words in KNOWN.items() for word in words.split()]
)
def test_codes_of_real_providers_are_known_by_their_parts(word: str, category: str) -> None:
    """Each is a code that a provider documents or sends, or a spelling of one."""
    found = meaning_of(word)

    assert (found.category, found.specific) == (ErrorCategory(category), True)


@pytest.mark.parametrize(
    "word",
    [
        "invalid_timeout",
        "max_output_tokens_exceeded",
        "completion_tokens_limit",
        "case_sensitive_name",
        "string_above_max_length",
        "load_balancer_failed",
        "separate_limits",
        "credit_card_declined",
        "invalid_credit_card",
        "operation_limits",
        "previous_response_not_found",
        "tool_not_found",
        "too_many_images",
        "too_many_tools",
        "image_too_large",
        "file_too_large",
        "request_forbidden_by_region",
        "unavailable_for_legal_reasons",
        "constraints_violated",
        "content_type_unsupported",
        "context_missing",
        "prompt_id_required",
        "input_missing",
        "moderator_absent",
        "balancer",
        "safety2",
        "spender",
    ],
)
def test_codes_that_only_look_alike_say_nothing(word: str) -> None:
    """A part counts as a word: it is not looked for inside of others."""
    assert meaning_of(word).specific is False


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("rate_limit_exceeded", "rate limit exceeded"),
        ("RateLimitExceeded", "rate limit exceeded"),
        ("HTTPRateLimit", "http rate limit"),
        ("AllocationQuota.FreeTierOnly", "allocation quota free tier only"),
        ("free-models-per-day", "free models per day"),
        ("", ""),
    ],
)
def test_a_word_is_split_where_its_writer_split_it(word: str, parts: str) -> None:
    """By case, by punctuation, or not at all."""
    assert parts_of(word) == parts


RATES = ["rate_limit", "RateLimit", "rate_limited", "too_many_requests", "throttling", "tpm", "rpm", "per_minute"]
OTHERS = [
    *("quota", "insufficient_quota", "limit", "exceeded", "billing", "credit_balance", "payment_required", "spend"),
    *("usage_limit", "free_tier", "monthly", "account", "allocation", "tokens", "requests", "model", "error", "budget"),
]


@given(st.sampled_from(RATES), st.lists(st.sampled_from(OTHERS), max_size=3), st.lists(st.sampled_from(OTHERS)))
def test_no_part_turns_a_rate_limit_into_a_quota(rate: str, before: list[str], behind: list[str]) -> None:
    """A throttled account is not an empty one, whatever else the code says."""
    word = "_".join([*before[:3], rate, *behind[:3]])

    assert meaning_of(word).category is ErrorCategory.RATE_LIMIT


@given(st.lists(st.sampled_from(OTHERS), min_size=1, max_size=4), st.floats(0, 600))
def test_a_quota_that_names_seconds_to_wait_is_a_throttle(parts: list[str], seconds: float) -> None:
    """Only money that is gone stays gone; ``insufficient_quota`` is what some send for a full minute."""
    code = "_".join(parts)[:64]
    meaning = meaning_of(code)

    found = classify(FailedError(status_code=429, code=code, retry_after=seconds))

    if meaning.passing or meaning.category is not ErrorCategory.QUOTA:
        assert found.category is not ErrorCategory.QUOTA
    else:
        assert found.category is ErrorCategory.QUOTA


def test_a_quota_that_names_a_month_to_wait_is_a_quota() -> None:
    """Nobody waits for it."""
    found = classify(FailedError(status_code=429, code="insufficient_quota", retry_after=86_400 * 20))

    assert found.category is ErrorCategory.QUOTA


@pytest.mark.parametrize(
    ("status", "code", "category"),
    [
        (413, "rate_limit_exceeded", "rate_limit"),
        (413, "tokens_limit_reached", "context_length"),
        (429, "token_limit_exceeded", "rate_limit"),
        (429, "RESOURCE_EXHAUSTED", "rate_limit"),
        (400, "RESOURCE_EXHAUSTED", "rate_limit"),
        (500, "RESOURCE_EXHAUSTED", "rate_limit"),
        (404, "RESOURCE_EXHAUSTED", "not_found"),
        (400, "Arrearage", "quota"),
        (401, "insufficient_quota", "quota"),
        (403, "AllocationQuota.FreeTierOnly", "quota"),
        (403, "SAFETY_CHECK_TYPE_X", "content_policy"),
        (451, "content_policy_violation", "content_policy"),
        (400, "model_decommissioned", "not_found"),
        (400, "string_above_max_length", "bad_request"),
        (451, "unavailable_for_legal_reasons", "bad_request"),
    ],
)
def test_a_code_is_read_under_every_status(status: int, code: str, category: str) -> None:
    """Under 429, tokens that are too many are those of a minute."""
    assert classify(FailedError(status_code=status, code=code)).category.value == category


@pytest.mark.parametrize(
    "attributes",
    [
        {"code": "Arrearage"},
        {"error_code": "Arrearage"},
        {"type": "Arrearage"},
        {"reason": "Arrearage"},
        {"status": "Arrearage"},
        {"error": "Arrearage"},
        {"error": {"code": "Arrearage"}},
        {"error": {"error": {"type": "Arrearage"}}},
        {"error": FailedError(code="Arrearage")},
        {"detail": "Arrearage"},
        {"detail": {"code": "Arrearage"}},
        {"detail": [{"type": "Arrearage"}]},
        {"body": {"detail": {"error": {"code": "Arrearage"}}}},
        {"body": {"reason": "Arrearage"}},
        {"body": {"error": {"status": "Arrearage"}}},
        {"body": [{"error": {"code": "Arrearage"}}]},
        {"body": {"error": {"metadata": {"Arrearage": True}}}},
        {"body": {"errors": [{"code": "Arrearage"}]}},
        {"body": '[{"error": {"code": "Arrearage"}}]'},
        {"body": b'{"error": {"code": "Arrearage"}}'},
        {"body": {"body": '{"error": {"code": "Arrearage"}}'}},
        {"details": [{"error": {"code": "Arrearage"}}]},
        {"details": [{"reason": "Arrearage"}]},
        {"response": FailedError(_content=b'{"error": {"code": "Arrearage"}}')},
        {"response": FailedError(_body=b'{"code": "Arrearage"}')},
    ],
)
@pytest.mark.parametrize("status", [400, None])
def test_a_code_is_found_wherever_providers_put_it(attributes: dict[str, object], status: int | None) -> None:
    """At the top, under ``error``, ``detail`` or ``body``, in a list of one, or in what a response has read."""
    found = classify(FailedError(**({} if status is None else {"status_code": status}), **attributes))

    assert (found.category, found.code, found.may_have_cost) == (ErrorCategory.QUOTA, "Arrearage", False)


@pytest.mark.parametrize(
    "attributes",
    [
        {"body": [{"code": "Arrearage"}, {"code": "Arrearage"}]},
        {"body": {"data": {"code": "Arrearage"}}},
        {"body": {"a": {"error": {"code": "Arrearage"}}}},
        {"detail": "Arrearage, please settle your bill"},
        {"response": FailedError(_content=3)},
    ],
)
def test_a_code_elsewhere_is_none(attributes: dict[str, object]) -> None:
    """Lists of several, and parts of the request that is quoted, say nothing."""
    assert classify(FailedError(status_code=404, **attributes)).code is None
