"""The real errors of botocore, httpx, aiohttp and pydantic, made as those make them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import pytest

from routeware.classify import classify, failed_over_by_status, statuses_taken
from routeware.policy import FailoverRules
from tests.fakes.failing import FailedError, raised
from tests.fakes.failing_sdks import LOST, broken, failure, outcome


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
    "reply",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 2OO OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"\x16\x03\x01\x00\xee\x01\x00\x00",
    ],
)
def test_a_reply_to_aiohttp_that_is_no_http_is_a_lost_connection(reply: bytes) -> None:
    """The 400 that it raises is its own: no server has sent one, and what the provider did is not known."""
    aiohttp = pytest.importorskip("aiohttp")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        writer.close()

    async def ask() -> BaseException:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with server, aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError) as caught:
                await session.get(address)
        return caught.value

    found = asyncio.run(ask())

    assert outcome(found) == ("transient_network", None, None, True)
    # The inner one may come alone, too; a wrapper changes nothing.
    assert outcome(found.__cause__ or found) == ("transient_network", None, None, True)
    assert outcome(raised(FailedError("x"), cause=found)) == ("transient_network", None, None, True)
    assert not failed_over_by_status(found, statuses_taken(FailoverRules(on_status=[400])))


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


def test_answers_that_pydantic_refuses_may_have_cost() -> None:
    """The answer was there to be refused."""
    pydantic = pytest.importorskip("pydantic")

    found = failure(lambda: pydantic.TypeAdapter(int).validate_python("x"))

    assert outcome(found) == ("schema_validation", None, None, True)
