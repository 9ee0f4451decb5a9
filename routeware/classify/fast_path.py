"""The fast path: whether an error fails over, by its status alone.

Most errors that a chain fails over on carry a status that decides by itself, whatever code or text comes with it. Then
nothing else need be read before the next link starts; the full classification is made when a record or a span wants it.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from routeware.classify.names import kind_of
from routeware.classify.reading import View
from routeware.classify.statuses import status_of
from routeware.errors import ErrorCategory

__all__ = ["failed_over_by_status"]

# Their classes say that there was no answer: a status beside them may be the SDK's own, and money may have been spent.
_UNSURE = frozenset(
    {
        ErrorCategory.TIMEOUT,
        ErrorCategory.TRANSIENT_NETWORK,
        ErrorCategory.SCHEMA_VALIDATION,
        ErrorCategory.EGRESS_BLOCKED,
    }
)


def failed_over_by_status(error: BaseException, taken: AbstractSet[int]) -> bool:
    """Tell whether a provider answered with a status of at least 400 that is failed over on in any case.

    ``True`` is certain: the full classification agrees that the error fails over, and that it cost nothing. ``False``
    says only that the status does not decide, and the error has to be classified.

    Args:
        error: what a provider function raised.
        taken: the policy's statuses, from ``statuses_taken``.
    """
    view = View(error)
    status = status_of(view)
    return status is not None and status >= 400 and status in taken and _is_an_answer(error, view)


def _is_an_answer(error: BaseException, view: View) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return False  # its leaves decide
    if isinstance(view.get("response"), BaseException):
        return False  # it knows better: a gRPC error under the status of google.api_core
    kind = kind_of(type(error))
    meaning = kind.meaning
    return not kind.proxy and (meaning is None or meaning.category not in _UNSURE)
