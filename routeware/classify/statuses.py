"""HTTP statuses: where errors keep them, and what they mean when no code says more."""

from __future__ import annotations

from routeware.classify.reading import View, as_int, entry, is_mapping
from routeware.errors import ErrorCategory

__all__ = ["category_of_status", "status_of"]

_MEANINGS = {
    400: ErrorCategory.BAD_REQUEST,
    401: ErrorCategory.AUTH,
    402: ErrorCategory.QUOTA,
    403: ErrorCategory.AUTH,
    404: ErrorCategory.NOT_FOUND,
    408: ErrorCategory.TIMEOUT,
    410: ErrorCategory.NOT_FOUND,
    413: ErrorCategory.CONTEXT_LENGTH,
    422: ErrorCategory.BAD_REQUEST,
    429: ErrorCategory.RATE_LIMIT,
    503: ErrorCategory.OVERLOADED,
    529: ErrorCategory.OVERLOADED,
}


def category_of_status(status: int) -> ErrorCategory | None:
    """What a status means by itself; ``None`` below 400, where it is no error."""
    if status < 400:
        return None
    return _MEANINGS.get(status, ErrorCategory.BAD_REQUEST if status < 500 else ErrorCategory.SERVER_ERROR)


def status_of(error: View) -> int | None:
    """The status that an error carries, wherever it keeps it.

    An int ``code`` counts only in the instance's own ``__dict__``: as a property it is mostly a deprecated alias.
    """
    found = _of_object(error)
    if found is None:
        found = _of_response(error.get("response"))
    if found is None:
        found = _of_response(error.get("raw_response"))
    return _as_status(error.own.get("code")) if found is None else found


def _of_object(view: View) -> int | None:
    found = _as_status(view.get("status_code"))
    return _as_status(view.get("status")) if found is None else found


def _of_response(response: object) -> int | None:
    if response is None:
        return None
    if is_mapping(response):
        return _as_status(entry(response, "ResponseMetadata", "HTTPStatusCode"))
    return _of_object(View(response))


def _as_status(value: object) -> int | None:
    number = None if value is None else as_int(value)
    return number if number is not None and 100 <= number <= 599 else None
