"""Codes that are not HTTP's: gRPC's, which are asked for by a method, and JSON-RPC's, which are numbers."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any

import pytest

from routeware.classify import classify
from routeware.errors import ErrorCategory
from tests.fakes.failing import FailedError, raised


class StatusCode(Enum):
    """As ``grpc.StatusCode``."""

    CANCELLED = (1, "cancelled")
    UNKNOWN = (2, "unknown")
    INVALID_ARGUMENT = (3, "invalid argument")
    DEADLINE_EXCEEDED = (4, "deadline exceeded")
    NOT_FOUND = (5, "not found")
    ALREADY_EXISTS = (6, "already exists")
    PERMISSION_DENIED = (7, "permission denied")
    RESOURCE_EXHAUSTED = (8, "resource exhausted")
    FAILED_PRECONDITION = (9, "failed precondition")
    ABORTED = (10, "aborted")
    OUT_OF_RANGE = (11, "out of range")
    UNIMPLEMENTED = (12, "unimplemented")
    INTERNAL = (13, "internal")
    UNAVAILABLE = (14, "unavailable")
    DATA_LOSS = (15, "data loss")
    UNAUTHENTICATED = (16, "unauthenticated")
    SOMETHING_NEW = (17, "something new")


class NumberedCode(IntEnum):
    """As ``temporalio.service.RPCStatusCode``."""

    UNAVAILABLE = 14


class CallError(Exception):
    """As ``grpc.aio.AioRpcError``."""

    def __init__(self, code: object, details: object = "", metadata: object = ()) -> None:
        super().__init__(code, details)
        self._said = (code, details, metadata)

    def code(self) -> object:
        """Give the status."""
        return self._said[0]

    def details(self) -> object:
        """Give the text of the status."""
        return self._said[1]

    def trailing_metadata(self) -> object:
        """Give what came last."""
        return self._said[2]


CATEGORIES = {
    "CANCELLED": ("cancelled", True),
    "UNKNOWN": ("server_error", False),
    "INVALID_ARGUMENT": ("bad_request", False),
    "DEADLINE_EXCEEDED": ("timeout", True),
    "NOT_FOUND": ("not_found", False),
    "ALREADY_EXISTS": ("bad_request", False),
    "PERMISSION_DENIED": ("auth", False),
    "RESOURCE_EXHAUSTED": ("rate_limit", False),
    "FAILED_PRECONDITION": ("bad_request", False),
    "ABORTED": ("server_error", False),
    "OUT_OF_RANGE": ("bad_request", False),
    "UNIMPLEMENTED": ("server_error", False),
    "INTERNAL": ("server_error", False),
    "UNAVAILABLE": ("overloaded", False),
    "DATA_LOSS": ("server_error", False),
    "UNAUTHENTICATED": ("auth", False),
    "SOMETHING_NEW": ("server_error", False),
}


@pytest.mark.parametrize(("name", "expected"), CATEGORIES.items())
def test_a_grpc_code_is_asked_for(name: str, expected: tuple[str, bool]) -> None:
    """A time-out and a cancellation may be the client's own, and something was under way then."""
    found = classify(CallError(StatusCode[name], "no"))

    assert (found.category.value, found.may_have_cost) == expected
    assert (found.status, found.code) == (None, name)


@pytest.mark.parametrize(
    ("name", "text", "category", "may_have_cost"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses; Connection refused", "transient_network", False),
        ("UNAVAILABLE", "errors resolving x:443: Domain name not found", "transient_network", False),
        ("UNAVAILABLE", "recvmsg:Connection reset by peer", "transient_network", True),
        ("UNAVAILABLE", "Socket closed", "transient_network", True),
        ("INTERNAL", "Received RST_STREAM with error code 2", "server_error", True),
        ("INTERNAL", "Exception deserializing response!", "server_error", True),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (5 vs. 4)", "rate_limit", True),
        ("DEADLINE_EXCEEDED", "failed to connect to all addresses", "timeout", False),
        ("PERMISSION_DENIED", "closed to your region", "auth", False),
        ("RESOURCE_EXHAUSTED", "Your team has used all available credits", "quota", False),
        ("RESOURCE_EXHAUSTED", "Your credits are exhausted. Try again in 5 seconds", "rate_limit", False),
        ("INVALID_ARGUMENT", "This model's maximum prompt length is 9 but the request has 12", "context_length", False),
        ("PERMISSION_DENIED", "Content violates usage guidelines.", "content_policy", False),
    ],
)
def test_the_text_of_a_grpc_status_says_more(name: str, text: str, category: str, may_have_cost: bool) -> None:
    """The client reports its own troubles in the server's codes; the words tell them apart."""
    found = classify(CallError(StatusCode[name], text))

    assert (found.category.value, found.may_have_cost) == (category, may_have_cost)


def test_grpc_metadata_say_how_long_to_wait() -> None:
    """As headers do."""
    error = CallError(StatusCode.UNAVAILABLE, "no", (("x", "y"), ("retry-after", "3")))

    assert classify(error).retry_after_ms == 3_000.0
    assert classify(CallError(StatusCode.UNAVAILABLE, "no", None)).retry_after_ms is None
    assert classify(CallError(StatusCode.UNAVAILABLE, "no", 3)).retry_after_ms is None


@pytest.mark.parametrize("code", [None, 14, "UNAVAILABLE", object()])
def test_what_is_no_grpc_status_is_read_like_any_error(code: object) -> None:
    """A method of that name gives something else."""
    assert classify(CallError(code)).code is None


def test_methods_that_raise_say_nothing() -> None:
    """They are foreign code like any property."""

    class RaisingError(Exception):
        def code(self) -> object:
            raise RuntimeError

        def details(self) -> object:
            raise RuntimeError

    assert classify(RaisingError()).category is ErrorCategory.GENERIC


def test_an_enum_is_a_code_by_its_name() -> None:
    """``grpclib`` and others keep the member itself."""
    assert classify(FailedError(code=StatusCode.UNAVAILABLE)).category is ErrorCategory.OVERLOADED
    assert classify(FailedError(status=StatusCode.UNAUTHENTICATED)).category is ErrorCategory.AUTH
    assert classify(FailedError(status=NumberedCode.UNAVAILABLE)).category is ErrorCategory.OVERLOADED
    assert classify(FailedError(code=NumberedCode.UNAVAILABLE)).category is ErrorCategory.OVERLOADED


class ApiError(Exception):
    """As the errors of ``google.api_core``."""

    code = 503
    grpc_status_code = StatusCode.UNAVAILABLE

    def __init__(self, response: object = None) -> None:
        super().__init__()
        self._response = response

    @property
    def response(self) -> object:
        """Give the gRPC error that it was made of."""
        return self._response


def test_a_class_may_have_a_status_and_a_grpc_code() -> None:
    """Both are constants of it."""
    found = classify(ApiError())

    assert (found.category.value, found.status, found.code, found.may_have_cost) == (
        "overloaded",
        503,
        "UNAVAILABLE",
        False,
    )


@pytest.mark.parametrize(("text", "may_have_cost"), [("no", False), ("Socket closed", True)])
def test_the_grpc_error_behind_a_status_says_what_was_spent(text: str, may_have_cost: bool) -> None:
    """The class gives its status to a connection that broke, too."""
    inner = CallError(StatusCode.UNAVAILABLE, text)

    assert classify(raised(ApiError(inner), cause=inner)).may_have_cost is may_have_cost


JSON_RPC = {
    -32700: ("server_error", True),
    -32600: ("bad_request", False),
    -32601: ("not_found", False),
    -32602: ("bad_request", False),
    -32603: ("server_error", False),
    -32000: ("transient_network", True),
    -32001: ("timeout", True),
    -32002: ("not_found", False),
    -32050: ("server_error", False),
    -32099: ("server_error", False),
    -32800: ("cancelled", False),
}


@pytest.mark.parametrize(("code", "expected"), JSON_RPC.items())
@pytest.mark.parametrize("place", ["error object", "whole response", "error mapping", "code", "body"])
def test_json_rpc_numbers_are_codes(code: int, expected: tuple[str, bool], place: str) -> None:
    """A lost connection and a time-out are the client's own words for an answer that did not come."""
    attributes: dict[str, dict[str, Any]] = {
        "error object": {"error": FailedError(code=code)},
        "whole response": {"error": FailedError(error=FailedError(code=code))},
        "error mapping": {"error": {"code": code, "message": "x"}},
        "code": {"code": code},
        "body": {"body": {"jsonrpc": "2.0", "error": {"code": code}}},
    }

    found = classify(FailedError(**attributes[place]))

    assert (found.category.value, found.may_have_cost) == expected
    assert (found.status, found.code) == (None, str(code))


@pytest.mark.parametrize("code", [-1, 0, 14, -31_999, -32_100, True, -32_000.0])
def test_other_numbers_are_no_codes(code: object) -> None:
    """Errno, exit codes and what else is a number."""
    assert classify(FailedError(error={"code": code})).category is ErrorCategory.GENERIC


def test_a_client_that_got_a_page_says_so_in_a_code_of_its_own() -> None:
    """MCP's client gives the number of an invalid request to a reply that is no JSON."""
    found = classify(FailedError("Unexpected content type: text/html", error={"code": -32600}))

    assert (found.category, found.may_have_cost) == (ErrorCategory.SERVER_ERROR, True)


def test_a_status_without_grpc_behind_it_is_read_as_ever() -> None:
    """An error under ``response`` may be any error."""
    assert classify(ApiError(ValueError())).status == 503
