"""The real errors of real libraries, made as those make them from responses and from lost connections."""

from __future__ import annotations

import socket
import ssl
import sys
import warnings
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest

from routeware.classify import ErrorSnapshot, classify

Body = Mapping[str, object] | str


def outcome(error: BaseException) -> tuple[str, int | None, str | None, bool]:
    """What matters of a classification; nothing may warn on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = classify(error)
    return found.category.value, found.status, found.code, found.may_have_cost


def http_library_of(client: type) -> ModuleType:
    """The HTTP library that an SDK's client stands on: httpx or a fork of it, by version."""
    names = (base.__module__.partition(".")[0] for base in client.__mro__)
    return sys.modules[next(name for name in names if name.startswith("httpx"))]


def failure(call: Callable[[], object]) -> BaseException:
    """What ``call`` raises."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  the class is what is looked at afterwards
        call()
    return caught.value


def transport(library: ModuleType, status: int, body: Body, headers: Mapping[str, str]) -> Any:
    """A transport that answers like that."""

    def answer(_request: object) -> object:
        if isinstance(body, str):
            return library.Response(status, text=body, headers=headers)
        return library.Response(status, json=body, headers=headers)

    return library.MockTransport(answer)


def broken(library: ModuleType, error: str) -> Any:
    """A transport that loses every connection in one way."""

    def answer(request: object) -> object:
        raise getattr(library, error)("x", request=request) from OSError("below")

    return library.MockTransport(answer)


LOST = {
    "ConnectError": ("transient_network", False),
    "ConnectTimeout": ("timeout", False),
    "PoolTimeout": ("timeout", False),
    "ReadTimeout": ("timeout", True),
    "WriteTimeout": ("timeout", True),
    "ReadError": ("transient_network", True),
    "WriteError": ("transient_network", True),
    "RemoteProtocolError": ("transient_network", True),
}


# --- OpenAI -----------------------------------------------------------------------------------------------------------


def openai_failure(make: Callable[[ModuleType], Any]) -> BaseException:
    """What the OpenAI client raises over that transport."""
    openai = pytest.importorskip("openai")
    http = openai.DefaultHttpxClient(transport=make(http_library_of(openai.DefaultHttpxClient)))
    client = openai.OpenAI(api_key="sk-x", max_retries=0, http_client=http)
    return failure(lambda: client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}]))


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, {"type": "invalid_request_error", "code": None}, ("bad_request", "invalid_request_error")),
        (
            400,
            {"type": "invalid_request_error", "code": "context_length_exceeded"},
            ("context_length", "context_length_exceeded"),
        ),
        (400, {"code": "content_filter", "status": 400}, ("content_policy", "content_filter")),
        (
            400,
            {"type": "image_generation_user_error", "code": "content_policy_violation"},
            ("content_policy", "content_policy_violation"),
        ),
        (401, {"type": "invalid_request_error", "code": "invalid_api_key"}, ("auth", "invalid_api_key")),
        (
            403,
            {"type": "request_forbidden", "code": "unsupported_country_region_territory"},
            ("auth", "unsupported_country_region_territory"),
        ),
        (404, {"type": "invalid_request_error", "code": "model_not_found"}, ("not_found", "model_not_found")),
        (429, {"type": "tokens", "code": "rate_limit_exceeded"}, ("rate_limit", "rate_limit_exceeded")),
        (429, {"type": "insufficient_quota", "code": "insufficient_quota"}, ("quota", "insufficient_quota")),
        (
            429,
            {"type": "insufficient_quota", "code": "credit_balance_exhausted"},
            ("quota", "credit_balance_exhausted"),
        ),
        (500, {"type": "server_error", "code": None}, ("server_error", "server_error")),
        (503, {"type": "server_error", "code": None}, ("overloaded", "server_error")),
    ],
)
def test_openai_answers_are_understood(status: int, error: dict[str, object], expected: tuple[str, str]) -> None:
    """Its code is closer than its type, and either closer than the status."""
    body = {"error": {"message": "the prompt said SECRET", **error}}

    found = openai_failure(lambda library: transport(library, status, body, {}))

    assert outcome(found) == (expected[0], status, expected[1], False)
    assert "SECRET" not in classify(found).message


def test_openai_answers_without_json_are_understood() -> None:
    """A gateway in between speaks HTML."""
    found = openai_failure(lambda library: transport(library, 502, "<html>Bad gateway</html>", {"retry-after": "7"}))

    assert classify(found) == ErrorSnapshot(
        category=classify(found).category,
        message="server_error 502 openai.InternalServerError",
        status=502,
        retry_after_ms=7_000.0,
        may_have_cost=False,
    )


@pytest.mark.parametrize(("lost", "expected"), LOST.items())
def test_openai_connections_are_lost_in_two_ways(lost: str, expected: tuple[str, bool]) -> None:
    """Only the cause knows whether a request was ever sent."""
    found = openai_failure(lambda library: broken(library, lost))

    assert outcome(found) == (expected[0], None, None, expected[1])


def test_openai_errors_while_parsing_may_have_cost() -> None:
    """The answer came, and was cut short or of the wrong shape."""
    openai = pytest.importorskip("openai")
    httpx = http_library_of(openai.DefaultHttpxClient)
    completion = openai.types.CompletionUsage(completion_tokens=1, prompt_tokens=1, total_tokens=2)
    answer = httpx.Response(200, json={"type": "message"}, request=httpx.Request("POST", "http://x"))

    cut = openai.LengthFinishReasonError(completion=openai.types.chat.ChatCompletion.construct(usage=completion))
    odd = openai.APIResponseValidationError(answer, body={"type": "message", "code": "x"})

    assert outcome(cut) == ("schema_validation", None, None, True)
    assert outcome(odd) == ("schema_validation", 200, None, True)
    assert outcome(openai.ContentFilterFinishReasonError())[0] == "content_policy"


def test_openai_errors_within_a_stream_are_read_by_code() -> None:
    """They come without a status."""
    openai = pytest.importorskip("openai")
    httpx = http_library_of(openai.DefaultHttpxClient)
    request = httpx.Request("POST", "http://x")

    found = openai.APIError("x", request, body={"type": "server_error", "code": "rate_limit_exceeded"})

    assert outcome(found) == ("rate_limit", None, "rate_limit_exceeded", False)


# --- Anthropic --------------------------------------------------------------------------------------------------------


def anthropic_failure(make: Callable[[ModuleType], Any]) -> BaseException:
    """What the Anthropic client raises over that transport."""
    anthropic = pytest.importorskip("anthropic")
    http = anthropic.DefaultHttpxClient(transport=make(http_library_of(anthropic.DefaultHttpxClient)))
    client = anthropic.Anthropic(api_key="x", max_retries=0, http_client=http)
    return failure(lambda: client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}]))


@pytest.mark.parametrize(
    ("status", "kind", "text", "category"),
    [
        (400, "invalid_request_error", "max_tokens: field required", "bad_request"),
        (400, "invalid_request_error", "Your credit balance is too low to access the API", "quota"),
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", "context_length"),
        (401, "authentication_error", "x", "auth"),
        (402, "billing_error", "x", "quota"),
        (403, "permission_error", "x", "auth"),
        (404, "not_found_error", "x", "not_found"),
        (413, "request_too_large", "x", "context_length"),
        (429, "rate_limit_error", "x", "rate_limit"),
        (500, "api_error", "x", "server_error"),
        (504, "timeout_error", "x", "timeout"),
        (529, "overloaded_error", "x", "overloaded"),
    ],
)
def test_anthropic_answers_are_understood(status: int, kind: str, text: str, category: str) -> None:
    """A spent credit is a 400 there, without a code of its own."""
    body = {"type": "error", "error": {"type": kind, "message": text}}

    found = anthropic_failure(lambda library: transport(library, status, body, {"retry-after": "17"}))

    assert outcome(found) == (category, status, kind, False)
    assert classify(found).retry_after_ms == 17_000.0


@pytest.mark.parametrize(("lost", "expected"), LOST.items())
def test_anthropic_connections_are_lost_in_two_ways(lost: str, expected: tuple[str, bool]) -> None:
    """As with OpenAI."""
    found = anthropic_failure(lambda library: broken(library, lost))

    assert outcome(found) == (expected[0], None, None, expected[1])


def test_anthropic_errors_within_a_stream_are_read_by_type() -> None:
    """The answer began with 200, and then the provider was overloaded."""
    anthropic = pytest.importorskip("anthropic")
    events = 'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}\n\n'
    library = http_library_of(anthropic.DefaultHttpxClient)
    http = anthropic.DefaultHttpxClient(
        transport=transport(library, 200, events, {"content-type": "text/event-stream"})
    )
    client = anthropic.Anthropic(api_key="x", max_retries=0, http_client=http)

    found = failure(
        lambda: list(
            client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}], stream=True)
        )
    )

    assert outcome(found) == ("overloaded", 200, "overloaded_error", False)


# --- Google -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, {"status": "INVALID_ARGUMENT"}, ("bad_request", "INVALID_ARGUMENT")),
        (400, {"status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}, ("auth", "API_KEY_INVALID")),
        (403, {"status": "PERMISSION_DENIED"}, ("auth", "PERMISSION_DENIED")),
        (404, {"status": "NOT_FOUND"}, ("not_found", "NOT_FOUND")),
        (429, {"status": "RESOURCE_EXHAUSTED"}, ("rate_limit", "RESOURCE_EXHAUSTED")),
        (500, {"status": "INTERNAL"}, ("server_error", "INTERNAL")),
        (503, {"status": "UNAVAILABLE"}, ("overloaded", "UNAVAILABLE")),
        (504, {"status": "DEADLINE_EXCEEDED"}, ("timeout", "DEADLINE_EXCEEDED")),
    ],
)
def test_google_answers_are_understood(status: int, error: dict[str, object], expected: tuple[str, str]) -> None:
    """Its ``code`` is the HTTP status, and its ``status`` the code."""
    errors = pytest.importorskip("google.genai.errors")
    httpx = pytest.importorskip("httpx")
    reply = httpx.Response(status, json={"error": {"code": status, "message": "SECRET", **error}})

    found = failure(lambda: errors.APIError.raise_for_response(reply))

    assert outcome(found) == (expected[0], status, expected[1], False)
    assert "SECRET" not in classify(found).message


def test_google_says_how_long_to_wait_in_its_details() -> None:
    """A RetryInfo among them."""
    errors = pytest.importorskip("google.genai.errors")
    httpx = pytest.importorskip("httpx")
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}
    body = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"@type": "x"}, info]}}

    found = failure(lambda: errors.APIError.raise_for_response(httpx.Response(429, json=body)))

    assert classify(found).retry_after_ms == 3_500.0


# --- Mistral ----------------------------------------------------------------------------------------------------------


def mistral() -> Any:
    """The module of Mistral's client, which has moved."""
    try:
        return pytest.importorskip("mistralai.client")
    except ImportError:
        return pytest.importorskip("mistralai")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"detail": "Unauthorized"}, ("auth", None)),
        (
            400,
            {"object": "error", "type": "invalid_request_error", "code": "3051"},
            ("bad_request", "invalid_request_error"),
        ),
        (
            400,
            {"message": "Prompt contains 9 tokens, too large for model with 8 maximum context length"},
            ("context_length", None),
        ),
        (422, {"detail": [{"loc": ["body"], "msg": "x", "type": "missing"}]}, ("bad_request", None)),
        (429, {"message": "Requests rate limit exceeded", "type": "rate_limited"}, ("rate_limit", "rate_limited")),
        (503, "upstream connect error", ("overloaded", None)),
    ],
)
def test_mistral_answers_are_understood(status: int, body: Body, expected: tuple[str, str | None]) -> None:
    """Its errors keep the text of the body."""
    module = mistral()
    sdk = sys.modules[f"{module.__name__}.basesdk"]
    httpx = sdk.httpx
    http = httpx.Client(transport=transport(httpx, status, body, {"retry-after": "2"}))
    # One of its own would be closed on an event loop made for it when the client is collected.
    client = module.Mistral(api_key="x", client=http, async_client=httpx.AsyncClient())

    found = failure(lambda: client.chat.complete(model="m", messages=[{"role": "user", "content": "x"}]))

    assert outcome(found) == (expected[0], status, expected[1], False)
    assert classify(found).retry_after_ms == 2_000.0


# --- Bedrock ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bedrock() -> Any:
    """A Bedrock client that answers what it is told to."""
    session = pytest.importorskip("botocore.session").get_session()
    return session.create_client(
        "bedrock-runtime", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


@pytest.mark.parametrize(
    ("status", "code", "text", "category"),
    [
        (400, "ValidationException", "x", "bad_request"),
        (400, "ValidationException", "Input is too long for requested model.", "context_length"),
        (400, "ServiceQuotaExceededException", "x", "quota"),
        (400, "ThrottlingException", "x", "rate_limit"),
        (403, "AccessDeniedException", "x", "auth"),
        (403, "UnrecognizedClientException", "x", "auth"),
        (404, "ResourceNotFoundException", "x", "not_found"),
        (408, "ModelTimeoutException", "x", "timeout"),
        (424, "ModelErrorException", "x", "server_error"),
        (429, "ThrottlingException", "x", "rate_limit"),
        (429, "ModelNotReadyException", "x", "overloaded"),
        (500, "InternalServerException", "x", "server_error"),
        (503, "ServiceUnavailableException", "x", "overloaded"),
    ],
)
def test_bedrock_answers_are_understood(bedrock: Any, status: int, code: str, text: str, category: str) -> None:
    """The status lies in a mapping, and the code beside it."""
    stubber = pytest.importorskip("botocore.stub").Stubber(bedrock)
    stubber.add_client_error("converse", code, text, http_status_code=status)
    with stubber:
        found = failure(lambda: bedrock.converse(modelId="m", messages=[]))

    assert outcome(found) == (category, status, code, False)


def test_bedrock_headers_say_how_long_to_wait() -> None:
    """In the response's metadata."""
    exceptions = pytest.importorskip("botocore.exceptions")
    metadata = {"HTTPStatusCode": 429, "HTTPHeaders": {"retry-after": "4"}}
    error = exceptions.ClientError({"Error": {"Code": "x"}, "ResponseMetadata": metadata}, "Converse")

    assert classify(error).retry_after_ms == 4_000.0


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("EndpointConnectionError", {"endpoint_url": "x", "error": "x"}, ("transient_network", False)),
        ("ConnectTimeoutError", {"endpoint_url": "x"}, ("timeout", False)),
        ("ReadTimeoutError", {"endpoint_url": "x"}, ("timeout", True)),
        ("ConnectionClosedError", {"endpoint_url": "x"}, ("transient_network", True)),
        ("SSLError", {"endpoint_url": "x", "error": "x"}, ("transient_network", False)),
        ("ProxyConnectionError", {"proxy_url": "x"}, ("transient_network", False)),
        ("NoCredentialsError", {}, ("auth", False)),
        ("ParamValidationError", {"report": "x"}, ("bad_request", False)),
        ("ResponseStreamingError", {"error": "x"}, ("transient_network", True)),
        ("EventStreamError", None, ("rate_limit", False)),
    ],
)
def test_botocores_own_errors_are_understood(
    name: str, arguments: dict[str, str] | None, expected: tuple[str, bool]
) -> None:
    """By name; an event of a stream has a code and no status."""
    kind = getattr(pytest.importorskip("botocore.exceptions"), name)
    error = kind({"Error": {"Code": "throttlingException"}}, "x") if arguments is None else kind(**arguments)

    category, status, _, may_have_cost = outcome(error)

    assert (category, status, may_have_cost) == (expected[0], None, expected[1])


# --- httpx and aiohttp ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lost", "expected"), LOST.items())
def test_httpx_connections_are_lost_in_two_ways(lost: str, expected: tuple[str, bool]) -> None:
    """Before a request could be sent, or after."""
    httpx = pytest.importorskip("httpx")
    with httpx.Client(transport=broken(httpx, lost)) as client:
        found = failure(lambda: client.get("http://x/"))

    assert outcome(found) == (expected[0], None, None, expected[1])


def test_httpx_statuses_are_found_in_the_response() -> None:
    """``raise_for_status`` keeps it there."""
    httpx = pytest.importorskip("httpx")
    reply = httpx.Response(429, headers={"Retry-After": "3"}, request=httpx.Request("GET", "http://x/?key=SECRET"))

    found = failure(reply.raise_for_status)

    assert outcome(found) == ("rate_limit", 429, None, False)
    assert classify(found).retry_after_ms == 3_000.0
    assert classify(found).message == "rate_limit 429 httpx.HTTPStatusError"


def test_httpx_addresses_that_are_none_cost_nothing() -> None:
    """Nothing was sent."""
    httpx = pytest.importorskip("httpx")

    assert outcome(httpx.InvalidURL("x")) == ("bad_request", None, None, False)
    assert outcome(httpx.UnsupportedProtocol("x")) == ("bad_request", None, None, False)


def test_aiohttp_statuses_are_found() -> None:
    """Without touching the ``code`` property, which warns."""
    aiohttp = pytest.importorskip("aiohttp")
    multidict = pytest.importorskip("multidict")
    headers = multidict.CIMultiDictProxy(multidict.CIMultiDict({"Retry-After": "3"}))

    found = aiohttp.ClientResponseError(None, (), status=429, message="Too Many Requests", headers=headers)

    assert outcome(found) == ("rate_limit", 429, None, False)
    assert classify(found).retry_after_ms == 3_000.0
    assert classify(found).message == "rate_limit 429 aiohttp.client_exceptions.ClientResponseError"


def test_aiohttp_answers_of_another_kind_may_have_cost() -> None:
    """The provider answered 200 with something that is no JSON; an error page stays an error."""
    aiohttp = pytest.importorskip("aiohttp")

    assert outcome(aiohttp.ContentTypeError(None, (), status=200)) == ("schema_validation", 200, None, True)
    assert outcome(aiohttp.ContentTypeError(None, (), status=502)) == ("server_error", 502, None, False)
    assert outcome(aiohttp.ClientResponseError(None, ())) == ("generic", None, None, True)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("ClientConnectorError", (None, OSError(111, "refused")), ("transient_network", False)),
        ("ClientConnectorDNSError", (None, socket.gaierror(-2, "unknown")), ("transient_network", False)),
        ("ClientConnectorCertificateError", (None, ssl.SSLCertVerificationError(1, "x")), ("transient_network", False)),
        ("ClientConnectorSSLError", (None, OSError(1, "x")), ("transient_network", False)),
        ("ClientProxyConnectionError", (None, OSError(111, "refused")), ("transient_network", False)),
        ("ConnectionTimeoutError", (), ("timeout", False)),
        ("ServerTimeoutError", (), ("timeout", True)),
        ("SocketTimeoutError", (), ("timeout", True)),
        ("ServerDisconnectedError", (), ("transient_network", True)),
        ("ClientPayloadError", (), ("transient_network", True)),
        ("ClientOSError", (104, "reset"), ("transient_network", True)),
        ("ClientConnectionResetError", (), ("transient_network", True)),
        ("InvalidURL", ("x",), ("bad_request", False)),
    ],
)
def test_aiohttp_connections_are_lost_in_two_ways(
    name: str, arguments: tuple[object, ...], expected: tuple[str, bool]
) -> None:
    """A server that hangs up may have answered in its own books."""
    kind = getattr(pytest.importorskip("aiohttp"), name, None)
    if kind is None:
        pytest.skip(f"this aiohttp has no {name}")

    assert outcome(kind(*arguments)) == (expected[0], None, None, expected[1])


# --- parsing ----------------------------------------------------------------------------------------------------------


def test_answers_that_pydantic_refuses_may_have_cost() -> None:
    """The answer was there to be refused."""
    pydantic = pytest.importorskip("pydantic")

    found = failure(lambda: pydantic.TypeAdapter(int).validate_python("x"))

    assert outcome(found) == ("schema_validation", None, None, True)
