"""The fast path gives the verdict of the full classification, or none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeware.classify import classify, eligible, failed_over_by_status, statuses_taken
from routeware.errors import ErrorCategory
from routeware.policy import FailoverRules
from tests.fakes.any_errors import errors
from tests.fakes.failing import FailedError, Response, named

rules = st.builds(
    FailoverRules,
    on_status=st.none() | st.lists(st.sampled_from([400, 404, 408, 429, 500, 503]), min_size=1),
    on_error_kinds=st.none() | st.lists(st.sampled_from(["default", "any", "auth", "quota", "network"]), min_size=1),
)
texts = st.sampled_from(["x", "credit balance", "prompt is too long: 3 tokens", "content policy", "try again in 3s"])
codes = st.sampled_from([None, "rate_limit_exceeded", "insufficient_quota", "content_filter", "server_error"])
statuses = st.sampled_from([200, 400, 401, 403, 404, 407, 408, 413, 422, 429, 499, 500, 502, 503, 504, 529])
names = st.sampled_from(
    ["FailedError", "RateLimitError", "Timeout", "APIConnectionError", "ContextWindowExceededError", "ProxyError"]
)


@st.composite
def answers(draw: st.DrawFn) -> BaseException:
    """Errors with a status somewhere, and a code, a text and a class that may say more."""
    error = named(draw(names))(draw(texts))
    status = draw(statuses)
    place: dict[str, Any] = draw(
        st.sampled_from(
            [
                {"status_code": status},
                {"status": status},
                {"code": status},
                {"response": Response(status_code=status)},
                {"response": {"ResponseMetadata": {"HTTPStatusCode": status}}},
            ]
        )
    )
    vars(error).update(place)
    if "code" not in place:
        vars(error)["code"] = draw(codes)
    return draw(st.sampled_from([error, ExceptionGroup("x", [error]) if isinstance(error, Exception) else error]))


@given(errors() | answers(), rules)
def test_the_fast_path_agrees_with_the_full_classification(error: BaseException, given_rules: FailoverRules) -> None:
    """Where it says yes, the error fails over under these rules, and cost nothing."""
    if failed_over_by_status(error, statuses_taken(given_rules)):
        found = classify(error)

        assert eligible(found, given_rules)
        assert found.may_have_cost is False


class OnTheClassError(Exception):
    """As the errors of ``google.api_core``."""

    code = 503


class OfItsOwnError(Exception):
    """Its class defines what others keep in the instance."""

    status_code = 400

    @property
    def response(self) -> BaseException:
        """Return the gRPC error below."""
        return FailedError("below")


@pytest.mark.parametrize(
    "error",
    [
        FailedError(status_code=429),
        FailedError(status=503),
        FailedError(code=500),
        FailedError(response=Response(status_code=503)),
        FailedError(raw_response=Response(status=503)),
        FailedError(response={"ResponseMetadata": {"HTTPStatusCode": 429}}),
        OnTheClassError(),
    ],
)
def test_a_status_is_enough_wherever_it_stands(error: BaseException) -> None:
    """On the instance, the class, the response, or in botocore's mapping."""
    assert failed_over_by_status(error, statuses_taken(FailoverRules())) is True


@pytest.mark.parametrize(
    "error",
    [
        FailedError(status_code=400),
        FailedError(status_code=200),
        FailedError(),
        ExceptionGroup("x", [FailedError(status_code=503)]),
        FailedError(status_code=503, response=FailedError("the gRPC error below")),
        FailedError(status_code=400, status=503),
        OfItsOwnError(),
    ],
)
def test_what_a_status_does_not_decide_is_left_open(error: BaseException) -> None:
    """A 400 may be a spent account, which fails over, or a mistake in the request, which does not."""
    assert failed_over_by_status(error, statuses_taken(FailoverRules())) is False


@pytest.mark.parametrize("name", ["Timeout", "APIConnectionError", "ContentTypeError", "HttpProxyError"])
def test_a_status_that_an_sdk_made_up_is_left_open(name: str) -> None:
    """Its class says that there was no answer, so it is not known to be free."""
    error = named(name)()
    vars(error)["status_code"] = 503

    assert failed_over_by_status(error, statuses_taken(FailoverRules())) is False


@pytest.mark.parametrize(
    ("given_rules", "expected"),
    [
        (FailoverRules(), {408, 429, 500, 502, 503, 504, 529}),
        (FailoverRules(on_status=[404]), {404}),
        (FailoverRules(on_error_kinds=["auth"]), set()),
        (FailoverRules(on_error_kinds=["default", "auth"]), {408, 429, 500, 502, 503, 504, 529}),
        (FailoverRules(on_status=[404], on_error_kinds=["default"]), {404, 408, 429, 500, 502, 503, 504, 529}),
        (FailoverRules(on_status=[404], on_error_kinds=["auth"]), {404}),
        (FailoverRules(on_error_kinds=["any"]), set(range(100, 600))),
    ],
)
def test_the_statuses_that_decide_follow_from_the_rules(given_rules: FailoverRules, expected: set[int]) -> None:
    """A kind depends on more than the status; ``default`` names statuses, and ``any`` takes every one."""
    assert statuses_taken(given_rules) == expected


def test_an_invented_status_is_not_free() -> None:
    """An SDK that gives its own time-out a 408 has had no answer; one that shows the answer has."""
    invented = named("Timeout")()
    vars(invented)["status_code"] = 408
    answered = named("GatewayTimeoutError")()
    vars(answered).update(status_code=504, body={})

    assert (classify(invented).category, classify(invented).may_have_cost) == (ErrorCategory.TIMEOUT, True)
    assert (classify(answered).category, classify(answered).may_have_cost) == (ErrorCategory.TIMEOUT, False)


def test_a_status_that_the_class_defines_is_not_passed_over() -> None:
    """An instance's ``status`` comes after the ``status_code`` of its class, and a response may stand there, too."""
    error = OfItsOwnError()
    vars(error)["status"] = 503
    answered = OfItsOwnError()
    vars(answered)["status_code"] = 503

    assert failed_over_by_status(error, statuses_taken(FailoverRules())) is False
    assert failed_over_by_status(answered, statuses_taken(FailoverRules())) is False
