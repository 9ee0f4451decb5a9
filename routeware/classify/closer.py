"""The sources that are more precise than a coarse status: a code, a class name, a text."""

from __future__ import annotations

from routeware.classify.codes import Code
from routeware.classify.names import Meaning
from routeware.classify.texts import names_a_throttle, refined_by_text, soon
from routeware.errors import ErrorCategory

__all__ = ["closer_category", "quota_or_throttle"]

_COARSE = frozenset({ErrorCategory.BAD_REQUEST, ErrorCategory.AUTH, ErrorCategory.SERVER_ERROR})
# Names that repeat a status (``BadRequestError``, ``InternalServerError``) say nothing that it does not.
_REPEAT_A_STATUS = frozenset(
    {
        ErrorCategory.BAD_REQUEST,
        ErrorCategory.AUTH,
        ErrorCategory.NOT_FOUND,
        ErrorCategory.SERVER_ERROR,
        ErrorCategory.CANCELLED,
    }
)


def closer_category(
    status: int,
    by_status: ErrorCategory,
    code: Code | None,
    by_class: Meaning | None,
    text: str,
    *,
    wait_ms: float | None,
) -> ErrorCategory:
    """Choose the category of an answer: by its code, else the class of the error, else its text, else its status."""
    if code is not None and code.specific and _says_more_than(status, by_status, code):
        return quota_or_throttle(code, wait_ms, text) or by_status
    name = None if by_class is None else by_class.category
    if name is not None and _says_more(name, by_status):
        return name
    if code is not None and code.category is ErrorCategory.RATE_LIMIT and by_status in _COARSE:
        by_status = ErrorCategory.RATE_LIMIT  # Google's RESOURCE_EXHAUSTED, which a gateway sends with any status
    return refined_by_text(status, text, throttled=soon(wait_ms)) or by_status


def quota_or_throttle(code: Code, wait_ms: float | None, text: str = "") -> ErrorCategory | None:
    """Give the category of a code. A quota that may fill again is a rate limit if a rate or a short wait is named."""
    throttled = code.passing and (soon(wait_ms) or names_a_throttle(text))
    return ErrorCategory.RATE_LIMIT if throttled else code.category


def _says_more_than(status: int, by_status: ErrorCategory, code: Code) -> bool:
    if status == 429 and code.category is ErrorCategory.CONTEXT_LENGTH:
        return False  # tokens that are too many under 429 are those of a minute, not those of one prompt
    # "permission_error" only repeats a 403, and leaves the word to the text; "rate_limit_error" is not to be refined.
    return not code.category is by_status is ErrorCategory.AUTH


def _says_more(name: ErrorCategory, by_status: ErrorCategory) -> bool:
    if name is ErrorCategory.QUOTA and by_status is ErrorCategory.RATE_LIMIT:
        return True
    return by_status in _COARSE and name not in _REPEAT_A_STATUS
