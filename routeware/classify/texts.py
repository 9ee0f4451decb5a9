"""Text, the last resort: what an error says in prose where nothing structured was found, or a status is too coarse."""

from __future__ import annotations

import re

from routeware.classify.reading import View, as_text
from routeware.classify.statuses import category_of_status
from routeware.errors import ErrorCategory

__all__ = ["LONGEST", "category_in_text", "refined_by_text", "status_in_text", "words_of"]

LONGEST = 2_048
_STATUS = re.compile(
    r"(?i:\b(?:http(?:/\d(?:\.\d)?)?(?:[ _](?:error|status))?|status|error)(?:[ _]code)?[\s:=]{1,3})([45]\d\d)\b"
    r"|^\W?([45]\d\d)(?=\s+[A-Z]|\s*$|[:,)])",
    re.ASCII,
)
_QUOTA = (
    ErrorCategory.QUOTA,
    re.compile(
        r"credit balance|insufficient_quota|billing[_ ]hard[_ ]limit|insufficient (?:credits|balance)", re.IGNORECASE
    ),
)
_CONTEXT_LENGTH = (
    ErrorCategory.CONTEXT_LENGTH,
    re.compile(
        r"context_length_exceeded|context (?:length|window)|(?:prompt|input) is too long"
        r"|exceeds the maximum number of tokens",
        re.IGNORECASE,
    ),
)
_RATE_LIMIT = (ErrorCategory.RATE_LIMIT, re.compile(r"rate[ -]limit|too many requests", re.IGNORECASE))
_REFINED = {400: (_QUOTA, _CONTEXT_LENGTH), 422: (_QUOTA, _CONTEXT_LENGTH), 429: (_QUOTA,)}


def words_of(view: View, arguments: tuple[object, ...]) -> str:
    """The strings that an error was made with. Its ``__str__`` is not called: it is slow, and may do anything."""
    values = (*arguments[:4], view.get("message"))
    return " ".join([text[:LONGEST] for value in values if value is not None and (text := as_text(value)) is not None])


def refined_by_text(status: int, view: View, arguments: tuple[object, ...]) -> ErrorCategory | None:
    """A closer category than the status alone gives: some answer 400 where the credit ran out, without a code."""
    phrases = _REFINED.get(status)
    return None if phrases is None else _phrase(words_of(view, arguments), phrases)


def status_in_text(text: str) -> int | None:
    """The error status in ``HTTP 429 ...``, ``Error code: 500`` or ``503 Service Unavailable``."""
    found = _STATUS.search(text)
    return int(found[1] or found[2]) if found else None


def category_in_text(text: str, status: int | None) -> ErrorCategory | None:
    """What a few well-known phrases mean, and where there are none, the status found in the text."""
    if status is None:
        return _phrase(text, (_QUOTA, _CONTEXT_LENGTH, _RATE_LIMIT))
    return _phrase(text, (_QUOTA, _CONTEXT_LENGTH)) or category_of_status(status)


def _phrase(text: str, phrases: tuple[tuple[ErrorCategory, re.Pattern[str]], ...]) -> ErrorCategory | None:
    for category, pattern in phrases:
        if text and pattern.search(text):
            return category
    return None
