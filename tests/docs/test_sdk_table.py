"""The table of the SDKs' errors: the page shows what was observed, and what was observed is what is promised."""

from __future__ import annotations

import pytest

from tests.real.sdks.clients import CLIENTS
from tests.real.sdks.situations import SITUATIONS
from tests.real.sdks.table import LESS, PAGE, known_outcomes, page_with_table

PROMISED = {
    "400, the prompt is too long": "context_length",
    "401": "auth",
    "403, refused for content": "content_policy",
    "404": "not_found",
    "408": "timeout",
    "413": "context_length",
    "429": "rate_limit",
    "429 with Retry-After: 3": "rate_limit",
    "429, the quota is spent": "quota",
    "499": "server_error",
    "500": "server_error",
    "503": "overloaded",
    "529": "overloaded",
    "connection refused": "transient_network",
    "reset while reading": "transient_network",
    "read time-out": "timeout",
    "a page of HTML under 200": "server_error",
    "blank lines under 200": "server_error",
    "an error under 200": "server_error",
}
FREE = {name for name in PROMISED if name[0].isdigit()} | {"connection refused"}
OUTCOMES = [
    pytest.param(client, situation, row, id=f"{client}-{situation}")
    for client, rows in known_outcomes().items()
    for situation, row in rows.items()
]
GRPC_MAY_BE_LOCAL = {"408", "499"}
KEPT_BACK = {
    ("aiohttp", "400, the prompt is too long"): "bad_request",
    ("aiohttp", "403, refused for content"): "auth",
    ("aiohttp", "429, the quota is spent"): "rate_limit",
    ("aiohttp", "blank lines under 200"): "generic",
    ("cohere", "an error under 200"): "generic",
    ("google-genai", "an error under 200"): "generic",
    ("google-genai over aiohttp", "an error under 200"): "generic",
    ("google-api-core", "499"): "cancelled",
    ("google-api-core", "a page of HTML under 200"): "generic",
    ("grpcio", "499"): "cancelled",
    ("grpcio", "a page of HTML under 200"): "generic",
    ("xai-sdk", "499"): "cancelled",
    ("xai-sdk", "a page of HTML under 200"): "generic",
    ("litellm", "connection refused"): "server_error",
    ("litellm", "reset while reading"): "server_error",
    ("ollama", "an error under 200"): "schema_validation",
    **{("mcp", situation.name): "server_error" for situation in SITUATIONS if situation.status not in {200, 400, 404}},
}
"""What becomes of an error whose SDK says less than the provider; the page says why."""


def test_the_page_shows_what_was_observed() -> None:
    """``python -m tests.real.sdks.table`` writes it."""
    page = PAGE.read_text(encoding="utf-8")

    assert page == page_with_table(page)


def test_every_sdk_was_asked_in_every_situation() -> None:
    """But for those that its protocol does not have."""
    known = known_outcomes()

    assert list(known) == [client.name for client in CLIENTS]
    for client in CLIENTS:
        missing = {situation.name for situation in SITUATIONS} - set(known[client.name])
        assert missing <= ({"413", "529", "blank lines under 200", "an error under 200"} if client.grpc else set())


@pytest.mark.parametrize(("client", "situation", "row"), OUTCOMES)
def test_an_observed_error_is_of_the_promised_category(client: str, situation: str, row: dict[str, object]) -> None:
    """Exceptions are named one by one, and explained on the page."""
    expected = KEPT_BACK.get((client, situation), PROMISED[situation])

    assert row["category"] == expected
    if expected != PROMISED[situation]:
        assert any(client.startswith(name) for names in LESS for name in names.split(", "))


@pytest.mark.parametrize(("client", "situation", "row"), OUTCOMES)
def test_a_refusal_is_free_and_a_lost_answer_is_not(client: str, situation: str, row: dict[str, object]) -> None:
    """Whatever the SDK makes of it."""
    grpc = client in {"grpcio", "google-api-core", "xai-sdk"}

    if situation in FREE and not (grpc and situation in GRPC_MAY_BE_LOCAL):
        assert row["may_have_cost"] is False
    elif situation in {"reset while reading", "read time-out"}:
        assert row["may_have_cost"] is True


@pytest.mark.parametrize(("client", "situation", "row"), OUTCOMES)
def test_a_time_to_wait_is_read_from_every_sdk(client: str, situation: str, row: dict[str, object]) -> None:
    """Only MCP's HTTP client hides the header."""
    if situation == "429 with Retry-After: 3" and client != "mcp":
        assert row["retry_after_ms"] == 3_000.0
    else:
        assert row["retry_after_ms"] is None
