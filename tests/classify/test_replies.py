"""Errors that came under 200: found in the reply, and what they make of the error that the function raised."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given

from routeware.classify import ErrorSnapshot, classify, error_in_reply, snapshot_from_hook
from routeware.errors import ErrorCategory, ResultRejectedError
from tests.fakes.any_errors import values
from tests.fakes.failing import FailedError, RaisingMapping


class Made:
    """An object that an SDK made of a reply."""

    def __init__(self, **fields: object) -> None:
        vars(self).update(fields)


class Model(Made):
    """As a pydantic model keeps the fields that it does not know."""

    __pydantic_extra__: dict[str, object]

    def __init__(self, extra: dict[str, object], **fields: object) -> None:
        super().__init__(**fields)
        object.__setattr__(self, "__pydantic_extra__", extra)


ERRORS: list[tuple[object, tuple[str, int | None, str | None]]] = [
    ({"error": {"message": "Provider returned error", "code": 502}}, ("server_error", 502, None)),
    ({"id": None, "choices": None, "error": {"message": "x", "code": 502}}, ("server_error", 502, None)),
    ({"error": {"message": "Rate limit exceeded", "code": 429}}, ("rate_limit", 429, None)),
    ({"error": {"code": "insufficient_quota"}, "choices": []}, ("quota", None, "insufficient_quota")),
    ({"error": {"message": "Insufficient credits", "code": 402}}, ("quota", 402, None)),
    ({"error": {"message": "Your input was flagged", "code": 403}}, ("content_policy", 403, None)),
    ({"error": {"message": "prompt is too long: 9 tokens", "code": 400}}, ("context_length", 400, None)),
    ({"error": {"message": "no", "code": 400}}, ("bad_request", 400, None)),
    ({"error": "model is loading"}, ("server_error", None, None)),
    ({"error": "HTTP 503 from upstream"}, ("overloaded", None, None)),
    ({"error": "model overloaded"}, ("overloaded", None, None)),
    ({"error": {}, "detail": "x"}, ("server_error", None, None)),
    ([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}], ("rate_limit", 429, "RESOURCE_EXHAUSTED")),
    ({"type": "error", "error": {"type": "overloaded_error"}}, ("overloaded", None, "overloaded_error")),
    ({"object": "error", "message": "no", "code": 400}, ("bad_request", 400, None)),
    ({"jsonrpc": "2.0", "error": {"code": -32603}}, ("server_error", None, "-32603")),
    ({"result": None, "success": False, "errors": [{"code": 7009, "message": "x"}]}, ("server_error", None, None)),
    (
        {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "choices": None},
        ("quota", None, None),
    ),
    ({"error_code": 110, "error_msg": "Access token invalid"}, ("server_error", None, None)),
    ({"code": "InvalidApiKey", "message": "Invalid API-key provided."}, ("auth", None, "InvalidApiKey")),
    ({"code": 503, "message": "busy"}, ("overloaded", 503, None)),
    ({"status": "failed", "output": ["x"], "error": {"code": "server_error"}}, ("server_error", None, "server_error")),
    ({"choices": [{"error": {"code": 502}, "message": {"content": ""}}]}, ("server_error", 502, None)),
    (Made(error={"code": 502}, choices=None), ("server_error", 502, None)),
    (Made(error=Made(code="rate_limit_exceeded"), status="failed"), ("rate_limit", None, "rate_limit_exceeded")),
    (Model({"error": {"code": 502}}, choices=None, id=None), ("server_error", 502, None)),
    (Made(choices=[Made(error=Made(code=502))]), ("server_error", 502, None)),
    ('{"error": {"code": 502}}', ("server_error", 502, None)),
    (b'{"error": {"code": 502}}', ("server_error", 502, None)),
    (MappingProxyType({"error": {"code": 502}}), ("server_error", 502, None)),
]


@pytest.mark.parametrize(("reply", "expected"), ERRORS)
def test_an_error_under_200_is_read_like_one_with_a_status(
    reply: object, expected: tuple[str, int | None, str | None]
) -> None:
    """It is what the provider says; nothing was answered, and nothing is owed."""
    found = error_in_reply(reply)

    assert found is not None
    assert (found.category.value, found.status, found.code) == expected
    assert found.may_have_cost is False


@pytest.mark.parametrize(
    "reply",
    [
        {"ResponseMetadata": {"HTTPStatusCode": 200}},
        "\n\n\n",
        "<html><title>502 Bad Gateway</title></html>",
        b"<!DOCTYPE html>",
        "",
    ],
)
def test_a_page_in_place_of_a_reply_is_a_server_error(reply: object) -> None:
    """Some SDKs hand out the text of a body that is no JSON, or no fields. Behind it, work may have been done."""
    found = error_in_reply(reply)

    assert found is not None
    assert (found.category, found.may_have_cost) == (ErrorCategory.SERVER_ERROR, True)


@pytest.mark.parametrize(
    "reply",
    [
        None,
        3,
        [],
        {},
        "an answer in text",
        "[1, 2]",
        '{"choices": [{"message": {"content": "x"}}]}',
        {"choices": [{"message": {"content": "x"}}]},
        {"choices": [{"message": {"content": "x"}}], "error": None},
        {"choices": [{"message": {"content": "x"}}], "error": {"code": 502}},
        {"choices": [{"error": None, "message": {"content": ""}}]},
        {"choices": 3},
        {"error": None, "choices": []},
        {"error": "", "choices": []},
        {"error": False},
        {"error": []},
        {"errors": []},
        {"error": None, "status": "completed", "output": ["x"]},
        {"type": "message", "content": [{"type": "text", "text": "x"}]},
        {"type": "message", "content": []},
        {"object": "chat.completion", "choices": []},
        {"base_resp": {"status_code": 0, "status_msg": ""}, "choices": None},
        {"message": {"role": "assistant", "content": "x"}, "code": 200},
        {"code": 0, "message": "ok"},
        {"code": 200, "message": "ok"},
        {"code": "x"},
        {"detail": "high"},
        {"data": [{"embedding": [0.1]}], "object": "list"},
        Made(choices=[Made(message=Made(content="x"))], error=None),
        Made(text="x", error=Made(code=1)),
        Made(),
        [{"error": {"code": 502}}, {"error": {"code": 502}}],
        RaisingMapping(),
    ],
)
def test_an_answer_is_no_error(reply: object) -> None:
    """``error`` is a field of many good replies; an answer beside it is an answer."""
    assert error_in_reply(reply) is None


def test_a_reply_says_how_long_to_wait() -> None:
    """In its error, as elsewhere."""
    found = error_in_reply({"error": {"code": "insufficient_quota", "retry_after": 3}})

    assert found is not None
    assert (found.category, found.retry_after_ms) == (ErrorCategory.RATE_LIMIT, 3_000.0)


def test_the_message_of_a_reply_quotes_nobody() -> None:
    """Providers put prompts into their texts."""
    found = error_in_reply({"error": {"message": "the prompt was: SECRET", "code": 502}})

    assert found is not None
    assert found.message == "server_error 502 dict"


@given(values)
def test_reading_a_reply_never_raises(reply: Any) -> None:
    """Whatever a provider sends."""
    found = error_in_reply(reply)

    assert found is None or isinstance(found, ErrorSnapshot)


REPORTED = error_in_reply({"error": {"code": 502, "message": "x"}})


@pytest.mark.parametrize(
    "error",
    [
        KeyError("choices"),
        TypeError("'NoneType' object is not subscriptable"),
        AttributeError("x"),
        json.JSONDecodeError("x", "y", 0),
        RuntimeError("no answer"),
    ],
)
def test_what_the_function_stumbles_over_is_the_reported_error(error: Exception) -> None:
    """The provider failed, not the function."""
    assert REPORTED is not None
    expected = (ErrorCategory.SERVER_ERROR, 502, False)

    for found in (classify(error, reported=REPORTED), snapshot_from_hook(None, error, reported=REPORTED)):
        assert (found.category, found.status, found.may_have_cost) == expected
        assert found.message == f"server_error 502 {type(error).__module__}.{type(error).__qualname__}".replace(
            "builtins.", ""
        )
    assert classify(RuntimeError("mine"), reported=REPORTED, with_text=True).message == "mine"


@pytest.mark.parametrize(
    "error",
    [FailedError(status_code=429), TimeoutError(), ConnectionResetError(), ResultRejectedError("a:b", object())],
)
def test_an_error_that_speaks_for_itself_is_not_changed_by_a_reply(error: Exception) -> None:
    """It came from somewhere else."""
    assert classify(error, reported=REPORTED) == classify(error)
