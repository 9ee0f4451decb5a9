"""The recipe for Pydantic AI, as the page has it, with a real Pydantic AI and the demo's providers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from routeware import RoutingPolicy, session
from tests.docs.readme import README, blocks

pytest.importorskip("aiohttp")
pydantic_ai = pytest.importorskip("pydantic_ai")
pytest.importorskip("pydantic_ai.models.openai", exc_type=ImportError)
pytest.importorskip("pydantic_ai.models.anthropic", exc_type=ImportError)

from routeware.demo.playground import ANSWER, Exchange, playground  # noqa: E402 - only where there is an aiohttp

RECIPE, USE = [
    block.text for block in blocks("python", [README.parent / "docs" / "recipes.md"]) if "pydantic_ai" in block.text
]
CHAIN = ("openai:gpt-4o-down", "openai:gpt-4o-slow", "anthropic:claude-sonnet-4-6")
PRICE = {"input_usd_per_mtok": 3.0, "output_usd_per_mtok": 15.0}


@pytest.fixture
def exchanges() -> list[Exchange]:
    """The requests that the providers saw."""
    return []


@pytest.fixture
async def agent(exchanges: list[Exchange], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """The page's agent, with a first model that is down, a second that is slow, and a race between the others."""
    async with playground(0, exchanges.append) as url:
        for name, value in {
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": f"{url}/openai/v1",
            "ANTHROPIC_API_KEY": "none",
            "ANTHROPIC_BASE_URL": f"{url}/anthropic",
        }.items():
            monkeypatch.setenv(name, value)
        page: dict[str, Any] = {}
        exec(compile(f"{RECIPE}\n{USE}", "recipes.md", "exec"), page)
        models = {label: _named(page["models"], label) for label in CHAIN}
        links = [dict(zip(("provider", "model"), label.split(":"), strict=True), price=PRICE) for label in CHAIN]
        policy = RoutingPolicy(chain=links, latency={"race_after_ms": 100})
        async with pydantic_ai.Agent(page["RoutedModel"](policy, models)) as agent:
            yield agent
        await page["gpt"].client.close()
        await page["claude"].client.close()


def _named(models: dict[str, Any], label: str) -> Any:
    """The page's model of this provider, under another name."""
    provider, _, name = label.partition(":")
    like = next(model for key, model in models.items() if key.startswith(provider))
    return type(like)(name, provider=like._provider)


async def test_a_run_fails_over_and_races(agent: Any, exchanges: list[Exchange]) -> None:
    """The agent gets the winner's answer, and the session its cost."""
    async with session() as spending:
        result = await agent.run("Why is the sky blue?")

    assert result.output == ANSWER
    assert [exchange.outcome for exchange in exchanges[:2]] == ["503", "200"]
    assert spending.spent_usd == pytest.approx(5 * 3e-6 + 7 * 15e-6)


async def test_a_streamed_run_fails_over_and_races(agent: Any, exchanges: list[Exchange]) -> None:
    """Up to the stream's opening; its usage is booked when the agent has read it."""
    async with session() as spending, agent.run_stream("Why is the sky blue?") as stream:
        text = "".join([piece async for piece in stream.stream_text(delta=True)])

    assert text == ANSWER
    assert exchanges[0].outcome == "503"
    assert spending.spent_usd == pytest.approx(5 * 3e-6 + 7 * 15e-6)
