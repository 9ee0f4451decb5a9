"""Streams through the failover of other libraries, for ``streams.py``: each as its documentation tells, no network.

A library that is not installed is left out. Each has a second link that is never asked, as ours has.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from importlib.util import find_spec
from typing import Any

__all__ = ["PEERS"]

Stream = Callable[[int], AsyncIterator[Any]]


def langchain() -> Stream:
    """``astream`` of a runnable with fallbacks."""
    from langchain_core.runnables import RunnableGenerator

    async def generate(inputs: AsyncIterator[int]) -> AsyncIterator[int]:
        async for items in inputs:
            for item in range(items):
                yield item

    return RunnableGenerator(generate).with_fallbacks([RunnableGenerator(generate)]).astream


def pydantic_ai() -> Stream:
    """``run_stream`` of an agent over a fallback model, text as it comes."""
    from pydantic_ai import Agent
    from pydantic_ai.models.fallback import FallbackModel
    from pydantic_ai.models.function import FunctionModel

    async def generate(messages: Any, _info: Any) -> AsyncIterator[str]:
        for _ in range(int(messages[0].parts[0].content)):
            yield "word "

    model = FunctionModel(stream_function=generate)
    agent = Agent(FallbackModel(model, FunctionModel(stream_function=generate)))

    async def stream(items: int) -> AsyncIterator[str]:
        async with agent.run_stream(str(items)) as result:
            async for text in result.stream_text(delta=True, debounce_by=None):
                yield text

    return stream


def litellm() -> Stream:
    """``acompletion`` of a router with a fallback; its own mock gives the chunks."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would be fetched otherwise
    from litellm import Router

    def link(name: str) -> dict[str, Any]:
        return {"model_name": name, "litellm_params": {"model": "openai/gpt-4o", "api_key": "none"}}

    router = Router(model_list=[link("first"), link("second")], fallbacks=[{"first": ["second"]}])

    async def stream(items: int) -> AsyncIterator[Any]:
        messages = [{"role": "user", "content": "Why?"}]
        text = "12345" * items  # its mock cuts an answer into pieces of that length
        chunks = await router.acompletion(model="first", messages=messages, stream=True, mock_response=text)
        async for chunk in chunks:
            yield chunk

    return stream


_KNOWN = {"langchain_core": langchain, "pydantic_ai": pydantic_ai, "litellm": litellm}

PEERS = {name: make for name, make in _KNOWN.items() if find_spec(name) is not None}
"""How the stream of each library that is installed here is made."""
