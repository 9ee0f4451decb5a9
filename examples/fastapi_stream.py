"""FastAPI: failover behind an endpoint of server-sent events. Until the first item is there it can answer 502."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse
from httpx import ASGITransport, AsyncClient
from loopback import providers, says
from loopback_streams import events, streams

from routeware import Attempt, RoutewareError, RoutingPolicy, routed

app = FastAPI(exception_handlers={RoutewareError: lambda _request, _error: Response(status_code=502)})


@routed(RoutingPolicy(chain=["openai:gpt-4o", "mistral:mistral-large"]), wrap_errors=True)
async def ask(attempt: Attempt, prompt: str) -> AsyncIterator[str]:
    async for event in events(attempt.provider, model=attempt.model, prompt=prompt):
        yield f"data: {attempt.report(event)['choices']}\n\n"


@app.get("/chat")
async def chat(prompt: str) -> StreamingResponse:
    stream = await ask(prompt).start()  # nothing has been sent yet
    label = stream.link.label if stream.link else ""
    return StreamingResponse(stream, media_type="text/event-stream", headers={"x-answered-by": label})


async def main() -> None:
    for one in (streams("Air", " scatters."), says(status=503)):
        async with providers(openai=says(status=503), mistral=one), AsyncClient(transport=ASGITransport(app)) as client:
            reply = await client.get("http://app/chat?prompt=Why")
        print(reply.status_code, reply.headers.get("x-answered-by"), reply.text.count("data: "))


asyncio.run(main())
# prints:
# 200 mistral:mistral-large 5
# 502 None 0
