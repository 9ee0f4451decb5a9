"""FastAPI takes a decorated function for what it is: an async function of its caller's parameters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

import routeware
from routeware import Attempt, BudgetExceededError, RoutingPolicy, routed

POLICY = RoutingPolicy(chain=[{"provider": "a", "model": "m", "price": {"request_usd": 0.25}}, "b:m"])


@routed(POLICY)
async def answer(attempt: Attempt, question: str, polite: bool = False) -> str:
    """Answer a question."""
    return f"{attempt.provider}: {question}{', please' if polite else ''}"


class Service:
    """Methods are dependencies, too."""

    @routed(POLICY)
    async def answer(self, attempt: Attempt, question: str) -> str:
        return f"{attempt.provider} says {question}"


app = FastAPI()
Answer = Annotated[str, Depends(answer)]
ServiceAnswer = Annotated[str, Depends(Service().answer)]
app.get("/endpoint")(answer)


@app.get("/dependency")
async def dependency(found: Answer) -> dict[str, str]:
    """A dependency's parameters are the query's."""
    return {"found": found}


@app.get("/method")
async def method(found: ServiceAnswer) -> dict[str, str]:
    """A bound method is a dependency like any other."""
    return {"found": found}


@app.get("/helper/{tenant}")
async def helper(tenant: str) -> dict[str, Any]:
    """A helper with a session per tenant."""
    async with routeware.session(tenant, limit_usd=0.25) as spending:
        found = await answer.with_policy(RoutingPolicy(chain=POLICY.chain[:1]))("hi")
        try:
            await answer.with_policy(RoutingPolicy(chain=POLICY.chain[:1]))("again")
        except BudgetExceededError as refusal:
            return {"found": found, "refused": refusal.session_name, "spent": spending.uncertain_usd}
    return {}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, without a socket."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.mark.parametrize("path", ["/endpoint", "/dependency", "/method"])
def test_the_attempt_is_no_parameter_of_the_interface(path: str) -> None:
    """The documentation shows what a caller may give, and nothing of ours."""
    parameters = {parameter["name"] for parameter in app.openapi()["paths"][path]["get"]["parameters"]}

    assert parameters == ({"question"} if path == "/method" else {"question", "polite"})


async def test_it_is_an_endpoint(client: httpx.AsyncClient) -> None:
    """It is awaited, and its result is the response."""
    response = await client.get("/endpoint", params={"question": "why", "polite": True})

    assert (response.status_code, response.json()) == (200, "a: why, please")


async def test_it_is_a_dependency(client: httpx.AsyncClient) -> None:
    """Its result is what the endpoint gets."""
    assert (await client.get("/dependency", params={"question": "why"})).json() == {"found": "a: why"}
    assert (await client.get("/dependency")).status_code == 422


async def test_a_method_is_a_dependency(client: httpx.AsyncClient) -> None:
    """Bound, so without `self`."""
    assert (await client.get("/method", params={"question": "why"})).json() == {"found": "a says why"}


async def test_it_is_a_helper_with_a_session_per_tenant(client: httpx.AsyncClient) -> None:
    """Each tenant has a budget of its own."""
    for tenant in ("ann", "bob"):
        assert (await client.get(f"/helper/{tenant}")).json() == {"found": "a: hi", "refused": tenant, "spent": 0.25}
