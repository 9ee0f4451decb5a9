"""Replies without an answer: ``{"error": ...}`` under 200, and bodies that are no JSON.

Nothing raises for an error under 200. The function stumbles over the missing answer afterwards, and a ``KeyError`` says
nothing of the provider. So a reply that was reported is read for an error, and that error classifies what the function
raises.

A broken answer and an answer of the wrong shape both come as a ``JSONDecodeError``. If it was a response's body, the
provider has failed: under load some send blank lines, or a proxy's page with status 200. If it was the text that a
model wrote, the answer is there, only not as asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from routeware.classify.codes import Body, decoded, telling_code
from routeware.classify.meanings import Code, as_status
from routeware.classify.names import kind_of
from routeware.classify.reading import (
    Pattern,
    View,
    as_int,
    as_text,
    attempt,
    entry,
    ignoring_case,
    is_mapping,
    is_sequence,
)
from routeware.classify.snapshot import Cost, ErrorSnapshot, Finding, snapshot_of
from routeware.classify.texts import category_of_code, closer_category, provider_said, status_in_text
from routeware.classify.waiting import retry_after_ms
from routeware.errors import ErrorCategory

__all__ = ["error_in_reply", "finding_in_reply", "is_no_json", "names_another_type", "no_json"]

_PAGE = ignoring_case(r"\s*(?:\Z|<(?:!doctype|html|head|body|\?xml|h1|title|center)\b)")
_CONTENT_TYPE = Pattern(r"mimetype: ?([\w.+/-]*)")
_ANOTHER_TYPE = ignoring_case(r"unexpected (?:content[- ]?type|mimetype)")
_MOST_FRAMES = 64


def no_json(error: BaseException, view: View) -> bool:
    """Tell whether a parser was given a response body that is no JSON at all."""
    document = view.own.get("doc")
    text = document.decode("latin-1") if type(document) is bytes else as_text(document)
    if text is not None:
        return is_no_json(text) or _was_a_response(error)
    return _has_another_type(view)


def is_no_json(text: str) -> bool:
    """Tell a blank text or a page of HTML, which no model writes for an answer."""
    return _PAGE.compiled.match(text) is not None


def names_another_type(text: str) -> bool:
    """Tell whether a client complains of the content type: it expected JSON, and got a page."""
    return _ANOTHER_TYPE.search(text) is not None


def _was_a_response(error: BaseException) -> bool:
    """Look for a method ``json`` among the frames, by which HTTP clients parse a body: httpx, requests, aiohttp."""
    trace: TracebackType | None = error.__traceback__
    for _ in range(_MOST_FRAMES):
        if trace is None:
            return False
        frame = trace.tb_frame
        if frame.f_code.co_name == "json" and "self" in frame.f_code.co_varnames[:1]:
            return True
        trace = trace.tb_next
    return False


def _has_another_type(view: View) -> bool:
    """Read the content type that aiohttp's ``ContentTypeError`` names. Without one there is nothing to go by."""
    found = _CONTENT_TYPE.search(as_text(view.get("message")) or "")
    kind = as_text(entry(view.get("headers"), "Content-Type")) if found is None else found[1]
    return kind is not None and "json" not in kind.lower()


_ERRORS = ("error", "errors", "fault", "base_resp")
_MARKS = frozenset({*_ERRORS, "error_code", "error_msg", "code", "detail", "object", "type", "choices"})
_ANSWERS = frozenset(
    {
        *("choices", "content", "output", "outputs", "candidates", "message", "text", "completion", "completions"),
        *("generations", "data", "embeddings", "result", "results", "response", "answer", "predictions"),
    }
)
_EMPTY = frozenset({"ResponseMetadata"})
"""All that botocore makes of a body that it cannot read."""
_NOTHING_CARRIED = View(None)
_NO_ANSWER = Finding(ErrorCategory.SERVER_ERROR)


def error_in_reply(reply: object) -> ErrorSnapshot | None:
    """Read the error that a reply consists of; ``None`` if it holds an answer, or nothing that is known for an error.

    Pure, and never raises.

    Args:
        reply: the JSON of a reply, the object that an SDK makes of it, or the text of one.
    """
    if type(reply) in (str, bytes):
        found = decoded(reply)
        if is_mapping(found) or is_sequence(found):
            return error_in_reply(found)
        text = as_text(found)
        error = None if text is None or not is_no_json(text) else _NO_ANSWER
    else:
        error = finding_in_reply(reply)
    return None if error is None else snapshot_of(error, kind_of(type(reply)).name)


def finding_in_reply(reply: object) -> Finding | None:
    """Read the error that a reply in JSON, or the object that an SDK made of it, consists of."""
    fields = _fields_of(reply[0] if is_sequence(reply) and len(reply) == 1 else reply)
    if fields is not None and fields.keys() == _EMPTY:
        return _NO_ANSWER
    error = None if fields is None or _MARKS.isdisjoint(fields) else _error_in(fields)
    if error is None:
        return None
    body = Body(error)
    status = next((number for number in body.numbers() if 400 <= number <= 599), None)
    code = telling_code(_NOTHING_CARRIED, body)
    wait = retry_after_ms(_NOTHING_CARRIED, body)
    category = _category(status, code, "\n".join(body.texts()), wait)
    return Finding(category, Cost.ANSWERED, status, None if code is None else code.text, wait)


def _fields_of(value: object) -> Mapping[object, object] | None:
    """Give what a mapping or an object holds, with the fields that a pydantic model does not know."""
    if type(value) is dict:
        return value
    if is_mapping(value):
        copy = attempt(dict, value)
        return copy if type(copy) is dict else None
    own: Mapping[str, object] = View(value).own
    further = attempt(_read_extra, value) if own else None
    found: Mapping[Any, object] = {**own, **further} if type(further) is dict else own
    return found or None


def _read_extra(value: object) -> object:
    return object.__getattribute__(value, "__pydantic_extra__")


def _error_in(fields: Mapping[object, object]) -> object:
    """Find the part of a reply that describes an error; ``None`` if there is an answer next to it."""
    failed = as_text(entry(fields, "status")) == "failed" or as_text(entry(fields, "type")) == "error"
    if not failed and _has_answer(fields):
        return _in_choice(fields)
    for key in _ERRORS:
        held = entry(fields, key)
        if held is not None and (error := _described(key, held)) is not None:
            return fields if type(error) is str else {"error": error}
    return fields if failed or _describes_itself(fields) else None


def _described(key: str, held: object) -> object:
    """Take what stands under ``error`` for one: a text, or an object that is not empty."""
    if key == "base_resp" and not as_int(entry(held, "status_code")):
        return None
    if (text := as_text(held)) is not None:
        return text or None
    if is_sequence(held):
        held = held[0] if held else None
    return None if held is None or held is False else _fields_of(held)


def _describes_itself(fields: Mapping[object, object]) -> bool:
    """Tell a body that is an error itself: ``{"code": "InvalidApiKey", "message": ...}``, ``{"error_code": 110}``."""
    if as_text(entry(fields, "object")) == "error":
        return True
    code = entry(fields, "code")
    said = any(as_text(entry(fields, key)) is not None for key in ("message", "error_msg", "detail"))
    return said and ("error_code" in fields or as_text(code) is not None or (as_status(code) or 0) >= 400)


def _in_choice(fields: Mapping[object, object]) -> object:
    """Find an error in place of the first choice, as OpenRouter sends one that happens on the way."""
    choices = entry(fields, "choices")
    first = _fields_of(choices[0]) if is_sequence(choices) and choices else None
    held = None if first is None else entry(first, "error")
    error = None if held is None else _described("error", held)
    return None if error is None else {"error": error}


def _has_answer(fields: Mapping[object, object]) -> bool:
    for key in _ANSWERS.intersection(fields):
        held = entry(fields, str(key))
        if held is None or (key == "message" and as_text(held) is not None):
            continue
        if not (is_mapping(held) or is_sequence(held) or as_text(held) is not None) or len(held) > 0:  # type: ignore[arg-type]  # all three have a length
            return True
    return False


def _category(status: int | None, code: Code | None, text: str, wait: float | None) -> ErrorCategory:
    if code is not None and code.category is not None and (code.specific or status is None):
        return category_of_code(code, wait, text) or code.category
    if status is None and (status := status_in_text(text)) is None:
        return provider_said(text) or ErrorCategory.SERVER_ERROR
    return closer_category(status, text, code=code, wait_ms=wait)
