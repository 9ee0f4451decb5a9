"""The libraries that benchmarks/peers.py compares, each used as its own documentation shows it.

Every subject makes one call through a primary and a backup. The providers are local functions: an SDK's client would
hide what the library itself costs. Where a library needs a client or a model around the function, ``without`` is the
same framework without its failover or hedging, so that the difference can be read off.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from routeware import Attempt, RoutingPolicy, routed

Ask = Callable[[str], Awaitable[str]]
Call = Callable[[], Awaitable[object]]

CHAIN = ("primary", "backup")
CLIENT_TIMEOUT_S = 0.6


class OverloadedError(Exception):
    """The error that an SDK raises for a 503."""

    status_code = 503


FAILURES = (OverloadedError, TimeoutError)


class Subject(NamedTuple):
    """One library: a call through it, and the same framework without what is compared.

    ``times_out`` says that it bounds an attempt itself, so that the provider's client need not.
    """

    name: str
    call: Call
    without: Call | None = None
    fails_over: bool = True
    times_out: bool = False


class Peer(NamedTuple):
    """A library that may be missing here."""

    distribution: str
    modules: tuple[str, ...]
    subject: Callable[[Ask], Subject]

    @property
    def installed(self) -> bool:
        """Tell whether all that the subject imports is here."""
        return all(importlib.util.find_spec(module.split(".")[0]) for module in self.modules)

    @property
    def version(self) -> str:
        """Give the distribution's name and version."""
        return f"{self.distribution} {importlib.metadata.version(self.distribution)}"


def bare(ask: Ask) -> Subject:
    """Call the primary, and nothing else."""
    return Subject("the bare function", lambda: ask(CHAIN[0]), fails_over=False, times_out=True)


def by_routeware(ask: Ask, name: str, **latency: float) -> Subject:
    """Decorate a provider function, and leave time-outs to the policy."""
    policy = RoutingPolicy(
        chain=[f"{provider}:small" for provider in CHAIN],
        failover={"on_timeout_ms": CLIENT_TIMEOUT_S * 1000},
        latency=latency,
    )

    @routed(policy, name="ask")
    async def call(attempt: Attempt, _prompt: str) -> str:
        return await ask(attempt.provider)

    return Subject(name, lambda: call("hi"), times_out=True)


def by_tenacity(ask: Ask) -> Subject:
    """Retry; the second try asks the backup."""
    import tenacity

    async def call() -> str:
        tries = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(2), retry=tenacity.retry_if_exception_type(FAILURES), reraise=True
        )
        async for attempt in tries:
            with attempt:
                return await ask(CHAIN[attempt.retry_state.attempt_number - 1])
        raise AssertionError

    return Subject("tenacity", call)


def by_stamina(ask: Ask) -> Subject:
    """Retry without its default wait of up to 1.1 s; the second try asks the backup."""
    import stamina

    stamina.instrumentation.set_on_retry_hooks([])  # it would log each retry

    async def call() -> str:
        tries = stamina.retry_context(on=FAILURES, attempts=2, wait_initial=0, wait_max=0, wait_jitter=0)
        async for attempt in tries:
            with attempt:
                return await ask(CHAIN[attempt.num - 1])
        raise AssertionError

    return Subject("stamina", call)


def by_langchain(ask: Ask) -> Subject:
    """Give a runnable its fallback."""
    from langchain_core.runnables import RunnableLambda

    def runnable(provider: str) -> Any:
        async def answer(_prompt: str) -> str:
            return await ask(provider)

        return RunnableLambda(answer)

    primary, backup = map(runnable, CHAIN)
    both = primary.with_fallbacks([backup])
    return Subject("LangChain, `with_fallbacks`", lambda: both.ainvoke("hi"), lambda: primary.ainvoke("hi"))


def by_pydantic_ai(ask: Ask) -> Subject:
    """Make a direct request to a FallbackModel; its errors are those that its models raise."""
    from pydantic_ai import ModelRequest, ModelResponse, TextPart
    from pydantic_ai.direct import model_request
    from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
    from pydantic_ai.models.fallback import FallbackModel
    from pydantic_ai.models.function import FunctionModel

    def model(provider: str) -> FunctionModel:
        async def answer(_messages: Any, _info: Any) -> ModelResponse:
            try:
                return ModelResponse(parts=[TextPart(await ask(provider))])
            except OverloadedError as error:
                raise ModelHTTPError(503, provider) from error
            except TimeoutError as error:
                raise ModelAPIError(provider, "Request timed out.") from error

        return FunctionModel(answer, model_name=provider)

    primary, backup = map(model, CHAIN)
    both = FallbackModel(primary, backup)

    def asking(to: Any) -> Call:
        return lambda: model_request(to, [ModelRequest.user_text_prompt("hi")])

    return Subject("pydantic-ai, `FallbackModel`", asking(both), asking(primary))


def by_litellm(ask: Ask) -> Subject:
    """Route between two deployments of a custom provider, with one as the other's fallback."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would fetch its prices
    import litellm

    class Local(litellm.CustomLLM):
        async def acompletion(self, model: str, *_arguments: Any, **_named: Any) -> litellm.ModelResponse:
            try:
                text = await ask(model)
            except OverloadedError as error:
                raise litellm.ServiceUnavailableError("overloaded", "local", model) from error
            except TimeoutError as error:
                raise litellm.Timeout("timed out", model, "local") from error
            return litellm.ModelResponse(model=model, choices=[{"message": {"role": "assistant", "content": text}}])

    provider = f"local{len(litellm.custom_provider_map)}"  # a registry of the process: one name for each subject
    litellm.custom_provider_map.append({"provider": provider, "custom_handler": Local()})
    litellm.suppress_debug_info = True
    messages = [{"role": "user", "content": "hi"}]
    router = litellm.Router(
        model_list=[{"model_name": name, "litellm_params": {"model": f"{provider}/{name}"}} for name in CHAIN],
        fallbacks=[{CHAIN[0]: [CHAIN[1]]}],
        num_retries=0,
        disable_cooldowns=True,  # the first deployment would be passed over, and nothing would fail over
    )
    return Subject(
        "LiteLLM, `Router`",
        lambda: router.acompletion(model=CHAIN[0], messages=messages),
        lambda: litellm.acompletion(model=f"{provider}/{CHAIN[0]}", messages=messages),
    )


def by_hedge(ask: Ask) -> Subject:
    """Hedge a GET of an httpx client to one host, with the default settings; a POST would not be hedged."""
    import httpx
    from hedge import HedgeConfig
    from hedge.transport import HedgedHttpxTransport

    class Local(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            try:
                return httpx.Response(200, text=await ask(CHAIN[0]))
            except TimeoutError as error:
                raise httpx.ReadTimeout("timed out", request=request) from error

    hedging: list[httpx.AsyncClient] = []
    plain = httpx.AsyncClient(transport=Local())

    async def call() -> object:
        if not hedging:  # it starts tasks on the running loop
            hedging.append(httpx.AsyncClient(transport=HedgedHttpxTransport(Local(), HedgeConfig())))
        return await hedging[0].get("http://local/")

    return Subject("hedge-python, httpx transport", call, lambda: plain.get("http://local/"), fails_over=False)


PEERS = (
    Peer("tenacity", ("tenacity",), by_tenacity),
    Peer("stamina", ("stamina",), by_stamina),
    Peer("langchain-core", ("langchain_core",), by_langchain),
    Peer("pydantic-ai-slim", ("pydantic_ai",), by_pydantic_ai),
    Peer("litellm", ("litellm",), by_litellm),
    Peer("hedge-python", ("hedge", "httpx"), by_hedge),
)
