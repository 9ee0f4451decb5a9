"""The fast path: whether an error fails over, by its status alone.

Most errors that a chain fails over on carry a status that decides by itself, whatever code or text comes with it. Then
nothing else need be read before the next link starts; the full classification is made when a record or a span wants it.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from routeware.classify.chain import has_more_behind
from routeware.classify.names import kind_of
from routeware.classify.reading import View, defines, remembered
from routeware.classify.statuses import status_of
from routeware.errors import ErrorCategory

__all__ = ["failed_over_by_status"]

# Their classes say that there was no answer: a status next to them may be the SDK's own, and money may have been spent.
_UNSURE = frozenset(
    {
        ErrorCategory.TIMEOUT,
        ErrorCategory.TRANSIENT_NETWORK,
        ErrorCategory.SCHEMA_VALIDATION,
        ErrorCategory.EGRESS_BLOCKED,
    }
)


_CAUSE = vars(BaseException)["__cause__"].__get__
_CONTEXT = vars(BaseException)["__context__"].__get__


def failed_over_by_status(error: BaseException, taken: AbstractSet[int]) -> bool:
    """Tell whether a provider answered with a status of at least 400 that is failed over on in any case.

    ``True`` is certain: the full classification agrees that the error fails over, and that it cost nothing. ``False``
    says only that the status does not decide, and the error has to be classified.

    Args:
        error: what a provider function raised.
        taken: the policy's statuses, from ``statuses_taken``.
    """
    is_sure, is_plain = _type_of(type(error))
    # An error behind may know better: the answer that was lost behind a wrapper's status.
    if not is_sure or _CAUSE(error) is not None or (_CONTEXT(error) is not None and has_more_behind(error)):
        return False
    if is_plain:
        # The commonest places, where the class has nothing to add: a third of the time that the careful way takes.
        own = error.__dict__
        status = own.get("status_code")
        if type(status) is int and status in taken:
            return status >= 400 and not isinstance(own.get("response"), BaseException)
    view = View(error)
    found = status_of(view) or 0
    # Google's older clients keep the gRPC error there, which knows better, too.
    return found in taken and found >= 400 and not isinstance(view.get("response"), BaseException)


@remembered
def _type_of(kind: type) -> tuple[bool, bool]:
    """Say whether a status of such an error is the provider's, and whether its response, if any, is in the instance."""
    known = kind_of(kind)
    unsure = known.proxy or (known.meaning is not None and known.meaning.category in _UNSURE)
    is_sure = not unsure and not issubclass(kind, BaseExceptionGroup)
    return is_sure, not defines(kind, "response", "__dict__", "__getattribute__")
