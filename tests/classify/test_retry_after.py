"""How long a provider asks to be left alone, in all the spellings."""

from __future__ import annotations

import math
from collections import UserDict
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from routeware.classify import classify

NOON = datetime(2030, 5, 17, 12, tzinfo=UTC)


class RefusedError(Exception):
    """An error with attributes."""

    def __init__(self, **attributes: object) -> None:
        super().__init__()
        vars(self).update(attributes)


def wait_of(**attributes: object) -> float | None:
    """What is read of an error with these attributes."""
    return classify(RefusedError(status_code=429, **attributes)).retry_after_ms


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock on the wall stands still."""
    monkeypatch.setattr("routeware.classify.waiting.time", SimpleNamespace(time=NOON.timestamp))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3", 3_000.0),
        ("1.5", 1_500.0),
        (" 2 ", 2_000.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("7s", 7_000.0),
        (4, 4_000.0),
        (0.25, 250.0),
        (b"6", 6_000.0),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        (math.nan, None),
        (math.inf, None),
        (1e308, None),
        ("9" * 400, None),
        (10**400, None),
        (True, None),
        (None, None),
        ("1_000", None),
        ("٣", None),
        ([3], None),
        (format_datetime(NOON.replace(second=20), usegmt=True), 20_000.0),
        (format_datetime(NOON.replace(hour=11), usegmt=True), 0.0),
        ("Fri, 17 May 2030 12:00:30 -0000", 30_000.0),
        ("Fri, 99 May 2030 12:00:30 GMT", None),
        ("Fri, 17 May 99999999999 12:00:30 GMT", None),
    ],
)
def test_the_header_is_seconds_or_a_date(value: object, expected: float | None) -> None:
    """What is neither is passed over; it is never negative."""
    assert wait_of(headers={"retry-after": value}) == expected


def test_a_date_is_taken_by_the_providers_own_clock() -> None:
    """Where the response says what that showed; else by ours."""
    late = format_datetime(NOON.replace(minute=10, second=30), usegmt=True)
    now = format_datetime(NOON.replace(minute=10), usegmt=True)

    assert wait_of(headers={"Retry-After": late, "Date": now}) == 30_000.0
    assert wait_of(headers={"Retry-After": late, "Date": "noonish"}) == 630_000.0
    assert wait_of(headers={"Retry-After": now, "Date": late}) == 0.0


def test_milliseconds_come_before_seconds() -> None:
    """They are the more exact word; where they mean nothing the seconds stand."""
    assert wait_of(headers={"retry-after-ms": "1500", "retry-after": "9"}) == 1_500.0
    assert wait_of(headers={"retry-after-ms": "soon", "retry-after": "9"}) == 9_000.0
    assert wait_of(headers={"retry-after-ms": "-1"}) == 0.0
    assert wait_of(headers={"x-ms-retry-after-ms": "1500", "retry-after": "2"}) == 1_500.0


def _message() -> Message:
    message = Message()
    message["Retry-After"] = "3"
    return message


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "3"},
        {"Retry-After": "3"},
        {"RETRY-AFTER": "3"},
        {b"Retry-After": b"3"},
        {3: "x", "x": "y", "rEtry-aFter": "3"},
        MappingProxyType({"Retry-After": "3"}),
        UserDict({"retry-after": "3"}),
        [("x", "1"), ("Retry-After", "3")],
        (("x", "1"), ["retry-after", "3"]),
        [(b"retry-after", b"3")],
        [None, ("too", "many", "parts"), "ab", ("retry-after", "3")],
        _message(),
    ],
)
def test_headers_may_be_kept_in_many_ways(headers: Any) -> None:
    """Mappings with or without regard to case, pairs, text or bytes."""
    assert wait_of(headers=headers) == 3_000.0
    assert wait_of(response=SimpleNamespace(headers=headers)) == 3_000.0
    assert wait_of(raw_response=SimpleNamespace(headers=headers)) == 3_000.0
    assert wait_of(response={"ResponseMetadata": {"HTTPHeaders": headers}}) == 3_000.0


@pytest.mark.parametrize(
    "headers", [None, 3, "retry-after: 3", object(), {}, [], ["retry-after"], UserDict({"x": "y"})]
)
def test_headers_that_are_none_say_nothing(headers: Any) -> None:
    """The next place is looked at."""
    assert wait_of(headers=headers) is None
    assert wait_of(headers=headers, retry_after=2) == 2_000.0
    assert wait_of(headers=headers, response=SimpleNamespace(headers={"retry-after": "3"})) == 3_000.0


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"retry_after": 3}, 3_000.0),
        ({"retry_after": 0.5}, 500.0),
        ({"retry_after": "3"}, 3_000.0),
        ({"retry_after": -3}, 0.0),
        ({"retry_after": False}, None),
        ({"retry_after": math.nan}, None),
        ({"retry_after_ms": 30}, 30.0),
        ({"retry_after": timedelta(seconds=3)}, 3_000.0),
        ({"body": {"error": {"retry_after": 3}}}, 3_000.0),
        ({"body": {"retryAfter": "3"}}, 3_000.0),
        ({"retry_after_ms": 30, "retry_after": 3}, 30.0),
        ({"retry_after_ms": None, "retry_after": 3}, 3_000.0),
    ],
)
def test_an_attribute_says_it_too(attributes: dict[str, object], expected: float | None) -> None:
    """Seconds, or milliseconds by name."""
    assert wait_of(**attributes) == expected


@pytest.mark.parametrize(
    "attributes",
    [
        {"details": {"error": {"details": [{"@type": "x"}, {"retryDelay": "3.5s"}]}}},
        {"details": {"details": [{"retryDelay": "3.5s"}]}},
        {"details": [{"retryDelay": "3.5s"}]},
        {"body": {"error": {"details": [{"retryDelay": "3.5s"}]}}},
    ],
)
def test_googles_retry_info_is_read(attributes: dict[str, object]) -> None:
    """``google.rpc.RetryInfo`` in the error's details."""
    assert wait_of(**attributes) == 3_500.0


def test_googles_retry_info_may_be_a_message() -> None:
    """Its older clients unpack the protobuf."""
    info = type("RetryInfo", (), {"retry_delay": SimpleNamespace(seconds=3, nanos=500_000_000)})()

    assert wait_of(details=[info]) == 3_500.0
    assert wait_of(details=[type("RetryInfo", (), {})()]) is None


def test_rate_limit_resets_are_left_alone() -> None:
    """They say when a window ends, each provider in its own way, and not which window was full."""
    assert wait_of(headers={"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset": "1900000000"}) is None


def test_it_is_read_whatever_the_error_is() -> None:
    """A provider may say it with any status, or none."""
    error = TimeoutError()
    vars(error)["retry_after"] = 2

    assert classify(error).retry_after_ms == 2_000.0
