"""FastAPI: a routed endpoint, booked in its tenant's session; a ledger keeps the sums between requests."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import Depends, FastAPI, Request, Response
from httpx import ASGITransport, AsyncClient
from loopback import post, providers, says

from routeware import Attempt, BudgetExceededError, Link, MemoryLedger, Price, RoutingPolicy, routed, session

app, ledger, price = FastAPI(), MemoryLedger(), Price(output_usd_per_mtok=10.00)
app.add_exception_handler(BudgetExceededError, lambda _request, error: Response(str(error), status_code=402))


async def tenant(request: Request) -> AsyncIterator[None]:
    async with session(request.headers["x-tenant"], limit_usd=0.01, ledger=ledger):
        yield


@app.get("/answer", dependencies=[Depends(tenant)])
@routed(RoutingPolicy(chain=[Link(provider="openai", model="gpt-4o", price=price, max_output_tokens=800)]))
async def answer(attempt: Attempt, prompt: str) -> str:
    reply = await post(attempt.provider, model=attempt.model, prompt=prompt)
    return str(attempt.report(reply)["choices"][0]["message"]["content"])


async def main() -> None:
    async with providers(openai=says("Rayleigh.")), AsyncClient(transport=ASGITransport(app)) as client:
        for name in ("tenant-7", "tenant-7", "tenant-8"):
            reply = await client.get("http://app/answer?prompt=Why", headers={"x-tenant": name})
            print(reply.status_code, reply.text)


asyncio.run(main())
# prints:
# 200 "Rayleigh."
# 402 openai:gpt-4o may cost $0.008000, and session 'tenant-7' has committed $0.006000 of its $0.010000
# 200 "Rayleigh."
