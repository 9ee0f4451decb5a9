"""Error bodies and the machine codes in them: where errors keep codes, and which of several says most.

A body is a mapping, the JSON text of one, or a list of one. Its fields may be at the top, or under ``error``,
``detail``, ``errors``, ``fault`` or ``body``, one inside the other. Some codes settle the matter; others are what a
provider says of almost everything (``invalid_request_error`` comes with 400, 401, 404 and 429 alike) and count only
where no status does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import lru_cache

from routeware.classify.meanings import Code, meaning_of
from routeware.classify.reading import Pattern, View, as_int, as_text, entry, is_mapping, is_sequence
from routeware.errors import ErrorCategory

__all__ = ["Body", "body_of", "decoded", "details_of", "name_of_member", "telling_code", "telling_word"]

_LONGEST = 65_536
_LONGEST_TEXT = 2_048
_DEEPEST = 4
_MOST_DETAILS = 16
_INSIDE = ("error", "detail", "errors", "fault", "body")
_TEXTS = (
    *("message", "msg", "error_message", "error_msg", "error_description", "status_msg", "faultstring"),
    *("detail", "error", "errors", "title"),
)
_FURTHER_CODES = ("error_code", "code", "reason", "status", "type", "error_type", "errorcode", "errorCode", "err_code")
_KEPT_BY_RESPONSES = ("_content", "_body")
# Words of letters, a number of at most three digits behind each; or a short number. Keys and tokens look different.
_PRINTABLE = Pattern(r"(?:[A-Za-z]+\d{0,3}(?:_[A-Za-z]+\d{0,3}|_\d{1,3})*|\d{1,6})", flags=re.ASCII)
_RUN = Pattern(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", flags=re.ASCII)
_SHORTEST_KEY = 20
_LONGEST_WORD = 18
_CONSTANT = Pattern(r"[A-Z][A-Z_]{2,63}", flags=re.ASCII)
_CODE = Pattern(r"[A-Za-z0-9_.:/-]+", flags=re.ASCII)
# "throttling_error" is LiteLLM's type of every 429, a spent quota's as well.
_SAYS_NOTHING = frozenset({"error", "none", "null", "unknown", "throttling_error"})
_LONGEST_CODE = 64

# What JSON-RPC 2.0 and the Model Context Protocol number: https://www.jsonrpc.org/specification, section 5.1. The
# first releases of the protocol's Python SDK number their own time-out as HTTP does.
_JSON_RPC = {
    408: ErrorCategory.TIMEOUT,
    -32700: ErrorCategory.SERVER_ERROR,
    -32600: ErrorCategory.BAD_REQUEST,
    -32601: ErrorCategory.NOT_FOUND,
    -32602: ErrorCategory.BAD_REQUEST,
    -32603: ErrorCategory.SERVER_ERROR,
    -32000: ErrorCategory.TRANSIENT_NETWORK,
    -32001: ErrorCategory.TIMEOUT,
    -32002: ErrorCategory.NOT_FOUND,
    -32800: ErrorCategory.CANCELLED,
}
_JSON_RPC_SERVER = range(-32_099, -31_999)
# Made by the client itself when a reply is missing or no JSON: the request was under way.
_JSON_RPC_LOCAL = frozenset({408, -32000, -32001, -32700})


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
        """Give what stands where codes stand, the most telling place first."""
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
    # Here OpenRouter hands on what its own provider said.
    found = entry(error, "metadata", "raw")
    return None if found is None else _mapping_in(decoded(found))


def _mapping_in(value: object) -> Mapping[object, object] | None:
    """Take a mapping as it is, or out of a list that holds nothing else."""
    value = _only(value)
    return value if is_mapping(value) else None


def _only(value: object) -> object:
    """Take the only item out of a list; give everything else as it is."""
    return value[0] if is_sequence(value) and len(value) == 1 else value


def telling_code(error: View, body: Body, *, known_only: bool = False) -> Code | None:
    """Find the code that says most: one that settles the matter, else one that means something, else the first.

    With ``known_only`` words that mean nothing here are passed over, and so is ``type``: the error is of a family whose
    attributes may say something else.
    """
    best = telling_word(_words_of(error, body, with_type=not known_only), known_only=known_only)
    if best is not None and best.specific:
        return best
    other = telling_word(_further_words(error, body), known_only=True)
    if other is None or (best is not None and best.category is not None and not other.specific):
        return best
    return other


def telling_word(words: Iterable[object], *, known_only: bool) -> Code | None:
    """Find the code among ``words`` that says most."""
    best: Code | None = None
    for word in words:
        code = None if word is None else _code_of(word)
        if code is None or (code.category is None and (known_only or code.text is None)):
            continue
        if code.specific:
            return code
        if best is None or (best.category is None and code.category is not None):
            best = code
    return best


def details_of(error: View, body: Body) -> list[object]:
    """List the error details of Google's APIs (``google.rpc``), wherever the error carries them."""
    own = error.get("details")
    found = list(body.details()) if body.mappings else []
    return [*own[:_MOST_DETAILS], *found] if is_sequence(own) else found


def name_of_member(value: object) -> str | None:
    """Give the name of an enum's member, as gRPC's ``StatusCode``; ``None`` for everything else."""
    return as_text(vars(value).get("_name_")) if issubclass(type(value), Enum) else None


def _code_of(word: object) -> Code | None:
    text = _word_of(word)
    if text is not None:
        return None if len(text) > _LONGEST_CODE else _code(text)
    number = as_int(word)
    category = None if number is None else _JSON_RPC.get(number)
    if category is None and number in _JSON_RPC_SERVER:
        category = ErrorCategory.SERVER_ERROR
    if category is None:
        return None
    return Code(category, text=str(number), local=number in _JSON_RPC_LOCAL, numbered=True)


def _word_of(value: object) -> str | None:
    word = as_text(value)
    return name_of_member(value) if word is None else word


@lru_cache(maxsize=512)
def _code(word: str) -> Code | None:
    if word.lower() in _SAYS_NOTHING and not _CONSTANT.compiled.fullmatch(word):
        return None
    # A sentence is no code, whatever words it is made of.
    meaning = meaning_of(word) if _CODE.compiled.fullmatch(word) else meaning_of("")
    shown = (meaning.category is not None or _PRINTABLE.compiled.fullmatch(word)) and not _looks_random(word)
    return meaning._replace(text=word if shown else None)


def _looks_random(word: str) -> bool:
    """Tell a key of letters only from words: in its case, or in the length of a run that no word has."""
    if len(word) < _SHORTEST_KEY:
        return False
    lengths = [len(part) for part in _RUN.compiled.findall(word)]
    return max(lengths, default=0) > _LONGEST_WORD or sum(lengths) < 3 * len(lengths)


def _words_of(error: View, body: Body, *, with_type: bool) -> Iterator[object]:
    """Give everything that stands where codes stand, the most telling place first."""
    get = error.get
    yield get("error_code")
    yield get("code")
    yield error.constant("grpc_status_code")
    if (status := get("status")) is not None:
        yield _textual_status(status)
    if (response := get("response")) is not None and is_mapping(response):
        yield entry(response, "Error", "Code")
    if body.top is not None:
        yield from body.words()
    yield from (_reason_of(detail) for detail in details_of(error, body))
    if with_type:
        yield get("type")


def _further_words(error: View, body: Body) -> Iterator[object]:
    get = error.get
    yield get("reason")
    for held in (get("error"), get("detail")):
        if held is not None:
            yield from _words_held(held)
    if body.mappings:
        yield from body.further_words()


def _words_held(held: object) -> Iterator[object]:
    """Give the codes of what an error keeps under ``error`` or ``detail``: an object, a mapping, a word."""
    yield held
    inner = Body(held)
    yield from inner.words()
    yield from inner.further_words()
    if not inner.mappings:
        view = View(held)
        # A JSON-RPC response is kept whole by some, with the error one level further down.
        for part in (view, View(view.get("error"))):
            yield from (part.get(name) for name in ("error_code", "code", "type"))


def _reason_of(detail: object) -> object:
    found = entry(detail, "reason")
    return View(detail).get("reason") if found is None else found


def _textual_status(status: object) -> str | None:
    """Take Google's word for the status; what others say in prose there is no code."""
    word = _word_of(status)
    if word is None or len(word) > _LONGEST_CODE:
        return None
    return word if meaning_of(word).category is not None or _CONSTANT.compiled.fullmatch(word) else None
