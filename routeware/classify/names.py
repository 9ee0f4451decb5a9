"""Class names: what an error is by its type, decided once per type.

Foreign errors are known by name alone, so that no SDK has to be imported. The most derived name that means something
decides, and a time-out wins over a lost connection: an SDK's time-out is often a kind of its connection error.
"""

from __future__ import annotations

import asyncio

import attrs

from routeware import errors as own
from routeware.classify.meanings import meaning_of
from routeware.classify.reading import Pattern, as_text, ignoring_case, remembered
from routeware.classify.snapshot import Cost, Finding
from routeware.errors import ErrorCategory

__all__ = ["UNREACHED", "Kind", "error_type", "kind_of"]


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
        no_http: what arrived was no HTTP, so a status that the error carries is the client's own.
    """

    name: str
    meaning: Finding | None
    stumble: bool
    own_words: bool
    system: bool
    provider: bool
    proxy: bool
    body: bool
    no_http: bool


def _unsure(category: ErrorCategory) -> Finding:
    return Finding(category, Cost.POSSIBLE_BY_ITSELF)


_NETWORK = _unsure(ErrorCategory.TRANSIENT_NETWORK)
_DROPPED = Finding(ErrorCategory.TRANSIENT_NETWORK, Cost.POSSIBLE)
UNREACHED = Finding(ErrorCategory.TRANSIENT_NETWORK, Cost.NONE)
_TIMEOUT = _unsure(ErrorCategory.TIMEOUT)
_WRONG_SHAPE = Finding(ErrorCategory.SCHEMA_VALIDATION, Cost.POSSIBLE)
_UNREADABLE = Finding(ErrorCategory.SERVER_ERROR, Cost.POSSIBLE)
_UNSENT = Finding(ErrorCategory.BAD_REQUEST, Cost.NONE)
_UNSIGNED = Finding(ErrorCategory.AUTH, Cost.NONE)
_OURS = Finding(ErrorCategory.GENERIC, Cost.NONE)

_TYPES: dict[type, Finding] = {
    own.DeadlineExceededError: Finding(ErrorCategory.TIMEOUT, Cost.POSSIBLE),
    own.ResultRejectedError: Finding(ErrorCategory.REJECTED, Cost.POSSIBLE),
    own.ProviderCancelledError: Finding(ErrorCategory.CANCELLED, Cost.POSSIBLE),
    own.BudgetExceededError: Finding(ErrorCategory.BUDGET_EXCEEDED, Cost.NONE),
    own.LedgerUnavailableError: _OURS,
    own.NoSessionError: _OURS,
    own.SessionClosedError: _OURS,
    own.PolicyError: _OURS,
    asyncio.CancelledError: Finding(ErrorCategory.CANCELLED, Cost.POSSIBLE),
    TimeoutError: _TIMEOUT,
    ConnectionRefusedError: UNREACHED,
    ConnectionResetError: _DROPPED,
    ConnectionAbortedError: _DROPPED,
    BrokenPipeError: _DROPPED,
    ConnectionError: _NETWORK,
}

_NAMES: dict[str, Finding] = {
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
            IncompleteRead RemoteDisconnected BadStatusLine ChunkedEncodingError StreamDisconnectedError
            HttpProcessingError""",
        ),
        (
            _NETWORK,
            """ConnectionError NetworkError TransportError ClientConnectionError ClientOSError APIConnectionError
            SSLError HTTPClientError NoResponseError MaxRetryError""",
        ),
        (Finding(ErrorCategory.RATE_LIMIT, Cost.NONE_BY_ITSELF), "ResourceExhausted"),
        (_TIMEOUT, "TimeoutException DeadlineExceeded RetryTimeout"),
        (
            _WRONG_SHAPE,
            """ValidationError JSONDecodeError ContentTypeError LengthFinishReasonError APIResponseValidationError
            ResponseValidationError OutputParserException DecodeError""",
        ),
        # The provider answered with something that is no JSON, or not even readable: a page of its proxy, half a body.
        (_UNREADABLE, "UnknownApiResponseError ResponseParserError DecodingError"),
        # Earlier steps of the same call were answered and billed; what broke it off is its cause.
        (Finding(None, Cost.POSSIBLE), "ContinuationInterruptedError"),
        (Finding(ErrorCategory.BUDGET_EXCEEDED, Cost.NONE), "BudgetExceededError"),
        # A limit that the caller set for an agent's run, met after some of its requests.
        (Finding(ErrorCategory.BUDGET_EXCEEDED, Cost.POSSIBLE), "UsageLimitExceeded"),
        (_unsure(ErrorCategory.CONTENT_POLICY), "ContentFilterFinishReasonError"),
        (
            _UNSENT,
            "InvalidURL UnsupportedProtocol LocalProtocolError botocore.ValidationError botocore.ParamValidationError",
        ),
        (
            _UNSIGNED,
            """NoCredentialsError PartialCredentialsError CredentialRetrievalError TokenRetrievalError NoAuthTokenError
            CredentialsError DefaultCredentialsError RefreshError""",
        ),
        (_unsure(ErrorCategory.SERVER_ERROR), "InternalServerError ServerError BadGateway BadGatewayError"),
        (_unsure(ErrorCategory.CANCELLED), "CancelledError"),
        (_unsure(ErrorCategory.TOOL_ERROR), "ToolError ToolException ToolExecutionError FunctionInvocationError"),
        (_unsure(ErrorCategory.TOOL_REJECTED), "ToolRejected ToolRejectedError"),
        (
            Finding(ErrorCategory.EGRESS_BLOCKED, Cost.NONE),
            "EgressBlocked EgressBlockedError EgressDenied EgressDeniedError",
        ),
    )
    for name in names.split()
}

_STUMBLES = (
    *(LookupError, ValueError, TypeError, AttributeError),
    *(NameError, ArithmeticError, AssertionError, SyntaxError),
)
# What a class alone says of a refusal: the provider answered, and has done nothing.
_REFUSALS = frozenset(
    {
        *(ErrorCategory.RATE_LIMIT, ErrorCategory.QUOTA, ErrorCategory.OVERLOADED),
        *(ErrorCategory.AUTH, ErrorCategory.NOT_FOUND, ErrorCategory.BAD_REQUEST),
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
_NO_HTTP = Pattern(r"\AHttpProcessingError\Z")
_CIRCUIT = ignoring_case(r"circuit.*(?:open|broken|breaker|tripped)|(?:open|broken).*circuit")


def error_type(error: BaseException) -> str:
    """Give the qualified class name (``module.Class``, builtins without their module), as telemetry names errors."""
    return kind_of(type(error)).name


@remembered
def kind_of(kind: type) -> Kind:
    """Classify a type. The answer is kept, so that a failing provider costs this once."""
    meaning = _along_bases([found for base in kind.__mro__ if (found := _meaning_of_class(base)) is not None])
    module, stumble, system = _module_of(kind), issubclass(kind, _STUMBLES), issubclass(kind, OSError)
    return Kind(
        name=kind.__qualname__ if module in ("builtins", "") else f"{module}.{kind.__qualname__}",
        meaning=meaning,
        stumble=stumble,
        own_words=stumble or system or not issubclass(kind, Exception),
        system=system,
        provider=_has_name(kind, _PROVIDER),
        proxy=_has_name(kind, _PROXY),
        body=_has_name(kind, _PARSER),
        no_http=_has_name(kind, _NO_HTTP),
    )


def _has_name(kind: type, pattern: Pattern) -> bool:
    return any(pattern.search(base.__name__) is not None for base in kind.__mro__)


def _module_of(kind: type) -> str:
    """Read the module of a class; a class body may put anything there."""
    return as_text(kind.__module__) or ""


def _along_bases(found: list[Finding]) -> Finding | None:
    """Take the first meaning; but a time-out wins over a lost connection, and its cost with it."""
    if not found or found[0].category is not ErrorCategory.TRANSIENT_NETWORK:
        return found[0] if found else None
    return next((meaning for meaning in found if meaning.category is ErrorCategory.TIMEOUT), found[0])


def _meaning_of_class(base: type) -> Finding | None:
    module, name = _module_of(base), base.__name__
    if base in _TYPES or module == "builtins":
        return _TYPES.get(base)
    root = module.partition(".")[0]
    return _NAMES.get(f"{root}.{name}") or _NAMES.get(name) or _by_pattern(name)


def _by_pattern(name: str) -> Finding | None:
    if _TIMED_OUT.search(name):
        connected = _NOT_CONNECTED.search(name) is None
        under_way = Cost.POSSIBLE if _IN_FLIGHT.search(name) else Cost.POSSIBLE_BY_ITSELF
        return Finding(ErrorCategory.TIMEOUT, under_way if connected else Cost.NONE)
    if _LOST.search(name):
        return _NETWORK
    if _BAD_REQUEST.search(name):
        return Finding(ErrorCategory.BAD_REQUEST, Cost.NONE_BY_ITSELF)
    if _CIRCUIT.search(name):
        return Finding(ErrorCategory.CIRCUIT_OPEN, Cost.NONE_BY_ITSELF)
    found = meaning_of(name)
    if found.category is None or not found.specific:
        return None
    return Finding(found.category, Cost.NONE_BY_ITSELF if found.category in _REFUSALS else Cost.POSSIBLE_BY_ITSELF)
