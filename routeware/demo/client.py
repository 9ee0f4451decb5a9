"""The two ways to ask: one request to one provider, and the same function behind the decorator."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import aiohttp
import attrs
from opentelemetry.trace import TracerProvider

from routeware import Attempt, Link, Routed, RoutedGenerator, RoutingPolicy, Usage, routed
from routeware.demo.facts import Facts
from routeware.demo.policies import Prices
from routeware.demo.scenes import Scene
from routeware.demo.servers import INCIDENT_HEADER, REQUEST_HEADER

__all__ = ["Asked", "Client", "Reply"]

Reply = dict[str, Any]
"""An answer's body, or one event of a stream."""

Asked = Routed[[int], Reply] | RoutedGenerator[[int], Reply]

_DATA = b"data: {"


@attrs.frozen
class Client:
    """A program that calls providers: it has an HTTP session and knows where they are.

    Attributes:
        http: the session.
        urls: provider to URL.
        facts: what the providers are like; a program would know its prompts and their length.
        scene: what befalls them.
        during: the requests that it befalls.
    """

    http: aiohttp.ClientSession
    urls: Mapping[str, str]
    facts: Facts
    scene: Scene
    during: range

    def bare(self, link: Link) -> Callable[[int], AsyncGenerator[Reply]]:
        """Return a function that asks ``link`` alone."""
        return lambda number: self._replies(link.provider, link.model, number)

    def routed(self, policy: RoutingPolicy, tracer_provider: TracerProvider) -> Asked:
        """Return the decorated function."""
        settings: Any = {"name": "ask", "prices": Prices(), "tracer_provider": tracer_provider}

        async def streamed(attempt: Attempt, number: int) -> AsyncGenerator[Reply]:
            async for event in self._replies(attempt.provider, attempt.model, number):
                yield attempt.report(event)

        async def whole(attempt: Attempt, number: int) -> Reply:
            reply: Reply = {}
            async for reply in self._replies(attempt.provider, attempt.model, number):
                attempt.report(reply)
            return reply

        ask: Asked = routed(policy, **settings)(streamed) if self.scene.streams else routed(policy, **settings)(whole)

        @ask.estimate
        def projection(link: Link, _number: int) -> Usage:
            return Usage(input_tokens=self.facts.input_tokens, output_tokens=link.max_output_tokens or 1024)

        return ask

    async def _replies(self, provider: str, model: str, number: int) -> AsyncGenerator[Reply]:
        """Ask for one chat completion: yield its body, or its events where the scene is about streams.

        Raises:
            aiohttp.ClientError: the provider refused, failed or hung up.
        """
        prompt = {"model": model, "messages": [{"role": "user", "content": f"question {number}"}]}
        headers = {REQUEST_HEADER: str(number)} | ({"Accept": "text/event-stream"} if self.scene.streams else {})
        if self.scene.incident is not None and provider == self.scene.provider and number in self.during:
            headers[INCIDENT_HEADER] = self.scene.incident.value
        asked = {**prompt, "stream": self.scene.streams}
        async with self.http.post(self.urls[provider], json=asked, headers=headers) as reply:
            reply.raise_for_status()
            if not self.scene.streams:
                yield await reply.json()
                return
            async for line in reply.content:
                if line.startswith(_DATA):
                    yield json.loads(line[len(_DATA) - 1 :])
