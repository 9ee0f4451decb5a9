"""Transports that answer or break as told, so that SDKs raise their own errors by themselves."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest

from routeware.classify import classify

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
