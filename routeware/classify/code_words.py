"""Codes and class names, read by their parts: one table from words to categories.

Providers spell one fact in many ways (``rate_limit_exceeded``, ``RateLimitReached``, ``TpmRateLimitExceeded``), and a
list of whole words is never complete. A code is therefore split into its parts, and the table below says which parts
mean what. The first row that matches decides, so the order matters: a word that names a rate is a rate limit whatever
else it says, because a throttled account is not an empty one.

To teach routeware a new kind of error, add the part to its row, and a line to the tests' table.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from routeware.classify.patterns import Pattern
from routeware.classify.statuses import category_of_status
from routeware.errors import ErrorCategory

__all__ = ["NO_MEANING", "WordMeaning", "meaning_of", "parts_of"]


class WordMeaning(NamedTuple):
    """The meaning of one code.

    Attributes:
        category: the category that it names; ``None`` if the word is unknown.
        specific: it says more than a status does. ``invalid_request_error`` comes with 400, 401, 404 and 429 alike.
        passing: a quota that may fill again. With a time to wait next to it, it is a rate limit.
    """

    category: ErrorCategory | None = None
    specific: bool = False
    passing: bool = False


NO_MEANING = WordMeaning()


def _specific(category: ErrorCategory, *, passing: bool = False) -> WordMeaning:
    return WordMeaning(category, specific=True, passing=passing)


_ENDING = r"(?: ?(?:error|exception|fault))*\Z"

_BAD = r"(?:invalid|incorrect|wrong|bad|missing|expired|revoked|disabled)"

_MONEY_IS_GONE = (
    r"insufficient ?(?:credits?|balance|funds)",
    r"credits? ?(?:balance|exhausted|depleted|limit|required|expired)",
    r"(?:no|not ?enough|out ?of|low) ?(?:credits?|balance|funds)",
    r"balance ?(?:exhausted|depleted|too ?low|not ?enough)",
    r"billing",
    r"payment ?(?:required|overdue|failed|past ?due)",
    r"\bspend(?:ing)?\b|spend ?limit",
    r"arrear|overdue|prepaid|not ?purchased|resource ?pack|top ?up|recharge",
    r"budget ?(?:limit ?)?(?:exceeded|reached|exhausted)|(?:over|exceeded) ?budget",
)
_QUOTA_THAT_MAY_FILL = (
    r"quota",
    r"(?:usage|hard|monthly) ?limit",
    r"free ?(?:tier|trial)",
    r"trial ?(?:expired|ended)",
)

_ROWS: tuple[tuple[WordMeaning, tuple[str, ...]], ...] = (
    (_specific(ErrorCategory.CIRCUIT_OPEN), (r"circuit ?(?:breaker ?)?open",)),
    (
        _specific(ErrorCategory.RATE_LIMIT),
        (
            r"\brate ?(?:limit|exceeded|quota)|ratelimit|burst ?rate|slow ?down|too ?fast",
            r"throttl",
            r"too ?many ?(?:requests|calls|connections)",
            r"\b[rt]p[smd]\b|\bqp[sm]\b|per ?(?:second|minute|min|hour|day)\b",
            r"(?:request|concurrency|concurrent ?requests?|connection|throughput)s? ?(?:limit|exceeded)",
        ),
    ),
    (_specific(ErrorCategory.QUOTA), _MONEY_IS_GONE),
    # Behind the money that is gone: a "credit quota exhausted" does not fill again.
    (_specific(ErrorCategory.QUOTA, passing=True), _QUOTA_THAT_MAY_FILL),
    (
        _specific(ErrorCategory.CONTENT_POLICY),
        (
            r"content ?(?:filter|policy|moderation|safety|risk|violat|blocked)",
            r"(?:prohibited|inappropriate|harmful|unsafe) ?content|\bsensitive(?! ?data)",
            r"moderation|moderated|data ?inspection|responsible ?ai|guardrail|jailbreak|recitation",
            r"\bsafety\b|\bspii\b|block ?list|\bflagged\b|(?:usage|safety|ai) ?policy",
            r"invalid ?prompt\b|prompt ?(?:blocked|rejected)|blocked ?prompt|\brefusal\b",
        ),
    ),
    (
        _specific(ErrorCategory.CONTEXT_LENGTH),
        (
            r"context ?(?:length|window|size|limit)|(?:exceed\w*|overflow\w*) ?(?:max ?)?(?:context|prompt|input)",
            r"(?:context|prompt|input|messages?|tokens?)(?: \w+)?? ?(?:too ?(?:long|large|big|many)|exceed|overflow)",
            r"(?:prompt|input|token)s? ?(?:length ?|tokens? ?|count ?)?limit",
            r"too ?many ?(?:input ?|prompt ?)?(?:tokens|messages)",
            r"(?:request|payload|content|entity|body)(?: body)? ?too ?(?:long|large|big)",
        ),
    ),
    (
        _specific(ErrorCategory.OVERLOADED),
        (
            r"overload|no ?capacity|(?:at|over) ?capacity|capacity ?exceeded|\bbusy\b",
            r"model ?not ?ready|model ?(?:is ?)?loading",
            rf"(?:\A|service|server|model|engine|temporarily|backend|upstream) ?unavailable{_ENDING}",
        ),
    ),
    (_specific(ErrorCategory.TIMEOUT), (r"time ?out|timed ?out|deadline ?exceeded",)),
    (
        _specific(ErrorCategory.SCHEMA_VALIDATION),
        (r"json ?validate ?failed|invalid ?json ?schema|json ?schema ?invalid|schema ?validation",),
    ),
    (_specific(ErrorCategory.TOOL_ERROR), (r"tool ?use ?failed",)),
    (
        _specific(ErrorCategory.AUTH),
        (
            r"authenticat|unauthori[sz]ed|not ?authori[sz]ed|permission|access ?denied|\Aforbidden",
            rf"{_BAD} ?(?:api ?|access ?|secret ?)?(?:key|credential)",
            rf"{_BAD} ?(?:security ?|access ?|client ?|auth ?|bearer ?)?token(?: ?id)?{_ENDING}",
            r"token ?expired|api ?key ?(?:invalid|expired|revoked|missing|not ?valid|disabled)",
            r"(?:invalid|incomplete) ?signature|signature ?does ?not ?match|unrecognized ?client",
            r"missing ?authentication ?token|account ?deactivated",
        ),
    ),
    (
        _specific(ErrorCategory.NOT_FOUND),
        (
            r"(?:\A|model|resource|deployment|endpoint|engine|route) ?not ?(?:found|exist)",
            r"model ?(?:decommissioned|deprecated|retired)",
        ),
    ),
    (_specific(ErrorCategory.SERVER_ERROR), (rf"\Amodel ?(?:stream ?)?error{_ENDING}",)),
)
_PATTERNS = tuple((meaning, Pattern(*patterns)) for meaning, patterns in _ROWS)

# A setting of the request: its name says what is limited, and the code that the value is wrong.
_OF_A_SETTING = Pattern(r"\b(?:invalid|unsupported|unknown) ?time ?out|(?:output|completion) ?tokens?|case ?sensitive")

_VAGUE: dict[ErrorCategory, str] = {
    # Google's word for any limit: that of a minute, and that of a spent account.
    ErrorCategory.RATE_LIMIT: "resourceexhausted",
    ErrorCategory.SERVER_ERROR: """
        api server internal internalserver internalfailure internalservice upstream badgateway dataloss backend
        unknown aborted unimplemented""",
    ErrorCategory.BAD_REQUEST: """
        badrequest invalidrequest invalidargument invalidparameter invalidparametervalue invalidvalue validation
        unprocessableentity failedprecondition outofrange alreadyexists""",
    ErrorCategory.CANCELLED: "cancelled canceled",
}
_VAGUE_WORDS = {word: category for category, words in _VAGUE.items() for word in words.split()}


_BOUNDARY = Pattern(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LAST = Pattern(_ENDING)


@lru_cache(maxsize=1024)
def meaning_of(word: str) -> WordMeaning:
    """Read a code or a class name by its parts."""
    if word.isdecimal() and len(word) == 3:
        return WordMeaning(category_of_status(int(word)))
    parts = parts_of(word)
    if not _OF_A_SETTING.search(parts):
        for meaning, pattern in _PATTERNS:
            if pattern.search(parts):
                return meaning
    return WordMeaning(_VAGUE_WORDS.get(_LAST.compiled.sub("", parts).replace(" ", "")))


def parts_of(word: str) -> str:
    """Split a word where its case changes and where it has no letters: ``RateLimit.Hit`` gives ``rate limit hit``."""
    return " ".join([part for part in _BOUNDARY.compiled.split(word) if part]).lower()
