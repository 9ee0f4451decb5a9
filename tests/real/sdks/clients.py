"""One caller per SDK: a real client that asks the loopback server, with the bodies that its provider sends.

A caller gets the server's port and makes one request, without retries, with a read time-out. Whatever it raises is what
the table shows. Imports stand inside the callers: most of these SDKs are not installed with routeware.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from typing import Any

import attrs

__all__ = ["CLIENTS", "Client", "are_wanted_here"]

Bodies = Mapping[str | None, object]

TOO_LONG = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."


def _openai_body(message: str, kind: str, code: str | None) -> object:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


OPENAI: Bodies = {
    None: _openai_body("x", "invalid_request_error", None),
    "too_long": _openai_body(TOO_LONG, "invalid_request_error", "context_length_exceeded"),
    "auth": _openai_body("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    "content": {"code": "The caller has no permission", "error": "Content violates usage guidelines."},
    "not_found": _openai_body("The model does not exist", "invalid_request_error", "model_not_found"),
    "rate_limit": _openai_body("Rate limit reached on tokens per min", "tokens", "rate_limit_exceeded"),
    "quota": _openai_body("You exceeded your current quota", "insufficient_quota", "insufficient_quota"),
    "server": _openai_body("The server had an error", "server_error", None),
    "overloaded": _openai_body("The engine is currently overloaded", "server_error", None),
}


def _anthropic_body(kind: str, message: str) -> object:
    return {"type": "error", "error": {"type": kind, "message": message}}


ANTHROPIC: Bodies = {
    None: _anthropic_body("invalid_request_error", "x"),
    "too_long": _anthropic_body("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    "auth": _anthropic_body("authentication_error", "invalid x-api-key"),
    "content": _anthropic_body("permission_error", "Output blocked by content filtering policy"),
    "not_found": _anthropic_body("not_found_error", "model: x"),
    "rate_limit": _anthropic_body("rate_limit_error", "This request would exceed your rate limit"),
    "quota": _anthropic_body("invalid_request_error", "You have reached your specified API usage limits."),
    "server": _anthropic_body("api_error", "Internal server error"),
    "overloaded": _anthropic_body("overloaded_error", "Overloaded"),
}


def _google_body(status: str, message: str) -> object:
    return {"error": {"code": 400, "message": message, "status": status}}


GOOGLE: Bodies = {
    None: _google_body("FAILED_PRECONDITION", "x"),
    "too_long": _google_body("INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens (8)."),
    "auth": _google_body("UNAUTHENTICATED", "API key not valid."),
    "content": _google_body("PERMISSION_DENIED", "The prompt was blocked by our safety filters"),
    "not_found": _google_body("NOT_FOUND", "models/x is not found"),
    "rate_limit": _google_body("RESOURCE_EXHAUSTED", "Resource has been exhausted (per minute)."),
    "quota": _google_body("RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your billing details."),
    "server": _google_body("INTERNAL", "An internal error has occurred"),
    "overloaded": _google_body("UNAVAILABLE", "The model is overloaded."),
}

MISTRAL: Bodies = {
    None: {"object": "error", "message": "x", "type": "invalid_request_error"},
    "too_long": {"message": "Prompt contains 9 tokens, too large for model with 8 maximum context length"},
    "auth": {"detail": "Unauthorized"},
    "content": {"object": "error", "message": "The input was flagged by the guardrail", "type": "moderation"},
    "not_found": {"object": "error", "message": "Invalid model", "type": "invalid_model"},
    "rate_limit": {"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited"},
    "quota": {"message": "You have exceeded your monthly usage limit", "type": "usage_limit_exceeded"},
    "server": {"object": "error", "message": "Internal error", "type": "internal_server_error"},
    "overloaded": {"object": "error", "message": "Service unavailable", "type": "service_unavailable"},
}

BEDROCK: Bodies = {
    None: {"message": "x", "__type": "ValidationException"},
    "too_long": {"message": "Input is too long for requested model.", "__type": "ValidationException"},
    "auth": {"message": "The token is invalid", "__type": "UnrecognizedClientException"},
    "content": {"message": "The content was blocked by our guardrails", "__type": "ValidationException"},
    "not_found": {"message": "x", "__type": "ResourceNotFoundException"},
    "rate_limit": {"message": "Too many requests", "__type": "ThrottlingException"},
    "quota": {"message": "x", "__type": "ServiceQuotaExceededException"},
    "server": {"message": "x", "__type": "InternalServerException"},
    "overloaded": {"message": "x", "__type": "ServiceUnavailableException"},
}

PLAIN: Bodies = {
    None: {"message": "x"},
    "too_long": {"message": "too many tokens: the prompt cannot exceed 4081 tokens"},
    "auth": {"message": "invalid api token"},
    "content": {"message": "your input was flagged by our moderation"},
    "not_found": {"message": "model 'x' not found"},
    "rate_limit": {"message": "You are limited to 40 API calls per minute"},
    "quota": {"message": "You have used all available credits"},
    "server": {"message": "internal server error"},
    "overloaded": {"message": "please try again later"},
}
OLLAMA: Bodies = {kind: {"error": body["message"]} if isinstance(body, dict) else body for kind, body in PLAIN.items()}


def _json_rpc(code: int, message: str) -> object:
    return {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}}


JSON_RPC: Bodies = {
    None: {"message": "x"},
    "too_long": _json_rpc(-32602, TOO_LONG),
    "not_found": _json_rpc(-32601, "Method not found"),
    "server": _json_rpc(-32603, "Internal error"),
}


@attrs.frozen(kw_only=True)
class Client:
    """How one SDK is asked.

    Attributes:
        name: as the table calls it.
        needs: the modules that have to be there.
        ask: makes one request of the server at a port, with this read time-out in seconds.
        bodies: what its provider sends.
        grpc: it speaks gRPC, and the server has to.
    """

    name: str
    needs: tuple[str, ...]
    ask: Callable[[int, float], Awaitable[object]]
    bodies: Bodies
    grpc: bool = False

    @property
    def distribution(self) -> str:
        """Name the package on the index."""
        return self.name.partition(" ")[0]

    def is_installed(self) -> bool:
        """Tell whether its modules can be imported."""
        return all(_has(name) for name in self.needs)


def are_wanted_here() -> bool:
    """Tell whether this is an environment for SDKs: the extra ``sdks``, LiteLLM, or an aiohttp of old.

    Some of the SDKs are in ``dev``, too; by themselves they are not asked, so that the suite stays quick.
    """
    return _has("xai_sdk") or _has("litellm") or (_has("aiohttp") and version("aiohttp").startswith("3.9."))


def _has(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package above it
        return False


async def _openai(port: int, timeout_s: float) -> object:
    import openai

    client = openai.AsyncOpenAI(api_key="k", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0, timeout=timeout_s)
    async with client:
        return await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])


async def _anthropic(port: int, timeout_s: float) -> object:
    import anthropic

    client = anthropic.AsyncAnthropic(
        api_key="k", base_url=f"http://127.0.0.1:{port}", max_retries=0, timeout=timeout_s
    )
    async with client:
        return await client.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": "x"}])


async def _groq(port: int, timeout_s: float) -> object:
    import groq

    client = groq.AsyncGroq(api_key="k", base_url=f"http://127.0.0.1:{port}", max_retries=0, timeout=timeout_s)
    async with client:
        return await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])


async def _google_genai(port: int, timeout_s: float) -> object:
    import httpx

    # With aiohttp installed, the SDK takes httpx only where it is given a client.
    async with httpx.AsyncClient() as http:
        return await _ask_google_genai(port, timeout_s, httpx_async_client=http)


async def _ask_google_genai(port: int, timeout_s: float, **options: Any) -> object:
    from google import genai
    from google.genai import types

    http = types.HttpOptions(base_url=f"http://127.0.0.1:{port}", timeout=int(timeout_s * 1_000), **options)
    client = genai.Client(api_key="k", http_options=http)
    try:
        return await client.aio.models.generate_content(model="m", contents="x")
    finally:
        await client.aio.aclose()
        client.close()


async def _google_genai_over_aiohttp(port: int, timeout_s: float) -> object:
    import aiohttp

    async with aiohttp.ClientSession() as session:
        return await _ask_google_genai(port, timeout_s, aiohttp_client=session)


async def _mistral(port: int, timeout_s: float) -> object:
    try:
        from mistralai import Mistral
    except ImportError:
        from mistralai.client import Mistral

    client = Mistral(api_key="k", server_url=f"http://127.0.0.1:{port}", timeout_ms=int(timeout_s * 1_000))
    async with client:
        return await client.chat.complete_async(model="m", messages=[{"role": "user", "content": "x"}])


async def _botocore(port: int, timeout_s: float) -> object:
    return await asyncio.to_thread(_botocore_in_a_thread, port, timeout_s)


def _botocore_in_a_thread(port: int, timeout_s: float) -> object:
    import botocore.config
    import botocore.session

    config = botocore.config.Config(
        read_timeout=timeout_s, connect_timeout=1, retries={"total_max_attempts": 1}, proxies={}
    )
    client = botocore.session.get_session().create_client(
        "bedrock-runtime",
        region_name="eu-west-1",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="k",
        aws_secret_access_key="k",
        config=config,
    )
    try:
        return client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "x"}]}])
    finally:
        client.close()


async def _cohere(port: int, timeout_s: float) -> object:
    import cohere
    import httpx

    async with httpx.AsyncClient(timeout=timeout_s) as http:
        client = cohere.AsyncClientV2(api_key="k", base_url=f"http://127.0.0.1:{port}", httpx_client=http)
        return await client.chat(
            model="m", messages=[{"role": "user", "content": "x"}], request_options={"max_retries": 0}
        )


async def _ollama(port: int, timeout_s: float) -> object:
    import ollama

    client = ollama.AsyncClient(host=f"http://127.0.0.1:{port}", timeout=timeout_s)
    try:
        return await client.chat(model="m", messages=[{"role": "user", "content": "x"}])
    finally:
        await client._client.aclose()


async def _litellm(port: int, timeout_s: float) -> object:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    litellm.suppress_debug_info = True
    return await litellm.acompletion(
        model="openai/x",
        api_base=f"http://127.0.0.1:{port}",
        api_key="k",
        messages=[{"role": "user", "content": "x"}],
        timeout=timeout_s,
        num_retries=0,
        max_retries=0,
    )


async def _mcp(port: int, timeout_s: float) -> object:
    from mcp import Client as McpClient

    async with McpClient(f"http://127.0.0.1:{port}/mcp", read_timeout_seconds=timeout_s) as client:
        return await client.call_tool("x", {})


async def _httpx(port: int, timeout_s: float) -> object:
    import httpx

    async with httpx.AsyncClient(timeout=timeout_s) as client:
        reply = await client.post(f"http://127.0.0.1:{port}/", json={})
        reply.raise_for_status()
        return reply.json()


async def _aiohttp(port: int, timeout_s: float) -> object:
    import aiohttp

    timeout = aiohttp.ClientTimeout(sock_read=timeout_s)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(f"http://127.0.0.1:{port}/", json={}) as reply,
    ):
        reply.raise_for_status()
        return await reply.json()


async def _grpc(port: int, timeout_s: float) -> object:
    import grpc.aio

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/llm.Chat/Complete", response_deserializer=_deserialize)
        return await call(b"", timeout=timeout_s)


def _deserialize(message: bytes) -> object:
    return message.decode("ascii")


async def _google_api_core(port: int, timeout_s: float) -> object:
    import grpc.aio
    from google.api_core import grpc_helpers_async

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/llm.Chat/Complete", response_deserializer=_deserialize)
        return await grpc_helpers_async.wrap_errors(call)(b"", timeout=timeout_s)


async def _xai(port: int, timeout_s: float) -> object:
    import xai_sdk
    from xai_sdk.chat import user

    client = xai_sdk.AsyncClient(
        api_key="k",
        api_host=f"127.0.0.1:{port}",
        use_insecure_channel=True,
        timeout=timeout_s,
        channel_options=[("grpc.enable_retries", 0)],
    )
    try:
        return await client.chat.create(model="m", messages=[user("x")]).sample()
    finally:
        await client.close()


CLIENTS = (
    Client(name="openai", needs=("openai",), ask=_openai, bodies=OPENAI),
    Client(name="anthropic", needs=("anthropic",), ask=_anthropic, bodies=ANTHROPIC),
    Client(name="google-genai", needs=("google.genai", "httpx"), ask=_google_genai, bodies=GOOGLE),
    Client(
        name="google-genai over aiohttp",
        needs=("google.genai", "aiohttp"),
        ask=_google_genai_over_aiohttp,
        bodies=GOOGLE,
    ),
    Client(name="google-api-core", needs=("google.api_core", "grpc"), ask=_google_api_core, bodies={}, grpc=True),
    Client(name="mistralai", needs=("mistralai",), ask=_mistral, bodies=MISTRAL),
    Client(name="botocore", needs=("botocore",), ask=_botocore, bodies=BEDROCK),
    Client(name="cohere", needs=("cohere",), ask=_cohere, bodies=PLAIN),
    Client(name="groq", needs=("groq",), ask=_groq, bodies=OPENAI),
    Client(name="ollama", needs=("ollama",), ask=_ollama, bodies=OLLAMA),
    Client(name="xai-sdk", needs=("xai_sdk",), ask=_xai, bodies={}, grpc=True),
    Client(name="mcp", needs=("mcp",), ask=_mcp, bodies=JSON_RPC),
    Client(name="httpx", needs=("httpx",), ask=_httpx, bodies=OPENAI),
    Client(name="aiohttp", needs=("aiohttp",), ask=_aiohttp, bodies=OPENAI),
    Client(name="grpcio", needs=("grpc",), ask=_grpc, bodies={}, grpc=True),
    Client(name="litellm", needs=("litellm",), ask=_litellm, bodies=OPENAI),
)
