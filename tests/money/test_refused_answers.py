"""Refusals cost nothing, wherever the error keeps the status of the answer."""

from __future__ import annotations

import pytest

import routeware
from tests.fakes.failing import FailedError, Response, named
from tests.fakes.providers import fails, script

GRPC_LIKE = type("ResourceExhausted", (Exception,), {"__module__": "google.api_core.exceptions", "code": 429})
REFUSALS = {
    "status_code": FailedError("x", status_code=429),
    "status": FailedError("x", status=503),
    "its response": FailedError("x", response=Response(status_code=401)),
    "botocore": FailedError(
        "x", response={"ResponseMetadata": {"HTTPStatusCode": 429}, "Error": {"Code": "Throttling"}}
    ),
    "a number as its code": FailedError("x", code=404),
    "a constant of the class": GRPC_LIKE("x"),
    "a code in its body": FailedError("x", body={"error": {"code": "rate_limit_exceeded"}}),
    "the name of its class": named("RateLimitError")("x"),
    "its text": RuntimeError("Error code: 429 - slow down"),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
async def test_five_refusals_under_a_cap_book_nothing(refusal: Exception) -> None:
    """Booked at their projections, five of them would have used up the cap, and a provider that recovers too late."""
    providers = script(a=fails(1, refusal))
    ask = providers.ask(usd={"a": 0.01})

    async with routeware.session(limit_usd=0.05) as spending:
        for _ in range(5):
            providers.again()
            with pytest.raises(type(refusal)):
                await ask()

    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0, 0, 0)
