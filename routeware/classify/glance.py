"""The status of the commonest errors, read at a glance.

Most errors that a chain fails over on carry their status as a plain attribute of the instance. Whether the next link
is tried, and that the attempt cost nothing, follows from the status alone; what else the error says is only asked for
when somebody reads a record or a span.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

__all__ = ["failed_over_by_status"]

_NOT_THERE = object()


def failed_over_by_status(error: BaseException, taken: AbstractSet[int]) -> bool:
    """Whether ``error`` was answered with a status of at least 400 that is among those failed over on in any case.

    ``False`` says nothing: the error has to be classified.
    """
    if isinstance(error, BaseExceptionGroup):
        return False  # what it means is for its leaves to say
    try:
        own = error.__dict__
    except Exception:  # noqa: BLE001 - a foreign property
        return False
    if type(own) is not dict:
        return False
    status = own.get("status_code", _NOT_THERE)
    if status is _NOT_THERE and not hasattr(type(error), "status_code"):
        status = own.get("status")
    return type(status) is int and 400 <= status <= 599 and status in taken
