"""Class names: what an error is by its type, decided once per type.

Foreign errors are known by name alone, so that no SDK has to be imported. The most derived name that means something
decides, and a time-out wins over a lost connection: an SDK's time-out is often a kind of its connection error.
"""

from __future__ import annotations

import asyncio
from enum import Enum

import attrs

from routeware import errors as own
from routeware.classify.meanings import meaning_of
from routeware.classify.reading import Pattern, as_text, ignoring_case, remembered
from routeware.errors import ErrorCategory

__all__ = ["UNREACHED", "Cost", "Kind", "Meaning", "error_type", "kind_of"]


class Cost(Enum):
    """The evidence of an error about money; all but the first two give way to that of its cause."""

    NONE = "the provider answered with an error, or was never reached"
    POSSIBLE = "something was under way"
    ANSWERED = "an error status came back, unless an answer was lost further in and the status is a wrapper's"
    NONE_BY_ITSELF = "nothing was spent, unless the cause knows better"
    POSSIBLE_BY_ITSELF = "something was under way, unless the cause knows better"


@attrs.frozen
class Meaning:
    """The meaning that a class gives to its errors."""

    category: ErrorCategory | None
    cost: Cost = Cost.POSSIBLE_BY_ITSELF


@attrs.frozen(kw_only=True)
class Kind:
    """The facts about an error that its type alone gives.

    Attributes:
        name: the qualified class name.
        meaning: what the names along its bases mean.
        stumble: a mistake in handling something (a lookup, a value, a type): what it was raised in the middle of says
            nothing about the money spent on the answer that it stumbled over.
        own_words: its ``code`` and ``type`` are Python's or the operating system's unless they are known.
        system: it is an ``OSError``, whose number may say more.
        provider: an SDK's class for whatever the provider answers (``APIError``): not a mistake in the caller's code.
        proxy: it is about the caller's own proxy.
        body: the text that was being parsed may have been a response body.
    """

    name: str
    meaning: Meaning | None
    stumble: bool
    own_words: bool
    system: bool
    provider: bool
    proxy: bool
    body: bool


_NETWORK = Meaning(ErrorCategory.TRANSIENT_NETWORK)
_DROPPED = Meaning(ErrorCategory.TRANSIENT_NETWORK, Cost.POSSIBLE)
UNREACHED = Meaning(ErrorCategory.TRANSIENT_NETWORK, Cost.NONE)
_TIMEOUT = Meaning(ErrorCategory.TIMEOUT)
_WRONG_SHAPE = Meaning(ErrorCategory.SCHEMA_VALIDATION, Cost.POSSIBLE)
_UNREADABLE = Meaning(ErrorCategory.SERVER_ERROR, Cost.POSSIBLE)
_UNSENT = Meaning(ErrorCategory.BAD_REQUEST, Cost.NONE)
_UNSIGNED = Meaning(ErrorCategory.AUTH, Cost.NONE)
_OURS = Meaning(ErrorCategory.GENERIC, Cost.NONE)

_TYPES: dict[type, Meaning] = {
    own.DeadlineExceededError: Meaning(ErrorCategory.TIMEOUT, Cost.POSSIBLE),
    own.ResultRejectedError: Meaning(ErrorCategory.REJECTED, Cost.POSSIBLE),
    own.ProviderCancelledError: Meaning(ErrorCategory.CANCELLED, Cost.POSSIBLE),
    own.BudgetExceededError: Meaning(ErrorCategory.BUDGET_EXCEEDED, Cost.NONE),
    own.LedgerUnavailableError: _OURS,
    own.NoSessionError: _OURS,
    own.SessionClosedError: _OURS,
    own.PolicyError: _OURS,
    asyncio.CancelledError: Meaning(ErrorCategory.CANCELLED, Cost.POSSIBLE),
    TimeoutError: _TIMEOUT,
    ConnectionRefusedError: UNREACHED,
    ConnectionResetError: _DROPPED,
    ConnectionAbortedError: _DROPPED,
    BrokenPipeError: _DROPPED,
    ConnectionError: _NETWORK,
}

_NAMES: dict[str, Meaning] = {
    name: meaning
    for meaning, names in (
        (
            UNREACHED,
            """ClientConnectorError ConnectError ProxyError EndpointConnectionError ProxyConnectionError
            NewConnectionError NameResolutionError gaierror herror SSLCertVerificationError ServerFingerprintMismatch
            botocore.ConnectionError botocore.SSLError""",
        ),
        (
            _DROPPED,
            """ReadError WriteError CloseError RemoteProtocolError ServerDisconnectedError ClientPayloadError
            UploadAbortedError ConnectionClosedError ConnectionClosed ResponseStreamingError IncompleteReadError
            IncompleteRead RemoteDisconnected BadStatusLine ChunkedEncodingError StreamDisconnectedError""",
        ),
        (
            _NETWORK,
            """ConnectionError NetworkError TransportError ClientConnectionError ClientOSError APIConnectionError
            SSLError HTTPClientError NoResponseError MaxRetryError""",
        ),
        (Meaning(ErrorCategory.RATE_LIMIT, Cost.NONE_BY_ITSELF), "ResourceExhausted"),
        (_TIMEOUT, "TimeoutException DeadlineExceeded RetryTimeout"),
        (
            _WRONG_SHAPE,
            """ValidationError JSONDecodeError ContentTypeError LengthFinishReasonError APIResponseValidationError
            ResponseValidationError OutputParserException DecodeError""",
        ),
        # The provider answered with something that is no JSON, or not even readable: a page of its proxy, half a body.
        (
            Meaning(ErrorCategory.SERVER_ERROR, Cost.POSSIBLE),
            "UnknownApiResponseError ResponseParserError DecodingError",
        ),
        # Earlier steps of the same call were answered and billed; what broke it off is its cause.
        (Meaning(None, Cost.POSSIBLE), "ContinuationInterruptedError"),
        (Meaning(ErrorCategory.BUDGET_EXCEEDED, Cost.NONE), "BudgetExceededError"),
        # A limit that the caller set for an agent's run, met after some of its requests.
        (Meaning(ErrorCategory.BUDGET_EXCEEDED, Cost.POSSIBLE), "UsageLimitExceeded"),
        (Meaning(ErrorCategory.CONTENT_POLICY), "ContentFilterFinishReasonError"),
        (
            _UNSENT,
            "InvalidURL UnsupportedProtocol LocalProtocolError botocore.ValidationError botocore.ParamValidationError",
        ),
        (
            _UNSIGNED,
            """NoCredentialsError PartialCredentialsError CredentialRetrievalError TokenRetrievalError NoAuthTokenError
            CredentialsError DefaultCredentialsError RefreshError""",
        ),
        (Meaning(ErrorCategory.SERVER_ERROR), "InternalServerError ServerError BadGateway BadGatewayError"),
        (Meaning(ErrorCategory.CANCELLED), "CancelledError"),
        (Meaning(ErrorCategory.TOOL_ERROR), "ToolError ToolException ToolExecutionError FunctionInvocationError"),
        (Meaning(ErrorCategory.TOOL_REJECTED), "ToolRejected ToolRejectedError"),
        (
            Meaning(ErrorCategory.EGRESS_BLOCKED, Cost.NONE),
            "EgressBlocked EgressBlockedError EgressDenied EgressDeniedError",
        ),
    )
    for name in names.split()
}

_STUMBLES = (
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    NameError,
    ArithmeticError,
    AssertionError,
    SyntaxError,
)
# What a class alone says of a refusal: the provider answered, and has done nothing.
_REFUSALS = frozenset(
    {
        ErrorCategory.RATE_LIMIT,
        ErrorCategory.QUOTA,
        ErrorCategory.OVERLOADED,
        ErrorCategory.AUTH,
        ErrorCategory.NOT_FOUND,
        ErrorCategory.BAD_REQUEST,
    }
)
_PROVIDER = Pattern(
    r"(?:(?:API|Api)(?:Call|Status|Response|Server|Stream)?(?:Error|Exception)|SDKError|(?<!Client)ResponseError"
    r"|(?:Service|Server|Upstream|Backend|Inference|Generation|Completion)(?:Error|Exception))\Z"
)
_TIMED_OUT = Pattern(r"(?:Timeout|TimedOut)(?:Error|Exception)?\Z")
_NOT_CONNECTED = Pattern(r"(?:Connect|Connection|Pool)Time")
_IN_FLIGHT = Pattern(r"(?:Read|Write|Socket)Time")
_LOST = Pattern(r"(?<!Proxy)(?:Connection|Network)(?:Error|Exception)\Z")
_BAD_REQUEST = Pattern(r"(?:BadRequest|InvalidRequest|InvalidArgument|UnprocessableEntity)(?:Error|Exception)?\Z")
_PROXY = Pattern(r"\A(?:Client)?(?:Http)?Proxy(?:Connection)?Error\Z")
_PARSER = Pattern(r"(?:\AJSONDecodeError|\AContentTypeError)\Z")
_CIRCUIT = ignoring_case(r"circuit.*(?:open|broken|breaker|tripped)|(?:open|broken).*circuit")


def error_type(error: BaseException) -> str:
    """Give the qualified class name (``module.Class``, builtins without their module), as telemetry names errors."""
    return kind_of(type(error)).name


@remembered
def kind_of(kind: type) -> Kind:
    """Classify a type. The answer is kept, so that a failing provider costs this once."""
    meaning = _along_bases([found for base in kind.__mro__ if (found := _meaning_of_class(base)) is not None])
    stumble, system = issubclass(kind, _STUMBLES), issubclass(kind, OSError)
    return Kind(
        name=_qualified(kind),
        meaning=meaning,
        stumble=stumble,
        own_words=stumble or system or not issubclass(kind, Exception),
        system=system,
        provider=_has_name(kind, _PROVIDER),
        proxy=_has_name(kind, _PROXY),
        body=_has_name(kind, _PARSER),
    )


def _has_name(kind: type, pattern: Pattern) -> bool:
    return any(pattern.search(base.__name__) is not None for base in kind.__mro__)


def _qualified(kind: type) -> str:
    module = _module_of(kind)
    return kind.__qualname__ if module in ("builtins", "") else f"{module}.{kind.__qualname__}"


def _module_of(kind: type) -> str:
    """Read the module of a class; a class body may put anything there."""
    return as_text(kind.__module__) or ""


def _along_bases(found: list[Meaning]) -> Meaning | None:
    """Take the first meaning; but a time-out wins over a lost connection, and its cost with it."""
    if not found or found[0].category is not ErrorCategory.TRANSIENT_NETWORK:
        return found[0] if found else None
    return next((meaning for meaning in found if meaning.category is ErrorCategory.TIMEOUT), found[0])


def _meaning_of_class(base: type) -> Meaning | None:
    module, name = _module_of(base), base.__name__
    if base in _TYPES or module == "builtins":
        return _TYPES.get(base)
    root = module.partition(".")[0]
    return _NAMES.get(f"{root}.{name}") or _NAMES.get(name) or _by_pattern(name)


def _by_pattern(name: str) -> Meaning | None:
    if _TIMED_OUT.search(name):
        return Meaning(ErrorCategory.TIMEOUT, _cost_of_timeout(name))
    if _LOST.search(name):
        return _NETWORK
    if _BAD_REQUEST.search(name):
        return Meaning(ErrorCategory.BAD_REQUEST, Cost.NONE_BY_ITSELF)
    if _CIRCUIT.search(name):
        return Meaning(ErrorCategory.CIRCUIT_OPEN, Cost.NONE_BY_ITSELF)
    found = meaning_of(name)
    if found.category is None or not found.specific:
        return None
    return Meaning(found.category, Cost.NONE_BY_ITSELF if found.category in _REFUSALS else Cost.POSSIBLE_BY_ITSELF)


def _cost_of_timeout(name: str) -> Cost:
    if _NOT_CONNECTED.search(name):
        return Cost.NONE
    return Cost.POSSIBLE if _IN_FLIGHT.search(name) else Cost.POSSIBLE_BY_ITSELF
