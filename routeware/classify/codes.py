"""Machine codes: the words in which providers say what went wrong.

A code is compared without case, underscores and the words that only say it is an error, so that ``rate_limit_error``,
``RateLimitExceeded`` and ``rateLimitExceeded`` need few lines. Some codes settle the matter; others are what a provider
says of almost everything (``invalid_request_error`` comes with 400, 401, 404 and 429 alike) and count only where no
status does.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache

import attrs

from routeware.classify.reading import View, as_text, entry, is_mapping, is_sequence
from routeware.classify.statuses import category_of_status
from routeware.errors import ErrorCategory

__all__ = ["Code", "details_of", "meaning_of", "telling_code"]

_SPECIFIC: dict[ErrorCategory, str] = {
    ErrorCategory.RATE_LIMIT: """
        ratelimit ratelimited ratelimitreached ratelimitexceeded toomanyrequests throttling throttled requestthrottled
        requestlimitexceeded resourceexhausted provisionedthroughputexceeded concurrencylimitexceeded
        concurrentrequestlimitexceeded""",
    ErrorCategory.QUOTA: """
        quota quotaexceeded insufficientquota servicequotaexceeded billing billinghardlimitreached billingnotactive
        creditbalanceexhausted creditbalancetoolow insufficientbalance insufficientcredit insufficientcredits
        insufficientfunds
        paymentrequired spendlimitreached spendlimitexceeded organizationspendlimitexceeded projectspendlimitexceeded
        organizationusagelimitexceeded contractspendlimitreached enforcedspendlimitreached
        linkedorganizationspendlimitreached budgetexceeded""",
    ErrorCategory.OVERLOADED: """
        overloaded engineoverloaded modeloverloaded serveroverloaded unavailable serviceunavailable modelnotready
        nocapacity capacityexceeded""",
    ErrorCategory.TIMEOUT: "timeout requesttimeout modeltimeout gatewaytimeout deadlineexceeded",
    ErrorCategory.SERVER_ERROR: "modelerror modelstreamerror",
    ErrorCategory.AUTH: """
        authentication unauthenticated unauthorized unauthorised permission permissiondenied accessdenied forbidden
        invalidapikey incorrectapikey apikeyinvalid invalidtoken expiredtoken tokenexpired unrecognizedclient
        invalidsignature signaturedoesnotmatch invalidclienttokenid missingauthenticationtoken incompletesignature
        accountdeactivated""",
    ErrorCategory.NOT_FOUND: "notfound modelnotfound resourcenotfound deploymentnotfound",
    ErrorCategory.CONTEXT_LENGTH: """
        contextlengthexceeded contextwindowexceeded modelcontextwindowexceeded requesttoolarge requestentitytoolarge
        contenttoolarge prompttoolong inputtoolong tokenlimitexceeded""",
    ErrorCategory.CONTENT_POLICY: """
        contentfilter contentfiltered contentpolicy contentpolicyviolation imagecontentpolicyviolation
        responsibleaipolicyviolation contentmoderation moderationblocked invalidprompt prohibitedcontent
        datainspectionfailed guardrailintervened""",
    ErrorCategory.SCHEMA_VALIDATION: "jsonvalidatefailed invalidjsonschema schemavalidation schemavalidationfailed",
    ErrorCategory.TOOL_ERROR: "toolusefailed",
    ErrorCategory.CIRCUIT_OPEN: "circuitopen circuitbreakeropen",
}
_VAGUE: dict[ErrorCategory, str] = {
    ErrorCategory.SERVER_ERROR: """
        api server internal internalserver internalfailure internalservice upstream badgateway dataloss""",
    ErrorCategory.BAD_REQUEST: """
        badrequest invalidrequest invalidargument invalidparameter invalidparametervalue invalidvalue validation
        unprocessableentity failedprecondition outofrange""",
    ErrorCategory.CANCELLED: "cancelled canceled",
}
_MEANINGS = {
    word: (category, specific)
    for table, specific in ((_SPECIFIC, True), (_VAGUE, False))
    for category, words in table.items()
    for word in words.split()
}

# Words of letters, a number of at most three digits behind each; or a short number. Keys and tokens look different.
_PRINTABLE = re.compile(r"(?:[A-Za-z]+\d{0,3}(?:_[A-Za-z]+\d{0,3}|_\d{1,3})*|\d{1,6})", re.ASCII)
_CONSTANT = re.compile(r"[A-Z][A-Z_]{2,63}", re.ASCII)
_ENDING = re.compile(r"(?:error|exception|fault)\Z")
_LONGEST_BODY = 65_536
_LONGEST_CODE = 64
_MOST_DETAILS = 16


@attrs.frozen
class Code:
    """One machine code: its text where it may be shown, and its meaning where it has one."""

    text: str | None
    category: ErrorCategory | None
    specific: bool


@lru_cache(maxsize=512)
def meaning_of(word: str) -> tuple[ErrorCategory | None, bool]:
    """What a code (or a class name) means, and whether that is more than a status says."""
    if word.isdecimal() and len(word) == 3:
        return category_of_status(int(word)), False
    key = word.lower().replace("_", "").replace("-", "")
    found = _MEANINGS.get(key) or _MEANINGS.get(_ENDING.sub("", key))
    return found if found is not None else (None, False)


def telling_code(error: View, *, known_only: bool = False) -> Code | None:
    """The code that says most: one that settles the matter, else one that means something, else the first.

    Args:
        error: where to look.
        known_only: pass over words that mean nothing here, and ``type``: the error is of a family whose attributes may
            say something else.
    """
    best: Code | None = None
    for word in _words_of(error, with_type=not known_only):
        code = None if word is None else _code_of(word)
        if code is None or (code.category is None and (known_only or code.text is None)):
            continue
        if code.specific:
            return code
        if best is None or (best.category is None and code.category is not None):
            best = code
    return best


def _code_of(word: object) -> Code | None:
    text = as_text(word)
    return None if text is None or len(text) > _LONGEST_CODE else _code(text)


@lru_cache(maxsize=512)
def _code(word: str) -> Code:
    category, specific = meaning_of(word)
    return Code(word if category is not None or _PRINTABLE.fullmatch(word) else None, category, specific)


def _words_of(error: View, *, with_type: bool) -> list[object]:
    """Everything that stands where codes stand, the most telling place first."""
    get = error.get
    words = [get("error_code"), get("code")]
    if (status := get("status")) is not None:
        words.append(_grpc_status(status))
    if (response := get("response")) is not None:
        words.append(entry(response, "Error", "Code"))
    if (body := get("body")) is not None:
        words.extend(_body_words(_decoded(body)))
    words.extend([entry(detail, "reason") for detail in details_of(error)])
    if with_type:
        words.append(get("type"))
    return words


def _grpc_status(status: object) -> str | None:
    """Google's word for the status; what others say in prose there is no code."""
    word = as_text(status)
    if word is None or len(word) > _LONGEST_CODE:
        return None
    return word if meaning_of(word)[0] is not None or _CONSTANT.fullmatch(word) else None


def _decoded(body: object) -> object:
    """The error body. Some SDKs keep its text only, and it is read as JSON then."""
    text = as_text(body)
    if text is None or len(text) > _LONGEST_BODY:
        return body
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _body_words(body: object) -> list[object]:
    inner = entry(body, "error")
    outer = inner if is_mapping(inner) else body
    return [
        entry(outer, "details", "error_code"),
        entry(outer, "code"),
        entry(outer, "innererror", "code"),
        entry(outer, "type"),
    ]


def details_of(error: View) -> list[object]:
    """The error details of Google's APIs (``google.rpc``), wherever the error carries them."""
    details: list[object] = []
    for source in (error.get("details"), error.get("body")):
        if source is not None:
            for found in (source, entry(source, "details"), entry(source, "error", "details")):
                if is_sequence(found):
                    details.extend(found[:_MOST_DETAILS])
    return details
