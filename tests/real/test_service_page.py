"""The service of docs/web-services.md, as the page has it: FastAPI, both real SDKs, and the demo's providers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from routeware.demo.playground import ANSWER, playground
from tests.docs.loopback import sdks_environment
from tests.docs.readme import README, blocks

PAGE = README.parent / "docs" / "web-services.md"
SERVICE = next(block.text for block in blocks("python", [PAGE]))


@pytest.fixture
async def providers() -> AsyncIterator[str]:
    """Where the demo's providers are."""
    async with playground(0, lambda _: None) as url:
        yield url


@pytest.fixture
async def service(providers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, Any]]:
    """The page's module, in a folder with the page's policy, while OpenAI is down."""
    policy = next(block.text for block in blocks("toml", [PAGE]))
    (tmp_path / "policy.toml").write_text(policy, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name, value in sdks_environment(providers, "/down/openai/v1").items():
        monkeypatch.setenv(name, value)
    module: dict[str, Any] = {"__name__": "app"}
    exec(compile(SERVICE, "app.py", "exec"), module)
    yield module
    await module["gpt"].close()
    await module["claude"].close()


def client(service: dict[str, Any]) -> httpx.AsyncClient:
    """A caller of the service."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(service["app"]), base_url="http://app")


async def test_it_answers_while_openai_is_down(service: dict[str, Any]) -> None:
    """Under 40 lines, and the answer is Anthropic's."""
    async with client(service) as http:
        reply = await http.get("/answer", params={"prompt": "Why?"}, headers={"x-tenant": "tenant-7"})

    assert len(SERVICE.splitlines()) < 40
    assert (reply.status_code, reply.json()) == (200, ANSWER)


async def test_it_says_so_when_no_provider_answers(service: dict[str, Any], providers: str) -> None:
    """503, and no server error."""
    service["claude"].base_url = f"{providers}/down/anthropic"
    async with client(service) as http:
        reply = await http.get("/answer", params={"prompt": "Why?"}, headers={"x-tenant": "tenant-7"})

    assert reply.status_code == 503
    assert reply.text == "no link gave an answer: tried openai:gpt-4o, anthropic:claude-sonnet-4-6"


async def test_a_request_without_a_tenant_is_the_callers_mistake(service: dict[str, Any]) -> None:
    """422, as for any parameter."""
    async with client(service) as http:
        assert (await http.get("/answer", params={"prompt": "Why?"})).status_code == 422
