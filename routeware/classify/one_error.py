"""One error by itself: its status, its codes, its class and its text, in this order.

A status is coarse: a spent account, a refusal for content and a prompt that is too long all come as a 400 somewhere. So
whatever says more than the status wins: a code, then the name of the class, then the text.

A gRPC error, as ``grpc``, ``grpc.aio`` and ``xai-sdk`` raise it, is asked for its code by a method. That code does not
say who gave it: the client's own library reports a refused connection as UNAVAILABLE and its own time-out as
DEADLINE_EXCEEDED, in the same class as an answer of the server. Money hangs on the difference, and only the text of the
status shows it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from operator import methodcaller
from types import FunctionType
from typing import Any, NamedTuple

from routeware.classify.codes import Body, body_of, name_of_member, telling_code
from routeware.classify.meanings import Code, meaning_of, status_of
from routeware.classify.names import UNREACHED, Kind, kind_of
from routeware.classify.reading import (
    Pattern,
    View,
    arguments_of,
    as_int,
    as_text,
    attempt,
    cause_of,
    context_of,
    errno_of,
    ignoring_case,
    is_sequence,
    remembered,
)
from routeware.classify.replies import finding_in_reply, is_no_json, names_another_type, no_json
from routeware.classify.snapshot import Cost, Finding
from routeware.classify.texts import (
    LONGEST,
    category_of_code,
    closer_category,
    names_a_wait,
    provider_said,
    refined,
    status_in_text,
)
from routeware.classify.waiting import retry_after_ms
from routeware.errors import ErrorCategory

__all__ = ["SETTLED", "look"]

SETTLED = (Cost.NONE, Cost.POSSIBLE)

_UNREACHABLE = frozenset(
    number
    for number, name in errno.errorcode.items()
    if name.removeprefix("WSA") in {"ENETDOWN", "ENETUNREACH", "EHOSTDOWN", "EHOSTUNREACH", "EADDRNOTAVAIL"}
)
_HANDSHAKE = ("HANDSHAKE", "CERTIFICATE", "WRONG_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS", "UNKNOWN_CA")
_LONGEST_TEXT = 8_192
_NEVER_CONNECTED = Pattern(r"Connect call failed|(?i:failed to connect to)")
_NO_ANSWERS = frozenset({ErrorCategory.TIMEOUT, ErrorCategory.TRANSIENT_NETWORK, ErrorCategory.SCHEMA_VALIDATION})
_UNREACHED = ignoring_case(r"failed to connect|connection refused|errors? resolving|dns resolution|name resolution")
_BROKEN_OFF = ignoring_case(
    r"reset|closed|goaway|broken pipe|stream removed|rst_stream|\beof\b|keepalive|ping timeout|cancell?ed"
    r"|transport|larger than max|deserializ|serializing"
)
# The client gives these by itself, too: always, or where its text says that the connection or the answer broke.
_GIVEN_BY_TIMERS = frozenset({ErrorCategory.TIMEOUT, ErrorCategory.CANCELLED})
_GIVEN_BY_TRANSPORTS = frozenset({ErrorCategory.OVERLOADED, ErrorCategory.SERVER_ERROR, ErrorCategory.RATE_LIMIT})


class Reading(NamedTuple):
    """One error, as far as it has been read."""

    error: BaseException
    view: View
    kind: Kind
    body: Body

    def text(self) -> str:
        """Join what the error says: the sentences of its body, else the strings that it was made with.

        SDKs put the whole body into their message, and the body may quote the request. ``__str__`` is slow, and may do
        anything.
        """
        held = [*(self.view.get(name) for name in ("error", "detail")), *self.body.texts()]
        texts = _texts(held) or _texts((*arguments_of(self.error)[:4], self.view.get("message")))
        return "\n".join(texts)[:_LONGEST_TEXT]


def _texts(values: Iterable[object]) -> list[str]:
    found = [text[:LONGEST] for value in values if value is not None and (text := as_text(value))]
    return list(dict.fromkeys(found))


def look(error: BaseException) -> Finding:
    """Read one error, without the errors behind it."""
    view, kind = View(error), kind_of(type(error))
    body = Body(body_of(view))
    behind = cause_of(error)
    # aiohttp gives a 400 of its own to a reply that is no HTTP: no server said it.
    garbled = kind.no_http or (behind is not None and kind_of(type(behind)).no_http)
    status = None if garbled else status_of(view)
    if status is not None and status >= 400:
        return _answered(Reading(error, view, kind, body), status)
    call = _rpc_finding(error, view, body, status)
    return _unanswered(Reading(error, view, kind, body), status) if call is None else call


def _answered(read: Reading, status: int) -> Finding:
    """Classify an answer with an error status: a code, the class or a phrase may say more than the status."""
    response = read.view.get("response")
    if isinstance(response, BaseException):
        # google.api_core keeps the gRPC error there, and gives a status to what the client made up, too.
        call = _rpc_finding(response, read.view, read.body, status)
        if call is not None:
            return call
    code = telling_code(read.view, read.body)
    wait = _wait(read, status)
    text = read.text() if 400 <= status < 500 else ""
    if wait is None and status == 429:
        wait = names_a_wait(text)
    # A parser's class says that there was no answer to parse, and the status why.
    by_class = None if read.kind.body else read.kind.meaning
    category = closer_category(status, text, code=code, by_class=by_class, wait_ms=wait)
    cost = _cost_of_answer(read)
    if read.kind.proxy:
        # It refused to let the request out, or failed: either way the provider has not seen it.
        category = ErrorCategory.EGRESS_BLOCKED if status < 500 else ErrorCategory.TRANSIENT_NETWORK
        cost = Cost.NONE
    return Finding(category, cost, status, None if code is None else code.text, wait)


def _wait(read: Reading, status: int) -> float | None:
    """Read how long to wait; also from the HTTP client's own error, which some SDKs hide with ``from None``."""
    found = retry_after_ms(read.view, read.body)
    hidden = None if found is not None else context_of(read.error)
    if hidden is None:
        return found
    view = View(hidden)
    return retry_after_ms(view, Body(None)) if status_of(view) == status else None


def _cost_of_answer(read: Reading) -> Cost | None:
    """Tell what an answer with an error cost: nothing. A status that an SDK gave to its own time-out is no answer."""
    meaning = read.kind.meaning
    if meaning is None or meaning.category not in _NO_ANSWERS or read.kind.body:
        return Cost.ANSWERED
    answered = any(read.view.get(name) is not None for name in ("response", "raw_response", "body", "headers"))
    return Cost.ANSWERED if answered else meaning.cost


def _unanswered(read: Reading, status: int | None) -> Finding:
    """Classify an error without an error status: by a code that was sent all the same, or by its class."""
    view, kind = read.view, read.kind
    meaning = (_of_system(read) if kind.system else None) or kind.meaning
    # What was being parsed is an answer: a ``type`` in it is the answer's, and so is a status below 400.
    parsing = meaning is not None and meaning.category is ErrorCategory.SCHEMA_VALIDATION
    code = None if parsing else telling_code(view, read.body, known_only=kind.own_words or status is not None)
    blank = Finding(None, None, status, None if code is None else code.text, retry_after_ms(view, read.body))
    if code is not None and code.category is not None:
        return _by_code(read, blank, code)
    if kind.proxy and (refused := status_in_text(read.text())) is not None and refused < 500:
        return blank._replace(category=ErrorCategory.EGRESS_BLOCKED, cost=Cost.NONE)
    if parsing and (found := _in_body(read)) is not None:
        return found._replace(status=blank.status if found.status is None else found.status)
    return _by_class(read, blank, meaning)


def _by_code(read: Reading, blank: Finding, code: Code) -> Finding:
    """Classify an error that came with a code and without a status."""
    text = read.text()
    if code.numbered and names_another_type(text):
        return blank._replace(category=ErrorCategory.SERVER_ERROR, cost=Cost.POSSIBLE)
    category = category_of_code(code, blank.retry_after_ms, text)
    return blank._replace(category=category, cost=Cost.POSSIBLE if code.local else Cost.NONE_BY_ITSELF)


def _in_body(read: Reading) -> Finding | None:
    """Look at what a parser was given: no JSON at all, or an error in place of an answer."""
    unreadable = read.kind.body and no_json(read.error, read.view)
    if unreadable or (read.body.text is not None and is_no_json(read.body.text)):
        return Finding(ErrorCategory.SERVER_ERROR, Cost.POSSIBLE)
    found = None if read.body.top is None else finding_in_reply(read.body.top)
    return None if found is None else found._replace(cost=Cost.NONE)


def _by_class(read: Reading, blank: Finding, meaning: Finding | None) -> Finding:
    """Classify an error by its class, where nothing that it carries has a meaning."""
    if meaning is not None and meaning.category is not None:
        return blank._replace(category=meaning.category, cost=meaning.cost)
    if read.kind.provider:
        return _of_provider(read, blank)
    if meaning is not None:
        return blank._replace(cost=meaning.cost)
    if blank.code is not None:
        return blank._replace(cost=Cost.NONE_BY_ITSELF)
    stumbled = blank.status is not None or (read.kind.stumble and cause_of(read.error) is None)
    return blank._replace(cost=Cost.POSSIBLE if stumbled else None)


def _of_provider(read: Reading, blank: Finding) -> Finding:
    """Classify an SDK's own class for what a provider answers, which carries a text at most."""
    text = read.text()
    status = status_in_text(text)
    if status is not None:
        return blank._replace(category=closer_category(status, text), status=status, cost=Cost.NONE_BY_ITSELF)
    category = provider_said(text)
    # Without a code it may have come in the middle of an answer.
    cost = Cost.POSSIBLE_BY_ITSELF if category is None or blank.status is not None else Cost.NONE_BY_ITSELF
    return blank._replace(
        category=category or ErrorCategory.SERVER_ERROR,
        cost=cost,
        provisional=category is None and blank.status is None,
    )


def _of_system(read: Reading) -> Finding | None:
    """Find the operating system's errors that cost nothing, where their class leaves that open: no way, no TLS."""
    meaning = read.kind.meaning
    if meaning is not None and meaning.cost in SETTLED:
        return None
    reason = as_text(read.view.own.get("reason")) or ""
    unreached = (
        as_int(errno_of(read.error)) in _UNREACHABLE
        or any(word in reason for word in _HANDSHAKE)
        or _NEVER_CONNECTED.search(read.text()) is not None
    )
    return UNREACHED if unreached else None


def _rpc_finding(error: BaseException, view: View, body: Body, status: int | None) -> Finding | None:
    """Read the status of a gRPC error, and its metadata, where servers put ``retry-after``."""
    if not _is_rpc(type(error)):
        return None
    code = name_of_member(attempt(methodcaller("code"), error))
    if code is None:
        return None
    text = as_text(attempt(methodcaller("details"), error)) or ""
    category = meaning_of(code).category or ErrorCategory.SERVER_ERROR
    unreached = _UNREACHED.search(text) is not None
    local = category in _GIVEN_BY_TIMERS or (category in _GIVEN_BY_TRANSPORTS and _BROKEN_OFF.search(text) is not None)
    cost = Cost.POSSIBLE if local and not unreached else Cost.NONE
    if code == "UNAVAILABLE" and (local or unreached):
        category = ErrorCategory.TRANSIENT_NETWORK
    else:
        category = refined(category, text)
    metadata = attempt(_metadata_of, error)
    wait = retry_after_ms(view, body, further=[metadata] if is_sequence(metadata) else [])
    return Finding(category, cost, status, code, wait)


@remembered
def _is_rpc(kind: type) -> bool:
    """Tell gRPC's errors by the two methods that all of them have; ``grpc`` need not be installed."""
    return all(
        any(isinstance(vars(base).get(name), FunctionType) for base in kind.__mro__) for name in ("code", "details")
    )


def _metadata_of(error: Any) -> object:
    return [tuple(pair) for pair in error.trailing_metadata() or ()]
