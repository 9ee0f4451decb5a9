"""Snapshots of errors: plain values, and a line that quotes no provider."""

from __future__ import annotations

import attrs

from routeware.errors import ErrorCategory

__all__ = ["ErrorSnapshot", "describe", "text_of"]

_TEXT_LIMIT = 256


@attrs.frozen(kw_only=True)
class ErrorSnapshot:
    """One error, as far as routing, money and telemetry need to know it.

    Attributes:
        category: what it means for routing.
        message: category, status, code and class of the error; its own text (cut at 256 characters) only where that was
            asked for.
        status: the HTTP status that the provider answered with.
        code: the provider's machine code.
        retry_after_ms: how long the provider asked to be left alone.
        may_have_cost: false where the provider answered with an error or was never reached.
    """

    category: ErrorCategory
    message: str
    status: int | None = None
    code: str | None = None
    retry_after_ms: float | None = None
    may_have_cost: bool = True


def describe(category: ErrorCategory, status: int | None, code: str | None, kind: str) -> str:
    """Write ``rate_limit 429 rate_limit_exceeded openai.RateLimitError``, without any text of the provider's."""
    parts: list[str] = [category]
    if status is not None:
        parts.append(str(status))
    if code is not None:
        parts.append(code)
    parts.append(kind)
    return " ".join(parts)


def text_of(error: BaseException, limit: int = _TEXT_LIMIT) -> str | None:
    """Read the error's own text, cut at ``limit`` characters; ``None`` if it has none or cannot give it."""
    try:
        return str.__str__(str(error))[:limit] or None
    except Exception:  # noqa: BLE001  an error that cannot be printed is still an error
        return None
