"""HTTP statuses: where errors keep them, and what they mean when no code says more."""

from __future__ import annotations

from routeware.classify.reading import View, as_int, entry, is_mapping
from routeware.errors import ErrorCategory

__all__ = ["as_status", "category_of_status", "status_of"]

_PLACES = ("status_code", "status", "http_status")
_MEANINGS = {
    400: ErrorCategory.BAD_REQUEST,
    401: ErrorCategory.AUTH,
    402: ErrorCategory.QUOTA,
    403: ErrorCategory.AUTH,
    404: ErrorCategory.NOT_FOUND,
    407: ErrorCategory.EGRESS_BLOCKED,  # the caller's own proxy asks who it is: the request never left
    408: ErrorCategory.TIMEOUT,
    410: ErrorCategory.NOT_FOUND,
    413: ErrorCategory.CONTEXT_LENGTH,
    422: ErrorCategory.BAD_REQUEST,
    425: ErrorCategory.SERVER_ERROR,  # "too early": the server would not take the request yet
    429: ErrorCategory.RATE_LIMIT,
    499: ErrorCategory.SERVER_ERROR,  # "client closed request", sent by a server that gave up on its own
    503: ErrorCategory.OVERLOADED,
    529: ErrorCategory.OVERLOADED,
}


def category_of_status(status: int) -> ErrorCategory | None:
    """Give the category of a status by itself; ``None`` below 400, where it is no error."""
    if status < 400:
        return None
    return _MEANINGS.get(status, ErrorCategory.BAD_REQUEST if status < 500 else ErrorCategory.SERVER_ERROR)


def status_of(error: View) -> int | None:
    """Find the status that an error carries, wherever it keeps it.

    An int ``code`` counts in the instance's own ``__dict__`` and as a constant of the class (``google.api_core``): as a
    property it is mostly a deprecated alias.
    """
    found = _of_object(error)
    if found is None:
        found = _of_response(error.get("response"))
    if found is None:
        found = _of_response(error.get("raw_response"))
    if found is None:
        found = as_status(error.own.get("code"))
    return as_status(error.constant("code")) if found is None else found


def _of_object(view: View) -> int | None:
    for name in _PLACES:
        if (found := view.get(name)) is not None and (status := as_status(found)) is not None:
            return status
    return None


def _of_response(response: object) -> int | None:
    if response is None:
        return None
    if is_mapping(response):
        return as_status(entry(response, "ResponseMetadata", "HTTPStatusCode"))
    return _of_object(View(response))


def as_status(value: object) -> int | None:
    """Take a whole number from 100 to 599 for a status, and nothing else."""
    number = None if value is None else as_int(value)
    return number if number is not None and 100 <= number <= 599 else None
