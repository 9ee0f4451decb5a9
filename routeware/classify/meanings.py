"""Tables of the meanings of HTTP statuses and machine codes.

Providers spell one fact in many ways (``rate_limit_exceeded``, ``RateLimitReached``, ``TpmRateLimitExceeded``), and a
list of whole words is never complete. A code is therefore split into its parts, and the second table says which parts
mean what. The first row that matches decides, so the order matters: a word that names a rate is a rate limit whatever
else it says, because a throttled account is not an empty one.

To teach routeware a new kind of error, add the part to its row, and a line to the tests' table.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from routeware.classify.reading import Pattern, View, as_int, entry, is_mapping
from routeware.errors import ErrorCategory

__all__ = ["Code", "as_status", "category_of_status", "meaning_of", "parts_of", "status_of"]

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


class Code(NamedTuple):
    """One machine code, or a class name that is read as one.

    Attributes:
        category: its meaning, where it has one.
        specific: it says more than a status does. ``invalid_request_error`` comes with 400, 401, 404 and 429 alike.
        passing: a quota that may fill again. With a time to wait next to it, it is a rate limit.
        text: the code where it may be shown.
        local: the client made it up when no answer came.
        numbered: it is one of JSON-RPC's, each of which means many things.
    """

    category: ErrorCategory | None = None
    specific: bool = False
    passing: bool = False
    text: str | None = None
    local: bool = False
    numbered: bool = False


def _row(category: ErrorCategory, *patterns: str, passing: bool = False) -> tuple[Code, Pattern]:
    return Code(category, specific=True, passing=passing), Pattern(*patterns)


_ENDING = r"(?: ?(?:error|exception|fault))*\Z"

_BAD = r"(?:invalid|incorrect|wrong|bad|missing|expired|revoked|disabled)"


_ROWS: tuple[tuple[Code, Pattern], ...] = (
    _row(
        ErrorCategory.CIRCUIT_OPEN,
        r"circuit ?(?:breaker ?)?open",
    ),
    _row(
        ErrorCategory.RATE_LIMIT,
        r"\brate ?(?:limit|exceeded|quota)|ratelimit|burst ?rate|slow ?down|too ?fast",
        r"throttl",
        r"too ?many ?(?:requests|calls|connections)",
        r"\b[rt]p[smd]\b|\bqp[sm]\b|per ?(?:second|minute|min|hour|day)\b",
        r"(?:request|concurrency|concurrent ?requests?|connection|throughput)s? ?(?:limit|exceeded)",
    ),
    _row(
        ErrorCategory.QUOTA,
        r"insufficient ?(?:credits?|balance|funds)",
        r"credits? ?(?:balance|exhausted|depleted|limit|required|expired)",
        r"(?:no|not ?enough|out ?of|low) ?(?:credits?|balance|funds)",
        r"balance ?(?:exhausted|depleted|too ?low|not ?enough)",
        r"billing",
        r"payment ?(?:required|overdue|failed|past ?due)",
        r"\bspend(?:ing)?\b|spend ?limit",
        r"arrear|overdue|prepaid|not ?purchased|resource ?pack|top ?up|recharge",
        r"budget ?(?:limit ?)?(?:exceeded|reached|exhausted)|(?:over|exceeded) ?budget",
    ),
    # Behind the money that is gone: a "credit quota exhausted" does not fill again.
    _row(
        ErrorCategory.QUOTA,
        r"quota",
        r"(?:usage|hard|monthly) ?limit",
        r"free ?(?:tier|trial)",
        r"trial ?(?:expired|ended)",
        passing=True,
    ),
    _row(
        ErrorCategory.CONTENT_POLICY,
        r"content ?(?:filter|policy|moderation|safety|risk|violat|blocked)",
        r"(?:prohibited|inappropriate|harmful|unsafe) ?content|\bsensitive(?! ?data)",
        r"moderation|moderated|data ?inspection|responsible ?ai|guardrail|jailbreak|recitation",
        r"\bsafety\b|\bspii\b|block ?list|\bflagged\b|(?:usage|safety|ai) ?policy",
        r"invalid ?prompt\b|prompt ?(?:blocked|rejected)|blocked ?prompt|\brefusal\b",
    ),
    _row(
        ErrorCategory.CONTEXT_LENGTH,
        r"context ?(?:length|window|size|limit)|(?:exceed\w*|overflow\w*) ?(?:max ?)?(?:context|prompt|input)",
        r"(?:context|prompt|input|messages?|tokens?)(?: \w+)?? ?(?:too ?(?:long|large|big|many)|exceed|overflow)",
        r"(?:prompt|input|token)s? ?(?:length ?|tokens? ?|count ?)?limit",
        r"too ?many ?(?:input ?|prompt ?)?(?:tokens|messages)",
        r"(?:request|payload|content|entity|body)(?: body)? ?too ?(?:long|large|big)",
    ),
    _row(
        ErrorCategory.OVERLOADED,
        r"overload|no ?capacity|(?:at|over) ?capacity|capacity ?exceeded|\bbusy\b",
        r"(?:model|deployment|endpoint) ?not ?ready|model ?(?:is ?)?loading",
        rf"(?:\A|service|server|model|engine|temporarily|backend|upstream) ?unavailable{_ENDING}",
    ),
    _row(
        ErrorCategory.TIMEOUT,
        r"time ?out|timed ?out|deadline ?exceeded",
    ),
    _row(
        ErrorCategory.SCHEMA_VALIDATION,
        r"json ?validate ?failed|invalid ?json ?schema|json ?schema ?invalid|schema ?validation",
    ),
    _row(
        ErrorCategory.TOOL_ERROR,
        r"tool ?use ?failed",
    ),
    _row(
        ErrorCategory.AUTH,
        r"authenticat|unauthori[sz]ed|not ?authori[sz]ed|permission|access ?denied|\Aforbidden",
        rf"{_BAD} ?(?:api ?|access ?|secret ?)?(?:key|credential)",
        rf"{_BAD} ?(?:security ?|access ?|client ?|auth ?|bearer ?)?token(?: ?id)?{_ENDING}",
        r"token ?expired|api ?key ?(?:invalid|expired|revoked|missing|not ?valid|disabled)",
        r"(?:invalid|incomplete) ?signature|signature ?does ?not ?match|unrecognized ?client",
        r"missing ?authentication ?token|(?:account|organi[sz]ation) ?(?:deactivated|restricted)",
    ),
    _row(
        ErrorCategory.NOT_FOUND,
        r"(?:\A|model|resource|deployment|endpoint|engine|route) ?not ?(?:found|exist)",
        r"model ?(?:decommissioned|deprecated|retired)",
    ),
    _row(
        ErrorCategory.SERVER_ERROR,
        rf"\Amodel ?(?:stream ?)?error{_ENDING}",
    ),
)

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
def meaning_of(word: str) -> Code:
    """Read a code or a class name by its parts."""
    if word.isdecimal() and len(word) == 3:
        return Code(category_of_status(int(word)))
    parts = parts_of(word)
    if not _OF_A_SETTING.search(parts):
        for meaning, pattern in _ROWS:
            if pattern.search(parts):
                return meaning
    return Code(_VAGUE_WORDS.get(_LAST.compiled.sub("", parts).replace(" ", "")))


def parts_of(word: str) -> str:
    """Split a word where its case changes and where it has no letters: ``RateLimit.Hit`` gives ``rate limit hit``."""
    return " ".join([part for part in _BOUNDARY.compiled.split(word) if part]).lower()
