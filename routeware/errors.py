"""Everything routeware raises, and the names it gives to the ways a provider can fail.

RoutewareError
├── PolicyError(ValueError)             a policy that cannot mean anything; names the key and the value
├── BudgetExceededError                 the next attempt might cost more than is left
├── LedgerUnavailableError              the ledger could not be asked
├── AttemptTimeoutError(TimeoutError)   one attempt ran out of its own time
├── DeadlineExceededError(TimeoutError) the whole call ran out of time
├── ResultRejectedError                 ``accept`` turned the result down
├── ProviderCancelledError              a provider raised CancelledError by itself
├── ExhaustedError                      every link failed (only with ``wrap_errors=True``)
├── NoSessionError                      a policy has ``session_usd`` and no session is open
├── SessionClosedError                  the session was left before this call
├── StreamTruncatedError(ConnectionError)  a stream ended by itself without its last item
└── StreamClosedError                   an item was asked for of a stream that was cut off

All of them pickle: they carry plain values, and are rebuilt without running their constructors.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

__all__ = [
    "CATEGORY_ALIASES",
    "DEFAULT_KINDS",
    "AttemptTimeoutError",
    "BudgetExceededError",
    "DeadlineExceededError",
    "ErrorCategory",
    "ExhaustedError",
    "LedgerUnavailableError",
    "NoSessionError",
    "PolicyError",
    "ProviderCancelledError",
    "ResultRejectedError",
    "RoutewareError",
    "SessionClosedError",
    "StreamClosedError",
    "StreamTruncatedError",
]


class ErrorCategory(StrEnum):
    """The meaning of an exception for routing: the closed set that the engine decides by."""

    TIMEOUT = "timeout"
    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    TRANSIENT_NETWORK = "transient_network"
    AUTH = "auth"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    CONTEXT_LENGTH = "context_length"
    CONTENT_POLICY = "content_policy"
    SCHEMA_VALIDATION = "schema_validation"
    TOOL_ERROR = "tool_error"
    TOOL_REJECTED = "tool_rejected"
    EGRESS_BLOCKED = "egress_blocked"
    CIRCUIT_OPEN = "circuit_open"
    BUDGET_EXCEEDED = "budget_exceeded"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    GENERIC = "generic"


CATEGORY_ALIASES: dict[str, ErrorCategory] = {
    "transient": ErrorCategory.TRANSIENT_NETWORK,
    "network": ErrorCategory.TRANSIENT_NETWORK,
    "provider_error": ErrorCategory.SERVER_ERROR,
    "provider_5xx": ErrorCategory.SERVER_ERROR,
}
"""Other spellings of one category, as ``failover.on_error_kinds`` takes them."""

DEFAULT_KINDS = ("default", "any")
"""Words in ``failover.on_error_kinds`` that mean many categories: the default ones, and all."""


class RoutewareError(Exception):
    """The root of everything routeware raises by itself."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self._state())

    def _state(self) -> dict[str, Any]:
        """Return what travels with a pickled copy: every attribute, because all are plain values."""
        return dict(vars(self))


def _rebuild(kind: type[RoutewareError], args: tuple[Any, ...], state: dict[str, Any]) -> RoutewareError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(state)
    return error


class PolicyError(RoutewareError, ValueError):
    """A policy that cannot mean anything.

    Attributes:
        key: the setting at fault, as a path (``chain[1].timeout_ms``); ``None`` if there is no single one.
        problem: what is wrong with it, and what would be right.
    """

    def __init__(self, problem: str, *, key: str | None = None) -> None:
        super().__init__(f"{key}: {problem}" if key else problem)
        self.key = key
        self.problem = problem


class BudgetExceededError(RoutewareError):
    """The next attempt might cost more than is left; nothing was started for it.

    Attributes:
        kind: ``per_call`` (the policy's cap on one call) or ``session``.
        limit_usd: the cap that would be passed.
        projected_usd: the most that the attempt was expected to cost.
        committed_usd: what was settled, uncertain and reserved under that cap at that moment.
        session_name: the session whose cap it is; ``None`` for a nameless one and for ``per_call``.
        label: the link that was refused; ``None`` if a ledger was asked directly.
    """

    def __init__(
        self,
        *,
        kind: Literal["per_call", "session"],
        limit_usd: float,
        projected_usd: float,
        committed_usd: float,
        session_name: str | None = None,
        label: str | None = None,
    ) -> None:
        where = "this call" if kind == "per_call" else f"session {session_name!r}" if session_name else "the session"
        what = label if label is not None else "the next attempt"
        super().__init__(
            f"{what} may cost ${projected_usd:.6f}, and {where} has committed ${committed_usd:.6f}"
            f" of its ${limit_usd:.6f}"
        )
        self.kind = kind
        self.limit_usd = limit_usd
        self.projected_usd = projected_usd
        self.committed_usd = committed_usd
        self.session_name = session_name
        self.label = label

    def about(self, label: str) -> BudgetExceededError:
        """Return the same refusal with the link that was refused, which a ledger does not know."""
        return BudgetExceededError(
            kind=self.kind,
            limit_usd=self.limit_usd,
            projected_usd=self.projected_usd,
            committed_usd=self.committed_usd,
            session_name=self.session_name,
            label=label,
        )


class LedgerUnavailableError(RoutewareError):
    """The ledger could not be reached, so it is unknown whether the money is there."""


class AttemptTimeoutError(RoutewareError, TimeoutError):
    """One attempt ran out of its own time.

    Attributes:
        label: the link that was tried.
        timeout_ms: the time that the attempt had.
        items: after how many items a stream stalled; ``None`` if the attempt had not answered.
    """

    def __init__(self, label: str, timeout_ms: float, items: int | None = None) -> None:
        stalled = f"stalled for {timeout_ms:g} ms after {items} items"
        super().__init__(f"{label} {f'did not answer within {timeout_ms:g} ms' if items is None else stalled}")
        self.label = label
        self.timeout_ms = timeout_ms
        self.items = items


class DeadlineExceededError(RoutewareError, TimeoutError):
    """The whole call ran out of time (``latency.deadline_ms``), or a stream had no first item in time.

    Attributes:
        deadline_ms: the time that the call had: ``deadline_ms``, or ``first_item_deadline_ms``.
    """

    def __init__(self, deadline_ms: float) -> None:
        super().__init__(f"no answer within the call's deadline of {deadline_ms:g} ms")
        self.deadline_ms = deadline_ms


class ResultRejectedError(RoutewareError):
    """``accept`` turned down the last result.

    Attributes:
        label: the link that gave it.
        result: the result itself: not closed, not in the text, and dropped by pickle.
    """

    def __init__(self, label: str, result: object) -> None:
        super().__init__(f"the result of {label} was not accepted")
        self.label = label
        self.result = result

    def _state(self) -> dict[str, Any]:
        return {**vars(self), "result": None}


class ProviderCancelledError(RoutewareError):
    """A provider function raised ``CancelledError`` without having been cancelled.

    Raised in its place, because a CancelledError would pass for the caller's own cancellation.

    Attributes:
        label: the link whose provider did so.
    """

    def __init__(self, label: str) -> None:
        super().__init__(f"{label} raised CancelledError without having been cancelled")
        self.label = label


class ExhaustedError(RoutewareError):
    """Every link failed; the last provider error is the cause. Only with ``wrap_errors=True``.

    Attributes:
        labels: the links that were tried, in order.
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        super().__init__(f"no link gave an answer: tried {', '.join(labels)}")
        self.labels = labels


class NoSessionError(RoutewareError):
    """A policy caps the session (``budget.session_usd``) and no session is open."""


class SessionClosedError(RoutewareError):
    """The session that this call would be booked in was left before the call started."""


class StreamTruncatedError(RoutewareError, ConnectionError):
    """A stream ended by itself, and no item had said that the answer is complete (see ``@ask.last_item``).

    Attributes:
        label: the link whose stream it is.
        items: how many items its reader had got.
    """

    def __init__(self, label: str, items: int) -> None:
        super().__init__(f"the stream of {label} ended after {items} items without its last one")
        self.label = label
        self.items = items


class StreamClosedError(RoutewareError):
    """An item was asked for of a stream that was cut off: what was read is not all of it."""
