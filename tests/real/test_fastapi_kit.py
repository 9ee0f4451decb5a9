"""FastAPI's TestClient runs an application in a thread and a loop of its own: scripts follow it there."""

from __future__ import annotations

import fastapi
from fastapi.testclient import TestClient

from routeware import Attempt, RoutingPolicy, routed
from routeware.testing import fails, scripted, trail


@routed(RoutingPolicy(chain=["a:m", "b:m"]))
async def ask(attempt: Attempt, prompt: str) -> str:
    """Answer for real."""
    return f"real {prompt}"


app = fastapi.FastAPI()


@app.get("/ask")
async def answer(prompt: str) -> str:
    """Pass the answer on."""
    return await ask(prompt)


def test_a_request_of_the_test_client_is_played() -> None:
    """With the client entered or not."""
    for client in (TestClient(app), TestClient(app).__enter__()):
        with scripted(ask, {"a": fails(429), "b": "scripted"}) as play:
            assert client.get("/ask", params={"prompt": "sky?"}).json() == "scripted"
        assert [trail(call) for call in play.calls] == [["a:m failed:rate_limit", "b:m selected"]]
        assert client.get("/ask", params={"prompt": "sky?"}).json() == "real sky?"
    client.__exit__()
