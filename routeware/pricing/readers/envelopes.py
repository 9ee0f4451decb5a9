"""The places of a reply's counts: the top, the last event of a stream, or inside of what a framework wrapped around.

A place is a field and a test of the reply that it is in, because most of these names mean other things elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from routeware.pricing.fields import fields

__all__ = ["inner_replies"]

Fields: TypeAlias = Mapping[str, object]

_LONGEST_BODY = 16 * 1024 * 1024


def inner_replies(held: Fields) -> Iterator[object]:
    """Give what may be the reply itself inside of ``held``, the likeliest first."""
    for name, belongs in _PLACES:
        if name in held and belongs(held):
            yield held[name]
    yield from _raw_response(held)


def _type(held: Fields) -> str:
    kind = held.get("type")
    return kind if isinstance(kind, str) else ""


def _always(_held: Fields) -> bool:
    return True


_PLACES: tuple[tuple[str, Callable[[Fields], bool]], ...] = (
    ("message", lambda held: _type(held) == "message_start"),  # Anthropic's stream
    ("response", lambda held: _type(held).startswith("response.")),  # the stream of OpenAI's responses
    ("response", lambda held: "event_type" in held),  # Cohere's older stream
    ("delta", lambda held: _type(held) == "message-end"),  # Cohere's stream
    ("metadata", lambda held: len(held) == 1),  # Bedrock's stream
    ("x_groq", _always),
    ("chunk", lambda held: _type(held) == "chunk"),  # the helper around OpenAI's stream
    ("data", lambda held: "choices" in fields(held["data"])),  # Mistral's stream
    ("raw", lambda held: "parsed" in held),  # LangChain's structured output
    ("_raw_response", _always),  # Instructor
    ("context_wrapper", _always),  # a run of OpenAI's agents
    ("_state", _always),  # a run of Pydantic AI
    ("_run_result", _always),  # a streamed run of Pydantic AI
)


def _raw_response(held: Fields) -> Iterator[object]:
    """Give what OpenAI's and Anthropic's SDKs parsed from a raw response, or else its body, where that was received."""
    response = held.get("http_response")
    if response is None:
        return
    yield from fields(held.get("_parsed_by_type")).values()
    body = fields(response).get("_content")
    if isinstance(body, bytes) and len(body) <= _LONGEST_BODY and body.lstrip()[:1] == b"{":
        yield json.loads(body)
