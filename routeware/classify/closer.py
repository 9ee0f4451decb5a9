"""The sources that are more precise than a coarse status: a code, a class name, a text."""

from __future__ import annotations

from routeware.classify.codes import Code
from routeware.classify.names import Meaning
from routeware.classify.texts import names_a_throttle, refined_by_text, soon
from routeware.errors import ErrorCategory

__all__ = ["category_of_code", "closer_category", "refined"]

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
# The HTTP status that a category stands for, so that its texts are read as those of an HTTP answer.
_AS_STATUS = {
    ErrorCategory.BAD_REQUEST: 400,
    ErrorCategory.AUTH: 403,
    ErrorCategory.RATE_LIMIT: 429,
}


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
        return _quota_or_throttle(code, wait_ms, text) or by_status
    name = None if by_class is None else by_class.category
    if name is not None and _says_more(name, status, by_status):
        return name
    if code is not None and code.category is ErrorCategory.RATE_LIMIT and by_status in _COARSE:
        by_status = ErrorCategory.RATE_LIMIT  # Google's RESOURCE_EXHAUSTED, which a gateway sends with any status
    return refined_by_text(status, text, throttled=soon(wait_ms)) or by_status


def category_of_code(code: Code, wait_ms: float | None, text: str) -> ErrorCategory | None:
    """Give the category of a code that came without a status. A vague one leaves the word to the text."""
    found = _quota_or_throttle(code, wait_ms, text)
    if found is None or (code.specific and found is not ErrorCategory.AUTH):
        return found
    return refined(found, text, throttled=soon(wait_ms))


def refined(category: ErrorCategory, text: str, *, throttled: bool = False) -> ErrorCategory:
    """Find a closer category in the text that came with a code, as if it had come with the HTTP status for it."""
    return refined_by_text(_AS_STATUS.get(category, 0), text, throttled=throttled) or category


def _quota_or_throttle(code: Code, wait_ms: float | None, text: str) -> ErrorCategory | None:
    """Give the category of a code. A quota that may fill again is a rate limit if a rate or a short wait is named."""
    throttled = code.passing and (soon(wait_ms) or names_a_throttle(text))
    return ErrorCategory.RATE_LIMIT if throttled else code.category


def _says_more_than(status: int, by_status: ErrorCategory, code: Code) -> bool:
    if status == 429 and code.category is ErrorCategory.CONTEXT_LENGTH:
        return False  # tokens that are too many under 429 are those of a minute, not those of one prompt
    # "permission_error" only repeats a 403, and leaves the word to the text; "rate_limit_error" is not to be refined.
    return not code.category is by_status is ErrorCategory.AUTH


def _says_more(name: ErrorCategory, status: int, by_status: ErrorCategory) -> bool:
    if name is ErrorCategory.QUOTA and by_status is ErrorCategory.RATE_LIMIT:
        return True
    if status == 498 and name is ErrorCategory.AUTH:
        return True  # an invalid token for one provider, lack of capacity for another; the class knows
    return by_status in _COARSE and name not in _REPEAT_A_STATUS
