"""Codes of gRPC: an error that is asked for its code by a method, as ``grpc``, ``grpc.aio`` and ``xai-sdk`` raise it.

A gRPC code does not say who gave it. The client's own library reports a refused connection as UNAVAILABLE and its own
time-out as DEADLINE_EXCEEDED, in the same class as an answer of the server. Money hangs on the difference, and only the
text of the status shows it.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any, NamedTuple

from routeware.classify.closer import refined
from routeware.classify.code_words import meaning_of
from routeware.classify.codes import name_of_member
from routeware.classify.names import Cost
from routeware.classify.patterns import ignoring_case
from routeware.classify.reading import as_text, attempt, is_sequence, remembered
from routeware.errors import ErrorCategory

__all__ = ["RpcStatus", "headers_of_rpc", "rpc_status"]

_UNREACHED = ignoring_case(r"failed to connect|connection refused|errors? resolving|dns resolution|name resolution")
_BROKEN_OFF = ignoring_case(
    r"reset|closed|goaway|broken pipe|stream removed|rst_stream|\beof\b|keepalive|ping timeout|cancell?ed"
    r"|transport|larger than max|deserializ|serializing"
)
# The client gives these by itself, too: always, or where its text says that the connection or the answer broke.
_GIVEN_BY_TIMERS = frozenset({ErrorCategory.TIMEOUT, ErrorCategory.CANCELLED})
_GIVEN_BY_TRANSPORTS = frozenset({ErrorCategory.OVERLOADED, ErrorCategory.SERVER_ERROR, ErrorCategory.RATE_LIMIT})


class RpcStatus(NamedTuple):
    """The status of a gRPC call.

    Attributes:
        code: its name, such as ``UNAVAILABLE``.
        category: its meaning, by the code and the text of the status.
        cost: whether the call may have cost something.
    """

    code: str
    category: ErrorCategory
    cost: Cost


def rpc_status(error: BaseException) -> RpcStatus | None:
    """Read the status of a gRPC error; ``None`` for every other error."""
    if not _is_rpc(type(error)):
        return None
    code = name_of_member(attempt(_call_code, error))
    if code is None:
        return None
    text = as_text(attempt(_call_details, error)) or ""
    category = meaning_of(code).category or ErrorCategory.SERVER_ERROR
    cost = _cost(category, text)
    if code == "UNAVAILABLE" and (cost is Cost.POSSIBLE or _UNREACHED.search(text)):
        return RpcStatus(code, ErrorCategory.TRANSIENT_NETWORK, cost)
    return RpcStatus(code, refined(category, text), cost)


def headers_of_rpc(error: BaseException) -> list[object]:
    """Give the metadata of a gRPC error, where servers put ``retry-after``."""
    found = attempt(_call_metadata, error)
    return [found] if is_sequence(found) else []


def _cost(category: ErrorCategory, text: str) -> Cost:
    if _UNREACHED.search(text):
        return Cost.NONE
    local = category in _GIVEN_BY_TIMERS or (category in _GIVEN_BY_TRANSPORTS and _BROKEN_OFF.search(text) is not None)
    return Cost.POSSIBLE if local else Cost.NONE


_METHODS = ("code", "details")


@remembered
def _is_rpc(kind: type) -> bool:
    """Tell gRPC's errors by the two methods that all of them have; ``grpc`` need not be installed."""
    return all(any(isinstance(vars(base).get(name), FunctionType) for base in kind.__mro__) for name in _METHODS)


def _call_code(error: Any) -> object:
    return error.code()


def _call_details(error: Any) -> object:
    return error.details()


def _call_metadata(error: Any) -> object:
    return [tuple(pair) for pair in error.trailing_metadata() or ()]
