"""A response body that is no JSON is the provider's failure; JSON of the wrong shape is an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routeware.classify import classify
from routeware.errors import ErrorCategory
from tests.fakes.failing import FailedError, named, raised


def parsing(text: str | bytes) -> Exception:
    """What Python's own parser raises for a text."""
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads(text)
    return caught.value


class Response:
    """As the responses of httpx, requests and aiohttp."""

    def __init__(self, text: str) -> None:
        self.text = text

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.text)


@pytest.mark.parametrize(
    "text", ["", "\n\n\n", "<html><title>502 Bad Gateway</title></html>", "<!DOCTYPE html>", " <h1>Down</h1>"]
)
def test_a_blank_body_or_a_page_is_a_server_error(text: str) -> None:
    """Under load some send blank lines to keep the connection, and then nothing."""
    found = classify(parsing(text))

    assert (found.category, found.may_have_cost) == (ErrorCategory.SERVER_ERROR, True)


@pytest.mark.parametrize("text", ["upstream connect error", '{"choices": [', "error code: 502"])
def test_a_response_that_is_no_json_is_a_server_error(text: str) -> None:
    """The client's ``json`` method was reading the body, whatever is in it."""
    with pytest.raises(json.JSONDecodeError) as caught:
        Response(text).json()

    found = classify(raised(FailedError("wrapped"), cause=caught.value))

    assert (found.category, found.may_have_cost) == (ErrorCategory.SERVER_ERROR, True)


@pytest.mark.parametrize("text", ["Sure! Here is the JSON:", '{"answer": ', "<thinking>{}", "{'a': 1}"])
def test_a_models_text_that_is_no_json_is_an_answer(text: str) -> None:
    """The function parses what the model wrote: another provider may write better, but none has failed."""
    found = classify(parsing(text))

    assert (found.category, found.may_have_cost) == (ErrorCategory.SCHEMA_VALIDATION, True)


def test_other_parsers_say_what_they_parsed_in_the_same_way() -> None:
    """Those in C leave no frames, and keep the document."""
    error = named("JSONDecodeError", ValueError, module="orjson")("x")
    vars(error)["doc"] = b"<html>"
    assert classify(error).category is ErrorCategory.SERVER_ERROR

    vars(error)["doc"] = "{"
    assert classify(error).category is ErrorCategory.SCHEMA_VALIDATION


@pytest.mark.parametrize(
    ("attributes", "category"),
    [
        ({"message": "Attempt to decode JSON with unexpected mimetype: text/html"}, "server_error"),
        ({"message": "Attempt to decode JSON with unexpected mimetype: "}, "server_error"),
        ({"headers": {"Content-Type": "text/plain"}}, "server_error"),
        ({"headers": {"Content-Type": "application/problem+json"}}, "schema_validation"),
        ({}, "schema_validation"),
    ],
)
def test_a_content_type_says_what_the_body_is(attributes: dict[str, object], category: str) -> None:
    """Aiohttp refuses to parse it, and names the type."""
    error = named("ContentTypeError")()
    vars(error).update(status=200, **attributes)

    assert (classify(error).category.value, classify(error).may_have_cost) == (category, True)


@pytest.mark.parametrize("name", ["UnknownApiResponseError", "ResponseParserError", "DecodingError"])
def test_an_sdk_that_cannot_read_a_body_says_so_by_its_class(name: str) -> None:
    """The body is no JSON, or damaged."""
    assert classify(named(name)()).category is ErrorCategory.SERVER_ERROR


def test_a_function_of_that_name_is_not_a_clients() -> None:
    """Only a method is taken for a client's; and deep stacks are left at some point."""

    def deep(levels: int, text: str) -> object:
        return deep(levels - 1, text) if levels else Response(text).json()

    with pytest.raises(json.JSONDecodeError) as caught:
        deep(100, "no json")

    assert classify(caught.value).category is ErrorCategory.SCHEMA_VALIDATION


@pytest.mark.parametrize(
    ("body", "category", "may_have_cost"),
    [
        ("<html>", "server_error", True),
        ("\n\n", "server_error", True),
        ('{"error": {"code": 502}}', "server_error", False),
        ({"error": {"code": 429}}, "rate_limit", False),
        ({"id": "x"}, "schema_validation", True),
        ("an answer in prose", "schema_validation", True),
    ],
)
def test_a_validation_error_that_keeps_the_body_is_read_by_it(body: object, category: str, may_have_cost: bool) -> None:
    """The SDK could not make an answer of it, because it is none."""
    error = named("ResponseValidationError")()
    vars(error).update(status_code=200, body=body)

    assert (classify(error).category.value, classify(error).may_have_cost) == (category, may_have_cost)
