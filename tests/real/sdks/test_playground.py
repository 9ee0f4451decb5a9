"""The demo's providers answer the real SDKs of OpenAI and Anthropic as their own do, streams included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from routeware import Attempt, RoutingPolicy, routed
from routeware.pricing import read_reply

pytest.importorskip("aiohttp")
openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

from routeware.demo.playground import ANSWER, Exchange, playground  # noqa: E402 - only where there is an aiohttp

PROMPT = [{"role": "user", "content": "Why is the sky blue?"}]
USAGE = (5, 7)
"""What a prompt and an answer of these lengths are counted as."""


@pytest.fixture
def exchanges() -> list[Exchange]:
    """The requests that the providers report."""
    return []


@pytest.fixture
async def address(exchanges: list[Exchange]) -> AsyncIterator[str]:
    """Where the providers are."""
    async with playground(0, exchanges.append) as url:
        yield url


@pytest.fixture
async def gpt(address: str) -> AsyncIterator[Any]:
    """A client of the one."""
    async with openai.AsyncOpenAI(api_key="none", base_url=f"{address}/openai/v1", max_retries=0) as client:
        yield client


@pytest.fixture
async def claude(address: str) -> AsyncIterator[Any]:
    """A client of the other."""
    async with anthropic.AsyncAnthropic(api_key="none", base_url=f"{address}/anthropic", max_retries=0) as client:
        yield client


def counted(reply: object) -> tuple[int | None, int | None]:
    """The usage that routeware reads off a reply."""
    usage = read_reply(reply).usage
    assert usage is not None
    return usage.input_tokens, usage.output_tokens


async def test_a_chat_completion(gpt: Any) -> None:
    """Whole, with its usage."""
    reply = await gpt.chat.completions.create(model="gpt-4o", messages=PROMPT)

    assert reply.choices[0].message.content == ANSWER
    assert reply.model == "gpt-4o"
    assert counted(reply) == USAGE


async def test_a_streamed_chat_completion(gpt: Any) -> None:
    """Word by word; the usage comes last, if it is asked for, as OpenAI does it."""
    plain = [chunk async for chunk in await gpt.chat.completions.create(model="gpt-4o", messages=PROMPT, stream=True)]
    options = {"include_usage": True}
    asked = gpt.chat.completions.create(model="gpt-4o", messages=PROMPT, stream=True, stream_options=options)
    chunks = [chunk async for chunk in await asked]

    assert "".join(chunk.choices[0].delta.content or "" for chunk in plain) == ANSWER
    assert plain[-1].choices[0].finish_reason == "stop"
    assert not any(chunk.usage for chunk in plain)
    assert counted(chunks[-1]) == USAGE


async def test_a_response(gpt: Any) -> None:
    """The other API of OpenAI's, whole and streamed."""
    reply = await gpt.responses.create(model="gpt-4o", input="Why is the sky blue?")
    async with gpt.responses.stream(model="gpt-4o", input="Why is the sky blue?") as events:
        text = "".join([event.delta async for event in events if event.type == "response.output_text.delta"])
        final = await events.get_final_response()

    assert reply.output_text == text == final.output_text == ANSWER
    assert counted(reply) == counted(final) == USAGE


async def test_a_message(claude: Any) -> None:
    """Anthropic's API, whole and streamed."""
    reply = await claude.messages.create(model="claude-sonnet-4-6", max_tokens=80, messages=PROMPT)
    async with claude.messages.stream(model="claude-sonnet-4-6", max_tokens=80, messages=PROMPT) as events:
        text = "".join([piece async for piece in events.text_stream])
        final = await events.get_final_message()

    assert reply.content[0].text == text == ANSWER
    assert counted(reply) == counted(final) == USAGE
    assert final.stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("failing", "of_openai", "of_anthropic"),
    [
        ("down", openai.InternalServerError, anthropic.InternalServerError),
        ("limited", openai.RateLimitError, anthropic.RateLimitError),
        ("dropped", openai.APIConnectionError, anthropic.APIConnectionError),
    ],
)
async def test_a_model_s_name_makes_its_provider_fail(
    gpt: Any, claude: Any, exchanges: list[Exchange], failing: str, of_openai: type, of_anthropic: type
) -> None:
    """With the errors that the SDKs have for it, and the requests are reported."""
    with pytest.raises(of_openai):
        await gpt.chat.completions.create(model=f"gpt-4o-{failing}", messages=PROMPT)
    with pytest.raises(of_anthropic):
        await claude.messages.create(model=f"claude-{failing}", max_tokens=80, messages=PROMPT)

    outcomes = {"down": ["503", "529"], "limited": ["429", "429"], "dropped": ["hung up", "hung up"]}
    assert [(each.provider, each.model) for each in exchanges] == [
        ("openai", f"gpt-4o-{failing}"),
        ("anthropic", f"claude-{failing}"),
    ]
    assert [each.outcome for each in exchanges] == outcomes[failing]


async def test_a_path_makes_every_model_of_a_provider_fail(address: str, gpt: Any) -> None:
    """A program can be tried without changing its policy."""
    down = gpt.with_options(base_url=f"{address}/down/openai/v1")

    with pytest.raises(openai.InternalServerError):
        await down.chat.completions.create(model="gpt-4o", messages=PROMPT)


async def test_a_chain_fails_over_and_races_against_them(gpt: Any, claude: Any, exchanges: list[Exchange]) -> None:
    """Two SDKs, a provider that is down and one that is slow; the loser's request is seen to be given up."""
    chain = ["openai:gpt-4o-down", "openai:gpt-4o-slow", "anthropic:claude-sonnet-4-6"]

    @routed(RoutingPolicy(chain=chain, latency={"race_after_ms": 20}))
    async def ask(attempt: Attempt) -> AsyncIterator[str]:
        chunks = await gpt.chat.completions.create(model=attempt.model, messages=PROMPT, stream=True)
        async with chunks:
            async for chunk in chunks:
                if text := chunk.choices[0].delta.content:
                    yield text

    @ask.provider("anthropic")
    async def ask_claude(attempt: Attempt) -> AsyncIterator[str]:
        async with claude.messages.stream(model=attempt.model, max_tokens=80, messages=PROMPT) as events:
            async for text in events.text_stream:
                yield text

    async with ask() as stream:
        text = "".join([piece async for piece in stream])
    assert stream.record is not None

    assert text == ANSWER
    assert stream.record.trail() == (
        "gpt-4o-down 503 overloaded, gpt-4o-slow lost the race, claude-sonnet-4-6 answered"
    )
    while len(exchanges) < 3:  # noqa: ASYNC110 - the server appends to a list
        await asyncio.sleep(0.01)
    assert {each.model: each.outcome for each in exchanges} == {
        "gpt-4o-down": "503",
        "gpt-4o-slow": "caller left",
        "claude-sonnet-4-6": "200",
    }
