"""Every API's and framework's shape of counts, in one table; and its own classes, where they are installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest

from routeware.money import Usage
from routeware.pricing import Reading, read_error, read_reply, read_report

CHAT = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}
READ = Usage(input_tokens=1000, output_tokens=10)


def used(**counts: Any) -> Usage:
    """Usage of 1,000 and 10 tokens, and what else was counted."""
    return Usage(**{"input_tokens": 1000, "output_tokens": 10, **counts})


LANGCHAIN_USAGE = {
    "input_tokens": 1000,
    "output_tokens": 10,
    "total_tokens": 1010,
    "input_token_details": {"cache_read": 700, "cache_creation": 100, "audio": 5},
    "output_token_details": {"reasoning": 4, "audio": 1},
}
LANGCHAIN_READ = used(
    cached_input_tokens=700, cache_write_tokens=100, reasoning_tokens=4, input_audio_tokens=5, output_audio_tokens=1
)

SHAPES: dict[str, tuple[object, Usage]] = {
    "openai chat, sound and tier": (
        {
            "usage": {**CHAT, "prompt_tokens_details": {"audio_tokens": 300}},
            "service_tier": "flex",
        },
        used(input_audio_tokens=300, service_tier="flex"),
    ),
    "openai chat, sound in the answer": (
        {"usage": {**CHAT, "completion_tokens_details": {"audio_tokens": 8}}},
        used(output_audio_tokens=8),
    ),
    "openai responses, searches": (
        {
            "usage": {
                "input_tokens": 1000,
                "output_tokens": 10,
                "total_tokens": 1010,
                "input_tokens_details": {"cached_tokens": 0},
            },
            "service_tier": "priority",
            "output": [
                {"type": "web_search_call", "action": {"type": "search", "query": "?"}},
                {"type": "web_search_call", "action": {"type": "open_page"}},
                {"type": "web_search_call"},
                {"type": "message"},
            ],
        },
        used(cached_input_tokens=0, web_searches=2, service_tier="priority"),
    ),
    "openai responses, the stream's end": (
        {"type": "response.completed", "response": {"usage": {"input_tokens": 1000, "output_tokens": 10}}},
        READ,
    ),
    "anthropic, cache by time": (
        {
            "usage": {
                "input_tokens": 100,
                "output_tokens": 10,
                "cache_read_input_tokens": 700,
                "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 150},
                "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 1},
                "service_tier": "batch",
            }
        },
        used(
            cached_input_tokens=700,
            cache_write_tokens=200,
            cache_write_1h_tokens=150,
            web_searches=3,
            service_tier="batch",
        ),
    ),
    "anthropic, fast": (
        {"usage": {"input_tokens": 1000, "output_tokens": 10, "speed": "fast", "service_tier": "standard"}},
        used(service_tier="fast"),
    ),
    "anthropic, the stream's beginning": (
        {"type": "message_start", "message": {"usage": {"input_tokens": 1000, "output_tokens": 1}}},
        Usage(input_tokens=1000, output_tokens=1),
    ),
    "anthropic, the stream's end": ({"type": "message_delta", "usage": {"output_tokens": 50}}, Usage(output_tokens=50)),
    "anthropic, an end that counts nothing": (
        {
            "type": "message_delta",
            "usage": {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 50},
        },
        Usage(output_tokens=50),
    ),
    "deepseek": (
        {"usage": {**CHAT, "prompt_cache_hit_tokens": 900, "prompt_cache_miss_tokens": 100}},
        used(cached_input_tokens=900),
    ),
    "moonshot": ({"usage": {**CHAT, "cached_tokens": 900}}, used(cached_input_tokens=900)),
    "litellm": (
        {"usage": {**CHAT, "cache_read_input_tokens": 600, "cache_creation_input_tokens": 100}},
        used(cached_input_tokens=600, cache_write_tokens=100),
    ),
    "groq, the stream's end": ({"x_groq": {"usage": CHAT}, "choices": []}, READ),
    "mistral, a search": ({"usage": {**CHAT, "connectors": {"web_search": 2}}}, used(web_searches=2)),
    "both names of a cache": (
        {
            "usage": {
                "input_tokens": 1000,
                "output_tokens": 10,
                "input_tokens_details": {"cached_tokens": 900},
                "cache_read_input_tokens": 900,
            }
        },
        used(cached_input_tokens=900),
    ),
    "bedrock": (
        {
            "usage": {
                "inputTokens": 100,
                "outputTokens": 10,
                "cacheReadInputTokens": 700,
                "cacheWriteInputTokens": 200,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 150}, {"ttl": "5m", "inputTokens": 50}],
            },
            "serviceTier": {"type": "flex"},
        },
        used(cached_input_tokens=700, cache_write_tokens=200, cache_write_1h_tokens=150, service_tier="flex"),
    ),
    "bedrock, the stream's end": ({"metadata": {"usage": {"inputTokens": 1000, "outputTokens": 10}}}, READ),
    "google, sound and traffic": (
        {
            "usageMetadata": {
                "promptTokenCount": 1000,
                "candidatesTokenCount": 10,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 600},
                    {"modality": "AUDIO", "tokenCount": 400},
                ],
                "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 9}],
                "trafficType": "ON_DEMAND_FLEX",
            }
        },
        used(input_audio_tokens=400, output_audio_tokens=9, service_tier="flex"),
    ),
    "cohere": (
        {
            "usage": {
                "billed_units": {"input_tokens": 1000.0, "output_tokens": 10.0},
                "tokens": {"input_tokens": 1496.0, "output_tokens": 12.0},
                "cached_tokens": 1200.0,
            }
        },
        used(cached_input_tokens=1000),
    ),
    "cohere, first version": (
        {"meta": {"billed_units": {"input_tokens": 1000.0, "output_tokens": 10.0}}, "text": "hi"},
        READ,
    ),
    "cohere, the stream's end": (
        {
            "type": "message-end",
            "delta": {"usage": {"billed_units": {"input_tokens": 1000, "output_tokens": 10}}},
        },
        READ,
    ),
    "ollama": ({"model": "llama3", "done": True, "prompt_eval_count": 1000, "eval_count": 10}, READ),
    "ollama, embeddings": (
        {"model": "e", "embeddings": [[0.1]], "prompt_eval_count": 8},
        Usage(input_tokens=8, output_tokens=0),
    ),
    "mistral, cached": ({"usage": {**CHAT, "num_cached_tokens": 64}}, used(cached_input_tokens=64)),
    "dashscope": (
        {
            "output": {"text": "hi"},
            "usage": {
                "input_tokens": 1000,
                "output_tokens": 10,
                "total_tokens": 1010,
                "prompt_tokens_details": {"cached_tokens": 512},
            },
        },
        used(cached_input_tokens=512),
    ),
    "bedrock, the metrics of a stream": (
        {
            "type": "message_stop",
            "amazon-bedrock-invocationMetrics": {
                "inputTokenCount": 100,
                "outputTokenCount": 10,
                "cacheReadInputTokenCount": 900,
                "cacheWriteInputTokenCount": 0,
            },
        },
        used(cached_input_tokens=900, cache_write_tokens=0),
    ),
    "openai's agents": (
        SimpleNamespace(
            context_wrapper=SimpleNamespace(
                usage=SimpleNamespace(
                    requests=1,
                    input_tokens=1000,
                    output_tokens=10,
                    total_tokens=1010,
                    input_tokens_details=SimpleNamespace(cached_tokens=768),
                )
            )
        ),
        used(cached_input_tokens=768),
    ),
    "ollama, the prompt from its cache": ({"model": "llama3", "done": True, "eval_count": 9}, Usage(output_tokens=9)),
    "langchain": (SimpleNamespace(usage_metadata=LANGCHAIN_USAGE, response_metadata={}), LANGCHAIN_READ),
    "langchain, structured": (
        {"raw": SimpleNamespace(usage_metadata=LANGCHAIN_USAGE), "parsed": None, "parsing_error": None},
        LANGCHAIN_READ,
    ),
    "langchain, a tier as a prefix": (
        {
            "usage_metadata": {
                "input_tokens": 1000,
                "output_tokens": 10,
                "total_tokens": 1010,
                "input_token_details": {"flex_cache_read": 700, "flex": 300},
                "output_token_details": {"flex_reasoning": 4, "flex": 6},
            }
        },
        used(cached_input_tokens=700, reasoning_tokens=4, service_tier="flex"),
    ),
    "langchain, cache by time": (
        {
            "usage_metadata": {
                "input_tokens": 1000,
                "output_tokens": 10,
                "total_tokens": 1010,
                "input_token_details": {
                    "cache_creation": 0,
                    "ephemeral_5m_input_tokens": 20,
                    "ephemeral_1h_input_tokens": 80,
                },
            }
        },
        used(cache_write_tokens=100, cache_write_1h_tokens=80),
    ),
    "pydantic-ai, a run": (
        SimpleNamespace(
            output="hi",
            _state=SimpleNamespace(
                usage=SimpleNamespace(
                    input_tokens=1000, output_tokens=10, cache_read_tokens=700, cache_write_tokens=100, details={}
                )
            ),
        ),
        used(cached_input_tokens=700, cache_write_tokens=100),
    ),
    "instructor": (
        SimpleNamespace(name="Ada", _raw_response=SimpleNamespace(usage=SimpleNamespace(**CHAT), model="m")),
        READ,
    ),
}


@pytest.mark.parametrize(("reply", "usage"), SHAPES.values(), ids=SHAPES.keys())
def test_each_shape_is_read(reply: object, usage: Usage) -> None:
    """Every token once, under one set of names."""
    assert read_reply(reply).usage == usage


@pytest.mark.parametrize(
    "counts",
    [
        CHAT,
        {"input_tokens": 1000, "output_tokens": 10},
        {"inputTokens": 1000, "outputTokens": 10},
        {"promptTokenCount": 1000, "candidatesTokenCount": 10},
        {"billed_units": {"input_tokens": 1000, "output_tokens": 10}},
        SimpleNamespace(input_tokens=1000, output_tokens=10, details={}, requests=1),
    ],
)
def test_a_bare_usage_object_is_read_where_it_was_reported(counts: object) -> None:
    """As a result it may be anything that has such names; reported, it can only be meant."""
    assert read_report(counts).usage == READ
    assert read_report({"usage": counts}).usage == READ
    assert read_reply(counts).usage is None


def test_a_report_that_says_nothing() -> None:
    """Reading never raises, whatever was handed in."""

    class Broken(dict[str, object]):
        def get(self, *_: object) -> Any:
            raise OSError("gone")

    for strange in (None, 3, "text", [], {}, {"a": 1}, Broken(usage=1), Broken(prompt_tokens=1)):
        assert read_report(strange).usage is None


def test_pydantic_ai_counts_that_nobody_gave_are_unknown() -> None:
    """Its counts are 0 until a provider gives one; a call must not become free by that."""
    assert read_report(SimpleNamespace(input_tokens=0, output_tokens=0, details={}, requests=1)).usage is None
    assert read_report(SimpleNamespace(details={}, requests=1)).usage is None


def test_cache_writes_by_time_alone_are_summed_up() -> None:
    """The sum is left out by some who relay Anthropic's API; without either it is unknown."""
    reply = {"input_tokens": 5, "output_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 7}}

    assert read_report(reply).usage == Usage(input_tokens=5, output_tokens=1, cache_write_1h_tokens=7)


# --- what a reply says that it cost ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cost", "nanos"),
    [
        ({"cost": 0.00014}, 140_000),
        ({"cost": 0}, 0),
        ({"cost": {"input_tokens_cost": 0.0, "total_cost": 0.005}}, 5_000_000),
        ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.19}}, 200_000_000),
        ({"cost": 0.01, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.19}}, 10_000_000),
        ({"cost": 0.01, "is_byok": True}, 10_000_000),
        ({"cost": {"currency": "usd"}}, None),
        ({"cost": "0.01"}, None),
        ({}, None),
    ],
)
def test_a_cost_that_the_reply_tells_is_read(cost: dict[str, object], nanos: int | None) -> None:
    """OpenRouter's, with what the maker bills beside it where a key of one's own was used, and Perplexity's."""
    reading = read_reply({"usage": {**CHAT, "prompt_tokens_details": None, **cost}})

    assert (reading.cost_nanos, reading.usage, reading.dropped) == (nanos, READ, ())
    assert read_report({**CHAT, "prompt_tokens_details": None, **cost}).cost_nanos == nanos


@pytest.mark.parametrize("odd", [-0.01, float("nan"), float("inf"), 1.1e12, 10**400, True])
def test_a_cost_that_cannot_be_one_is_dropped_and_named(odd: float) -> None:
    """What providers send may be anything; the usage still counts."""
    reading = read_reply({"usage": {**CHAT, "cost": odd}})

    assert (reading.cost_nanos, reading.usage, reading.dropped) == (None, READ, ("cost",))


def test_a_cost_without_counts_is_a_report() -> None:
    """The cost is what matters."""
    assert read_reply({"usage": {"cost": 0.5}}).cost_nanos == 500_000_000
    assert read_report({"cost": 0.5}).cost_nanos == 500_000_000


# --- the models that replied ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "model"),
    [
        ({"usage_metadata": LANGCHAIN_USAGE, "response_metadata": {"model_name": "gpt-5"}}, "gpt-5"),
        ({"usage": CHAT, "model_name": "gpt-5"}, "gpt-5"),
        ({"usage": CHAT, "model": "bad\ud83e"}, "bad\ufffd"),
        ({"usage": CHAT, "model": "m" * 1000}, "m" * 256),
        ({"usage": CHAT, "model": 3}, None),
        ({"usage": CHAT, "model": ""}, None),
    ],
)
def test_the_model_is_a_text_that_can_be_passed_on(reply: object, model: str | None) -> None:
    """It is put on spans, and one lone surrogate there loses the whole batch."""
    assert read_reply(reply).response_model == model


def test_an_error_carries_the_last_completion_that_was_paid_for() -> None:
    """Instructor gives up after some retries, and says what the last of them gave."""

    class RetriesExhaustedError(Exception):
        last_completion: object = None

    error = RetriesExhaustedError()
    error.last_completion = {"usage": CHAT}

    assert read_error(error).usage == READ


def test_an_output_that_was_deduced_is_told_apart() -> None:
    """Projections learn from a count at once, and from a deduced one when it is confirmed."""
    thinking = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 10**10}

    assert read_reply({"usage": thinking}).deduced_output
    assert not read_reply({"usage": CHAT}).deduced_output
    assert not read_reply({"usage": {"prompt_tokens": 12, "total_tokens": 12}}).deduced_output


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (
            {"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 1000, "output_tokens": 50},
            Usage(input_tokens=1000, output_tokens=50),
        ),
        (
            {"prompt_tokens": 0, "completion_tokens": 50, "input_tokens": 1000, "output_tokens": 50},
            Usage(input_tokens=1000, output_tokens=50),
        ),
        (
            {"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 1000, "output_tokens": 50}
            | {"cache_read_input_tokens": 400, "total_tokens": 1450},
            Usage(input_tokens=1400, output_tokens=50, cached_input_tokens=400),
        ),
        (
            {"prompt_tokens": 1000, "completion_tokens": 50, "cached_tokens": 400}
            | {"prompt_tokens_details": {"cached_tokens": 0}},
            Usage(input_tokens=1000, output_tokens=50, cached_input_tokens=400),
        ),
        (
            {"promptTokenCount": 0, "prompt_token_count": 1000, "candidatesTokenCount": 50},
            Usage(input_tokens=1000, output_tokens=50),
        ),
        (
            {"prompt_tokens": 0, "promptTokenCount": 1000, "candidatesTokenCount": 50},
            Usage(input_tokens=1000, output_tokens=50),
        ),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(input_tokens=0, output_tokens=0)),
        ({"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}, Usage(input_tokens=0, output_tokens=0)),
    ],
)
def test_a_zero_under_one_name_hides_no_count_under_another(counts: dict[str, Any], usage: Usage) -> None:
    """Servers that speak two APIs leave the names of one of them at 0; where all are 0, it is a count."""
    assert read_reply({"usage": counts}).usage == usage


ODD_COUNTS = (0, 5, -1, True, 1000.0, 1.5, "7", None, 2**53, 2**53 + 1)


@pytest.mark.parametrize("rest", [{}, {"total_tokens": 12}, {"total_tokens": 10**6}, {"cached_tokens": 2}])
@pytest.mark.parametrize("model", ["m", "", None, 5, "m" * 300, "m\ud83e"])
def test_the_commonest_reply_says_the_same_read_quickly_or_not(model: object, rest: dict[str, object]) -> None:
    """Plain counts have a way of their own, which a tier (here: none) keeps a reply off."""
    for sent, output in product((*ODD_COUNTS, 7), ODD_COUNTS):
        reply = {"model": model, "usage": {"prompt_tokens": sent, "completion_tokens": output, **rest}}
        quick, slow = read_reply(reply), read_reply({**reply, "service_tier": None})

        assert quick == slow, reply
        assert (quick.deduced_output, quick.dropped) == (slow.deduced_output, slow.dropped), reply


def test_a_zero_in_one_place_hides_no_count_in_another() -> None:
    """Frameworks keep empty counts of their own beside those of the provider."""
    nothing: dict[str, Any] = {"model": "m", "usage": {"prompt_tokens": 0, "completion_tokens": 0}}
    assert read_reply({**nothing, "usage_metadata": CHAT}).usage == READ
    assert read_reply({**nothing, "meta": {"cost": 1}}).usage == Usage(input_tokens=0, output_tokens=0)


@pytest.mark.parametrize(
    "reply",
    [
        {"object": "list", "data": [{"object": "embedding", "embedding": [0.1]}], "model": "voyage-3.5"},
        {"object": "list", "data": [{"relevance_score": 0.5, "index": 0}], "model": "rerank-2.5"},
        {"embeddings": [[0.1]]},
    ],
)
def test_voyage_counts_input_in_the_total_alone(reply: dict[str, Any]) -> None:
    """Embeddings and rankings have no output."""
    assert read_reply({**reply, "usage": {"total_tokens": 10}}).usage == Usage(input_tokens=10, output_tokens=0)
    assert read_reply({**reply, "usage": {"total_tokens": "many"}}) == Reading()
    assert read_reply({"choices": [], "usage": {"total_tokens": 10}}).usage is None


# --- the frameworks' own classes ------------------------------------------------------------------------------------


def cohere_reply() -> object:
    """Build a reply of the second version."""
    chat = importlib.import_module("cohere.types")
    billed = chat.UsageBilledUnits(input_tokens=1000.0, output_tokens=10.0)
    return SimpleNamespace(usage=chat.Usage(billed_units=billed), finish_reason="COMPLETE")


def cohere_stream_end() -> object:
    """Build the last event of a stream."""
    types, events = importlib.import_module("cohere.types"), importlib.import_module("cohere.v2.types")
    billed = types.UsageBilledUnits(input_tokens=1000.0, output_tokens=10.0)
    delta = types.ChatMessageEndEventDelta(usage=types.Usage(billed_units=billed))
    return events.MessageEndV2ChatStreamResponse(delta=delta)


def ollama_reply() -> object:
    """Build a chat response."""
    ollama = importlib.import_module("ollama")
    return ollama.ChatResponse(
        model="llama3", message={"role": "assistant", "content": "hi"}, prompt_eval_count=1000, eval_count=10
    )


def groq_reply() -> object:
    """Build a completion as the client does."""
    chat = importlib.import_module("groq.types.chat")
    return chat.ChatCompletion.construct(model="m", usage=CHAT)


def langchain_reply() -> object:
    """Build what structured output with the raw message gives."""
    messages = importlib.import_module("langchain_core.messages")
    message = messages.AIMessage("hi", usage_metadata=LANGCHAIN_USAGE, response_metadata={"model_name": "m"})
    return {"raw": message, "parsed": None, "parsing_error": None}


def langchain_chunks() -> object:
    """Add up the chunks of a stream."""
    messages = importlib.import_module("langchain_core.messages")
    return messages.AIMessageChunk("h") + messages.AIMessageChunk("i", usage_metadata=LANGCHAIN_USAGE)


def pydantic_ai_run() -> object:
    """Run an agent over a function in place of a model."""
    agents = importlib.import_module("pydantic_ai")
    models = importlib.import_module("pydantic_ai.models.function")
    messages = importlib.import_module("pydantic_ai.messages")
    usage = importlib.import_module("pydantic_ai.usage")

    def answer(*_: object) -> object:
        counts = usage.RequestUsage(input_tokens=1000, output_tokens=10, cache_read_tokens=700)
        return messages.ModelResponse(parts=[messages.TextPart("hi")], usage=counts)

    return agents.Agent(models.FunctionModel(answer)).run_sync("Why?")


def instructor_reply() -> object:
    """Ask for a model, over a transport that answers with a tool's call."""
    instructor, openai = importlib.import_module("instructor"), importlib.import_module("openai")
    models, wire = importlib.import_module("pydantic"), importlib.import_module(httpx_of(openai))
    call = {"id": "1", "type": "function", "function": {"name": "Person", "arguments": '{"name": "Ada"}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": CHAT}
    transport = wire.MockTransport(lambda _: wire.Response(200, json={**body, "usage": {**CHAT, "total_tokens": 1010}}))
    bare = openai.OpenAI(api_key="none", base_url="http://test", http_client=wire.Client(transport=transport))
    asked = {"model": "m", "messages": [{"role": "user", "content": "Who?"}]}
    person = models.create_model("Person", name=(str, ...))
    return instructor.from_openai(bare).chat.completions.create(response_model=person, **asked)


def httpx_of(openai: Any) -> str:
    """Return the name of the HTTP client that this version of the SDK is built on."""
    return str(openai.DefaultHttpxClient.__mro__[1].__module__).partition(".")[0]


CLASSES: dict[str, tuple[str, Callable[[], object], Usage]] = {
    "cohere": ("cohere", cohere_reply, READ),
    "cohere, the stream's end": ("cohere", cohere_stream_end, READ),
    "ollama": ("ollama", ollama_reply, READ),
    "groq": ("groq", groq_reply, READ),
    "langchain": ("langchain_core", langchain_reply, LANGCHAIN_READ),
    "langchain, chunks": ("langchain_core", langchain_chunks, LANGCHAIN_READ),
    "pydantic-ai": ("pydantic_ai", pydantic_ai_run, used(cached_input_tokens=700)),
    "instructor": ("instructor", instructor_reply, READ),
}


@pytest.mark.parametrize(("library", "build", "usage"), CLASSES.values(), ids=CLASSES.keys())
@pytest.mark.filterwarnings("ignore")
def test_objects_as_the_libraries_build_them(library: str, build: Callable[[], object], usage: Usage) -> None:
    """The table's shapes are those of the classes themselves; skipped where they are not installed."""
    pytest.importorskip(library)

    read = read_reply(build()).usage

    assert read is not None
    assert {name: value for name, value in vars(usage).items() if value is not None}.items() <= vars(read).items()


class Hidden(Exception):  # noqa: N818 - what matters is its fields
    """An error that does not show its fields."""

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise OSError("gone")


def test_an_error_that_hides_its_fields_carries_nothing() -> None:
    """The error itself is what the call raises, whatever reading it does."""
    assert read_error(Hidden()).usage is None


def test_usage_that_says_nothing_leaves_the_search_to_what_is_inside() -> None:
    """A reply may have an empty field of that name, and the counts elsewhere."""
    assert read_reply({"usage": None, "meta": {"billed_units": {"input_tokens": 3}}}).usage == Usage(input_tokens=3)
    assert read_reply({"usage": {}, "x_groq": {"id": "1"}, "raw": {"usage": CHAT}, "parsed": 1}).usage == READ


def test_a_reply_is_not_looked_for_at_any_depth() -> None:
    """What a framework wraps is one or two layers down; a hostile reply has as many as it likes."""
    reply: dict[str, Any] = {"usage": CHAT}
    for _ in range(3):
        reply = {"raw": reply, "parsed": None}
    assert read_reply(reply).usage == READ
    assert read_reply({"raw": reply, "parsed": None}).usage is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", None, b"{" + b" " * (17 * 1024 * 1024)])
def test_a_raw_response_without_a_json_object_says_nothing(body: object) -> None:
    """Nothing else is parsed, nor anything without end."""
    assert read_reply(SimpleNamespace(http_response=SimpleNamespace(_content=body))).usage is None
    assert read_reply(SimpleNamespace(http_response=None)).usage is None
