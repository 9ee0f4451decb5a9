"""Errors as providers raise them, for scripts: made anew for each attempt, and classified like any other.

Nothing in the classifier knows them. Each says what it means the way an SDK's error does: by a status, a code, or the
name of its class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from routeware.errors import ErrorCategory

__all__ = ["Fails", "ScriptedProviderError", "fails"]


class ScriptedProviderError(Exception):
    """A provider's failure, as a script plays it.

    Attributes:
        status_code: the HTTP status; absent where there was no answer.
        code: the provider's code; absent without one.
        response: where the ``Retry-After`` header is; absent without one.
    """

    def __init__(self, status: int | None = None, code: str | None = None, retry_after_ms: float | None = None) -> None:
        super().__init__("a scripted failure")
        if status is not None:
            self.status_code = status
        if code is not None:
            self.code = code
        if retry_after_ms is not None:
            self.response = _Response(retry_after_ms)


class _Response:
    def __init__(self, retry_after_ms: float) -> None:
        self.headers = {"retry-after-ms": f"{retry_after_ms:g}"}


class ScriptedTimeoutError(ScriptedProviderError, TimeoutError):
    """Passes for the built-in one, as the time-outs of most clients do."""


class ScriptedConnectionError(ScriptedProviderError, ConnectionError):
    """Passes for the built-in one."""


class ToolError(ScriptedProviderError):
    """Is known by its name."""


class ToolRejectedError(ScriptedProviderError):
    """Is known by its name."""


class EgressBlockedError(ScriptedProviderError):
    """Is known by its name."""


_Made = tuple[type[ScriptedProviderError], int | None, str | None]

_BY_CATEGORY: dict[ErrorCategory, _Made] = {
    ErrorCategory.TIMEOUT: (ScriptedTimeoutError, None, None),
    ErrorCategory.RATE_LIMIT: (ScriptedProviderError, 429, None),
    ErrorCategory.QUOTA: (ScriptedProviderError, 402, None),
    ErrorCategory.OVERLOADED: (ScriptedProviderError, 503, "overloaded"),
    ErrorCategory.SERVER_ERROR: (ScriptedProviderError, 500, None),
    ErrorCategory.TRANSIENT_NETWORK: (ScriptedConnectionError, None, None),
    ErrorCategory.AUTH: (ScriptedProviderError, 401, None),
    ErrorCategory.NOT_FOUND: (ScriptedProviderError, 404, None),
    ErrorCategory.BAD_REQUEST: (ScriptedProviderError, 400, None),
    ErrorCategory.CONTEXT_LENGTH: (ScriptedProviderError, 400, "context_length_exceeded"),
    ErrorCategory.CONTENT_POLICY: (ScriptedProviderError, 400, "content_filter"),
    ErrorCategory.SCHEMA_VALIDATION: (ScriptedProviderError, None, "schema_validation"),
    ErrorCategory.TOOL_ERROR: (ToolError, None, None),
    ErrorCategory.TOOL_REJECTED: (ToolRejectedError, None, None),
    ErrorCategory.EGRESS_BLOCKED: (EgressBlockedError, None, None),
    ErrorCategory.CIRCUIT_OPEN: (ScriptedProviderError, None, "circuit_open"),
    ErrorCategory.CANCELLED: (ScriptedProviderError, None, "cancelled"),
    ErrorCategory.GENERIC: (ScriptedProviderError, None, None),
}


@dataclass(frozen=True, eq=False)
class Fails:
    """A step that raises a new error at each attempt."""

    make: Callable[[], BaseException]


def fails(what: int | str | BaseException, *, code: str | None = None, retry_after_ms: float | None = None) -> Fails:
    """Make a step that fails.

    Args:
        what: an HTTP status (429), a category by name (``"rate_limit"``), or the exception to raise.
        code: the provider's code, such as ``"insufficient_quota"``.
        retry_after_ms: how long the provider asks to be left alone.

    Raises:
        ValueError: a status or a category that there is not; ``code`` or ``retry_after_ms`` with an exception.
    """
    if isinstance(what, BaseException):
        if code is not None or retry_after_ms is not None:
            raise ValueError("an exception brings its own code and Retry-After: give fails() the exception alone")
        return Fails(lambda: what)
    kind, status, own_code = _made_of(what)
    return Fails(lambda: kind(status, own_code if code is None else code, retry_after_ms))


def _made_of(what: int | str) -> _Made:
    if isinstance(what, str):
        known = {category.value: made for category, made in _BY_CATEGORY.items()}
        if what in known:
            return known[what]
        hint = {"rejected": "use @ask.accept", "budget_exceeded": "give the policy or a session a cap"}.get(what)
        raise ValueError(f"no provider fails with {what!r}: {hint or 'known are ' + ', '.join(known)}")
    if isinstance(what, bool) or not isinstance(what, int) or not 400 <= what <= 599:
        raise ValueError(f"fails() takes a status from 400 to 599, a category or an exception, not {what!r}")
    return ScriptedProviderError, what, None
