"""The caller's own proxy: what it refuses never reached the provider."""

from __future__ import annotations

import pytest

from routeware.classify import classify
from routeware.errors import ErrorCategory
from tests.fakes.failing import FailedError, named, raised


@pytest.mark.parametrize("name", ["ClientHttpProxyError", "ProxyError", "HttpProxyError"])
@pytest.mark.parametrize(
    ("status", "category"), [(407, "egress_blocked"), (403, "egress_blocked"), (502, "transient_network")]
)
def test_a_proxys_status_is_its_own(name: str, status: int, category: str) -> None:
    """A proxy that wants to know who asks, or does not let one out, is no provider; one that fails may be cured."""
    error = named(name)()
    vars(error)["status"] = status

    found = classify(error)

    assert (found.category.value, found.status, found.may_have_cost) == (category, status, False)


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("407 Proxy Authentication Required", "egress_blocked"),
        ("Tunnel connection failed: HTTP 403 Forbidden", "egress_blocked"),
        ("502 Bad Gateway", "transient_network"),
        ("Connection refused", "transient_network"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_proxys_status_may_stand_in_its_text(text: str, category: str, wrapped: bool) -> None:
    """As httpx gives it; an SDK's lost connection behind which it stands is that, too."""
    error = named("ProxyError")(text)
    if wrapped:
        error = raised(named("APIConnectionError")("Connection error."), cause=error)

    assert (classify(error).category.value, classify(error).may_have_cost) == (category, False)


def test_every_client_sees_407_alike() -> None:
    """Also where the class says nothing of a proxy."""
    assert classify(FailedError(status_code=407)).category is ErrorCategory.EGRESS_BLOCKED
