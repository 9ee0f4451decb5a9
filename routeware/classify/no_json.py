"""Bodies that are no JSON: a parser's error tells a broken answer from an answer of the wrong shape.

Both come as a ``JSONDecodeError``. If it was a response's body, the provider has failed: under load some send blank
lines, or a proxy's page with status 200. If it was the text that a model wrote, the answer is there, only not as asked.
"""

from __future__ import annotations

from types import TracebackType

from routeware.classify.patterns import Pattern, ignoring_case
from routeware.classify.reading import View, as_text, entry

__all__ = ["is_no_json", "names_another_type", "no_json"]

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
