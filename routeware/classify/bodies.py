"""Error bodies: where providers put codes, texts and numbers in what they answer.

A body is a mapping, the JSON text of one, or a list of one. Its fields may be at the top, or under ``error``,
``detail``, ``errors``, ``fault`` or ``body``, one inside the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from routeware.classify.reading import View, as_int, as_text, entry, is_mapping, is_sequence

__all__ = ["Body", "body_of", "decoded"]

_LONGEST = 65_536
_LONGEST_TEXT = 2_048
_DEEPEST = 4
_MOST_DETAILS = 16
_INSIDE = ("error", "detail", "errors", "fault", "body")
_TEXTS = (
    "message",
    "msg",
    "error_message",
    "error_msg",
    "error_description",
    "status_msg",
    "faultstring",
    "detail",
    "error",
    "errors",
    "title",
)
_FURTHER_CODES = ("error_code", "code", "reason", "status", "type", "error_type", "errorcode", "errorCode", "err_code")
_KEPT_BY_RESPONSES = ("_content", "_body")


class Body:
    """One error body.

    Attributes:
        mappings: the mappings that describe the error, the innermost first; none where the body is no JSON object.
        top: the outermost of them.
        text: the body itself, where it is text and no JSON.
    """

    __slots__ = ("mappings", "text", "top")

    def __init__(self, body: object) -> None:
        found = None if body is None else decoded(body)
        self.top = None if found is None else _mapping_in(found)
        self.text = None if found is None else as_text(found)
        self.mappings: list[Mapping[object, object]] = []
        following = self.top
        while following is not None and len(self.mappings) < _DEEPEST:
            self.mappings.insert(0, following)
            following = _inside(following)

    def words(self) -> Iterator[object]:
        """Give everything that stands where codes stand, the most telling place first."""
        if self.top is None:
            return
        inner = entry(self.top, "error")
        error = inner if is_mapping(inner) else self.top
        yield entry(error, "details", "error_code")
        yield from (entry(error, key) for key in ("error_code", "code"))
        yield entry(error, "innererror", "code")
        yield entry(error, "type")

    def further_words(self) -> Iterator[object]:
        """Give the words of less certain places, where only a known word is a code."""
        for error in self.mappings:
            yield from (entry(error, key) for key in _FURTHER_CODES)
            if is_mapping(metadata := entry(error, "metadata")):
                yield from metadata

    def texts(self) -> Iterator[str]:
        """Give the sentences in which the body explains itself."""
        for error in self.mappings:
            for key in _TEXTS:
                if (text := as_text(_only(entry(error, key)))) is not None:
                    yield text[:_LONGEST_TEXT]
        if self.text is not None:
            yield self.text[:_LONGEST_TEXT]

    def numbers(self) -> Iterator[int]:
        """Give the whole numbers that stand where codes stand: a status, or a code of JSON-RPC."""
        for error in self.mappings:
            for key in ("code", "status", "status_code", "error_code"):
                if (number := as_int(entry(error, key))) is not None:
                    yield number

    def details(self) -> Iterator[object]:
        """Give the error details of Google's APIs (``google.rpc``)."""
        for error in self.mappings:
            found = entry(error, "details")
            if is_sequence(found):
                yield from found[:_MOST_DETAILS]


def body_of(error: View) -> object:
    """Find the body that an error keeps, or that its response has read already.

    A response is never asked to read: that could block, and the connection may be gone.
    """
    for name in ("body", "details"):
        if (found := error.get(name)) is not None:
            return found
    response = error.get("response")
    if response is None or is_mapping(response):
        return None
    own = View(response).own
    return next((found for name in _KEPT_BY_RESPONSES if type(found := own.get(name)) in (bytes, str)), None)


def decoded(body: object) -> object:
    """Read a body that is JSON in text or bytes; give every other body as it is."""
    if type(body) is bytes:
        body = body[: _LONGEST + 1].decode("utf-8", "replace")
    text = as_text(body)
    if text is None or len(text) > _LONGEST:
        return body
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _inside(error: Mapping[object, object]) -> Mapping[object, object] | None:
    for key in _INSIDE:
        if (found := entry(error, key)) is not None and (inner := _mapping_in(decoded(found))) is not None:
            return inner
    return None


def _mapping_in(value: object) -> Mapping[object, object] | None:
    """Take a mapping as it is, or out of a list that holds nothing else."""
    value = _only(value)
    return value if is_mapping(value) else None


def _only(value: object) -> object:
    """Take the only item out of a list; give everything else as it is."""
    return value[0] if is_sequence(value) and len(value) == 1 else value
