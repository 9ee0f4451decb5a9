"""Texts, and when a code, a class name or a text says more than a coarse status.

Phrases are read under the statuses for which they matter, and never where the text names a rate or a time to wait: "You
exceeded your current quota, retry in 20 s" is a throttle.
"""

from __future__ import annotations

import re

from routeware.classify.meanings import Code, category_of_status
from routeware.classify.reading import Pattern, ignoring_case
from routeware.classify.snapshot import Finding
from routeware.errors import ErrorCategory

__all__ = [
    "LONGEST",
    "category_in_text",
    "category_of_code",
    "closer_category",
    "names_a_throttle",
    "names_a_wait",
    "provider_said",
    "refined",
    "refined_by_text",
    "soon",
    "status_in_text",
]

LONGEST = 2_048
_SOON_MS = 3_600_000.0
_STATUS = Pattern(
    r"(?i:\b(?:http(?:/\d(?:\.\d)?)?(?:[ _](?:error|status))?|status|error)(?:[ _]code)?[\s:=]{1,3})([45]\d\d)\b"
    r"|^\W?([45]\d\d)(?=\s+[A-Z]|\s*$|[:,)])",
    flags=re.ASCII,
)


# Many SDKs put the class of the error in front of what the provider said ("RateLimitError: You exceeded your current
# quota"), and every 429 is of that class: its name is no sentence about a rate.
_NOT_A_CLASS = r"(?!(?-i:\w*(?:Error|Exception|Fault)\b))"
_THROTTLE = ignoring_case(
    rf"rate[ _-]?limit{_NOT_A_CLASS}",
    r"too many requests",
    rf"\bthrottl{_NOT_A_CLASS}",
    r"per[ _-]?(?:second|minute|min|hour|day)(?![a-z])|per(?:minute|day)per",
    r"\b(?:[rt]p[msd]|qp[sm])\b|\brequests? limit",
)
_THROTTLE_CLASS = Pattern(r"(?:RateLimit|Throttl)\w*(?:Error|Exception|Fault)\b")
_WAIT = ignoring_case(
    r"\b(?:try again|retry|wait)\b(?:[^.\n]{0,30}?\b(?:in|after|for))?\s+((?:\d{1,9}(?:\.\d+)?\s*"
    r"(?:milliseconds?|ms|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)(?![a-z])[\s,]*(?:and\s+)?)+)"
)
_AMOUNT = ignoring_case(r"([\d.]+)\s*(ms|milli|h|m|s)")
_UNITS = {"ms": 1.0, "milli": 1.0, "s": 1_000.0, "m": 60_000.0, "h": 3_600_000.0}
# The account cannot spend, and waiting does not change that.
_SPENT = ignoring_case(
    r"credit balance",
    r"(?:insufficient|not enough|out of|exhausted|depleted|used all|used up|exceeded|run out of|ran out of)"
    r"[ _](?:\w+ ){0,3}(?:credits?|funds|balance|allocation|allowance)\b",
    r"(?<![\d.,])(?:\bno|0|\bzero) (?:more |remaining |available )?(?:credits?|funds|balance)\b"
    r"(?! (?:was|were|have been|has been|will))",
    r"(?:(?:n't|not) have|lacks?|lacking) (?:any|enough|sufficient) (?:\w+ )?(?:credits?|funds|balance)\b",
    r"(?:credits?|balance|funds) (?:(?:(?:is|are|has|have|has been|have been|was|were) (?:\w+ )?)?"
    r"(?:low|insufficient|exhausted|depleted|used up|negative|empty|expired|zero|not enough)|(?:has|have) run out)",
    r"billing[ _](?:hard[ _]|soft[ _])?limit",
    r"\bbilling (?:is|not|has|to be|must be)\b|\b(?:enable|activate|set up) billing\b",
    r"\bbilling account (?:is |was |has been )?(?:disabled|closed|suspended|inactive)\b",
    r"payment instrument|valid (?:credit card|payment)",
    r"(?:spend(?:ing)?|usage|monthly|credit|budget|key)[ _-](?:cap|limit)s?\b",
    r"payment (?:is )?(?:required|overdue|past due|failed)",
    r"\barrears?\b|\boverdue\b|\bunpaid\b|\bgood standing\b|\btop[ -]up\b|\brecharge\b",
    r"purchase (?:more |additional )?credits",
    r"(?:over|exceed\w*)(?: \w+){0,3} budget\b|budget (?:has been |was )?(?:exceeded|exhausted)",
    r"\breached (?:\w+ ){0,2}(?:daily|weekly|monthly|spending|team|project|key) budget\b",
    r"\bsubscription (?:has |is )?(?:expired|lapsed)\b",
    r"free (?:tier|trial|quota|credits?|allowance)(?: \w+){0,6} (?:exhausted|expired|ended|used up|exceeded)",
    r"余额不足|欠费",
)
# The same, unless a short wait is named beside it.
_QUOTA = ignoring_case(
    r"insufficient_quota|\bbilling details\b",
    r"(?:exceeded|exhausted|used up) (?:\w+ ){0,3}quota",
    r"quota (?:has been |is |was )?(?:exceeded|exhausted|used up)|\bout of (?:\w+ ){0,3}quota",
    r"\b(?:calls?|requests?|tokens?) ?(?:/|per|a) ?month\b",
)
_REFUSED = ignoring_case(
    r"content[ _-](?:policy|filter\w*|moderation|management policy|guidelines?|safety)",
    r"violat\w+ (?:\w+ ){0,4}(?:usage|content|safety|community|acceptable use|openai'?s?|our) (?:\w+ ){0,2}"
    r"(?:polic(?:y|ies)|guidelines?|rules)",
    r"\b(?:input|prompt|content|message|request|text|image|output|response)s?\b[^.\n]{0,40}\bflagged\b",
    r"\bflagged (?:as|by|for)\b",
    r"safety[ _](?:system|checks?|filters?|settings|reasons?|polic\w+|guidelines?|guardrails?)",
    r"(?:sensitive|inappropriate|harmful|prohibited|unsafe|disallowed|objectionable) (?:content|words?|material)",
    r"(?:failed|flagged|rejected|blocked|refused) (?:\w+ ){0,4}moderation",
    r"moderation (?:failed|blocked|flagged|rejected)",
    r"responsible ai|\bguardrails?\b|\bjailbreak|data inspection",
    r"content exists risk|considered high risk",
    r"\bnsfw\b|敏感|不安全内容",
)
_UNKNOWN_SETTING = ignoring_case(
    r"\b(?:unknown|unsupported|unrecogni[sz]ed|unexpected|extra)\b[^.\n]{0,20}"
    r"\b(?:parameters?|arguments?|options?|fields?|names?|inputs?)\b"
)
# Neither a locked account, nor a wrong setting, nor a filter that does not exist is a refusal for content.
_ABOUT_OTHER_MATTERS = ignoring_case(
    r"\b(?:unsupported|invalid)\b[^.\n]{0,20}\b(?:parameters?|arguments?|options?|fields?|names?|values?)\b",
    r"\b(?:parameter|option) (?:must|is)\b|\baccess to\b|(?:\bnot|n't) exist\b",
    r"\b(?:account|organi[sz]ation|api key|user|project|team|access)\b[^.\n]{0,40}"
    r"\b(?:suspended|disabled|deactivated|terminated|banned|revoked)\b",
)

_BAD_KEY = ignoring_case(
    r"\b(?:invalid|incorrect|expired|revoked|missing|wrong)\b[^.\n]{0,15}\b(?:api|access|secret)[ _-]?(?:key|token)\b",
    r"\b(?:api|access|secret)[ _-]?(?:key|token)\b (?:is |has |was )?(?:been )?"
    r"(?:not valid|invalid|expired|revoked|missing)\b",
)

# Settings that limit the answer, and paths into the request: neither says that the request is too long.
_SETTINGS = ignoring_case(
    r"\bmax_(?:completion_|output_|new_)?tokens\b|\b(?:output|completion|generated) tokens?\b"
    r"|\bmax(?:imum)? tokens (?:you requested|value)\b"
    r"|\binput (?:should|must) be\b|\b(?:messages|input)(?:[.\[]\w+\]?)+"
)
_PATH_OF_TEXT = ignoring_case(r"(?:content|text|input|prompt)\]?\Z")
_CONTEXT = ignoring_case(
    r"context[ _-]?(?:length|window|size|limit)",
    r"(?:max\w*|exceed\w*|longer than|overflow\w*)[^.\n]{0,40}\bcontext\b",
    # What a server with a model of its own has left for the answer, or calls its context.
    r"tokens must be at least \d+, got -\d|\bmax_(?:seq|model)_len\b",
    r"(?:(?:prompt|上下文|提示词?)[^\n]{0,10}|输入(?:长度|内容)?)(?:超长|过长|超过|超出)",
)
_TOO_LONG = ignoring_case(
    r"\b(?:prompt|inputs?|messages?|conversation|tokens?|sequence)\b[^\n]{0,60}"
    r"\b(?:exceed\w*|too (?:long|large|big)|longer than|larger than|overflow\w*)",
    r"\b(?:exceed\w*|too (?:long|large|big)|longer than|reduce the length of)\b[^\n]{0,60}"
    r"\b(?:prompt|inputs?|messages|conversation|tokens?)\b",
    r"\btokens?\b[^\n]{0,60}\b(?:supports?|allows?|accepts?) (?:only|at most|up to|a maximum|no more)",
    r"too many (?:\w+ ){0,2}(?:tokens|messages|characters)",
    r"\b(?:prompt|input|inputs|request|message|sequence|total)[`' ]{1,2}(?:text )?(?:token|length|tokens)\b[^\n]{0,60}"
    r"\b(?:limit|max(?:imum)?|less than|more than|at most|only supports|should be|must be)\b",
    r"\b(?:limit|max(?:imum)?|at most|must (?:be|have) (?:<=|less than))[^\n]{0,40}"
    r"\b(?:(?:prompt|input) (?:token|length)|tokens?)\b",
    r"\binputs?\b[^\n]{0,30}\bmust (?:be|have) (?:<=|less than|at most)",
    r"\binputs?\b[^\n]{0,20}\btokens?\b[^\n]{0,30}\bmust be <=",
)
_OTHER_THINGS = ignoring_case(
    r"\b(?:images?|pixels?|audio|video|files?|pdf|pages?|tools?|functions?|metadata|schema|urls?)\b",
    r"\b(?:arrays?|batch|items?|temperature|top_[pk])\b",
)

_TOKENS = ignoring_case(r"\btokens?\b")

_STRICT_CONTEXT = ignoring_case(
    r"context_length_exceeded|context (?:length|window)|(?:prompt|input) is too long"
    r"|exceeds the maximum number of tokens"
)
_STRICT_QUOTA = ignoring_case(
    r"credit balance|insufficient_quota|billing[_ ]hard[_ ]limit|insufficient (?:credits|balance)"
)
_STRICT_RATE = ignoring_case(r"rate[ -]limit|too many requests")
_OVERLOADED = ignoring_case(
    r"\boverloaded\b|at capacity|no (?:available )?capacity|temporarily unavailable|server (?:is )?busy"
)

# Which refinements matter under a status. Waiting has to be excluded before quota is asked for.
_CONTENT = frozenset({ErrorCategory.QUOTA, ErrorCategory.CONTEXT_LENGTH, ErrorCategory.CONTENT_POLICY})
_MATTERS: dict[int, frozenset[ErrorCategory]] = {
    400: _CONTENT | {ErrorCategory.AUTH},
    401: frozenset({ErrorCategory.QUOTA}),
    403: frozenset({ErrorCategory.QUOTA, ErrorCategory.CONTENT_POLICY, ErrorCategory.RATE_LIMIT}),
    413: frozenset({ErrorCategory.RATE_LIMIT}),
    422: _CONTENT,
    429: frozenset({ErrorCategory.QUOTA}),
    451: frozenset({ErrorCategory.CONTENT_POLICY}),
}


def refined_by_text(status: int, text: str, *, throttled: bool) -> ErrorCategory | None:
    """Find a closer category than the status alone gives: some answer 400 where the credit ran out, without a code.

    Where a code or a header says already that waiting helps (``throttled``), a mere quota is a rate limit.
    """
    matters = _MATTERS.get(status)
    if matters is None and category_of_status(status) is ErrorCategory.BAD_REQUEST:
        matters = _MATTERS[400]
    return None if matters is None or not text else _phrase(text, matters, throttled=throttled)


def provider_said(text: str) -> ErrorCategory | None:
    """Read the text of an error that is a provider's by its class, and carries nothing else."""
    found = _phrase(text, _CONTENT | {ErrorCategory.RATE_LIMIT}, throttled=False)
    return ErrorCategory.OVERLOADED if found is None and _OVERLOADED.search(text) else found


def names_a_wait(text: str) -> float | None:
    """Read the milliseconds of ``try again in 1m2.5s``; ``None`` if the text names no such time."""
    found = _WAIT.search(text)
    if found is None:
        return None
    return sum(float(number) * _UNITS[unit.lower()] for number, unit in _AMOUNT.compiled.findall(found[1]))


def soon(wait_ms: float | None) -> bool:
    """Tell whether waiting cures it: within an hour, as it does for limits per minute, and not for a month's quota."""
    return wait_ms is not None and wait_ms <= _SOON_MS


def status_in_text(text: str) -> int | None:
    """Find the error status in ``HTTP 429 ...``, ``Error code: 500`` or ``503 Service Unavailable``."""
    found = _STATUS.search(text)
    return int(found[1] or found[2]) if found else None


def category_in_text(text: str, status: int | None) -> ErrorCategory | None:
    """Give the meaning of a few well-known phrases, and where there are none, of the status found in the text.

    The error may be of any class, and its text about anything: only phrases with no other use count.
    """
    if status is not None:
        return closer_category(status, text)
    if _STRICT_QUOTA.search(text) and not names_a_throttle(text):
        return ErrorCategory.QUOTA
    if _STRICT_CONTEXT.search(text):
        return ErrorCategory.CONTEXT_LENGTH
    return ErrorCategory.RATE_LIMIT if _STRICT_RATE.search(text) else None


def _phrase(text: str, matters: frozenset[ErrorCategory], *, throttled: bool) -> ErrorCategory | None:
    if names_a_throttle(text):
        return ErrorCategory.RATE_LIMIT if ErrorCategory.RATE_LIMIT in matters else None
    if ErrorCategory.QUOTA in matters and (_SPENT.search(text) or (not throttled and _QUOTA.search(text))):
        return ErrorCategory.QUOTA
    if not _UNKNOWN_SETTING.search(text):
        if ErrorCategory.CONTENT_POLICY in matters and _REFUSED.search(text) and not _ABOUT_OTHER_MATTERS.search(text):
            return ErrorCategory.CONTENT_POLICY
        if ErrorCategory.CONTEXT_LENGTH in matters and _too_long(text):
            return ErrorCategory.CONTEXT_LENGTH
        if ErrorCategory.AUTH in matters and _BAD_KEY.search(text):
            return ErrorCategory.AUTH
    named = ErrorCategory.RATE_LIMIT in matters and _THROTTLE_CLASS.search(text)
    return ErrorCategory.RATE_LIMIT if named else None


def names_a_throttle(text: str) -> bool:
    """Tell whether a text names a rate, or a time after which there is room again. The name of a class is neither."""
    return _THROTTLE.search(text) is not None or soon(names_a_wait(text))


def _too_long(text: str) -> bool:
    if _CONTEXT.search(text):
        return True
    rest = _SETTINGS.compiled.sub(_path_of_text, text)
    if not _TOO_LONG.search(rest):
        return False
    # "messages: image exceeds 5 MB" is about the image, unless tokens are counted.
    return _OTHER_THINGS.search(rest) is None or _TOKENS.search(rest) is not None


def _path_of_text(found: re.Match[str]) -> str:
    """Keep the first word of a path that leads to text: ``messages[0].content`` is a message."""
    path = found[0]
    return path.split(".")[0].split("[")[0] if _PATH_OF_TEXT.search(path) and "_tokens" not in path else " "


_COARSE = frozenset({ErrorCategory.BAD_REQUEST, ErrorCategory.AUTH, ErrorCategory.SERVER_ERROR})
# Names that repeat a status (``BadRequestError``, ``InternalServerError``) say nothing that it does not.
_REPEAT_A_STATUS = _COARSE | {ErrorCategory.NOT_FOUND, ErrorCategory.CANCELLED}
# The HTTP status that a category stands for, so that its texts are read as those of an HTTP answer.
_AS_STATUS = {ErrorCategory.BAD_REQUEST: 400, ErrorCategory.AUTH: 403, ErrorCategory.RATE_LIMIT: 429}


def closer_category(
    status: int, text: str, *, code: Code | None = None, by_class: Finding | None = None, wait_ms: float | None = None
) -> ErrorCategory:
    """Choose the category of an answer: by its code, else the class of the error, else its text, else its status."""
    by_status = category_of_status(status) or ErrorCategory.SERVER_ERROR
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
