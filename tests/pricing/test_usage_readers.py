"""What a reply took is read off every API's own shape, as the SDKs build it, and each token is counted once."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, Mock

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeware.money import Usage
from routeware.pricing import Reading, read_error, read_reply

NOTHING = Reading(None, None)

OPENAI_CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1762160000,
    "model": "gpt-5-mini-2025-08-07",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Air scatters blue light."}}
    ],
    "usage": {
        "prompt_tokens": 2048,
        "completion_tokens": 320,
        "total_tokens": 2368,
        "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 256, "audio_tokens": 0},
    },
}
OPENAI_CHAT_USAGE = Usage(
    input_tokens=2048,
    output_tokens=320,
    cached_input_tokens=1920,
    reasoning_tokens=256,
    input_audio_tokens=0,
    output_audio_tokens=0,
)

OPENAI_RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1762160000,
    "status": "completed",
    "model": "gpt-5-2025-08-07",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 1500,
        "input_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 300},
        "output_tokens": 700,
        "output_tokens_details": {"reasoning_tokens": 640},
        "total_tokens": 2200,
    },
}
OPENAI_RESPONSE_USAGE = Usage(
    input_tokens=1500, output_tokens=700, cached_input_tokens=1024, cache_write_tokens=300, reasoning_tokens=640
)

OPENAI_EMBEDDING: dict[str, Any] = {
    "object": "list",
    "model": "text-embedding-3-small",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.1, -0.2]}],
    "usage": {"prompt_tokens": 12, "total_tokens": 12},
}

ANTHROPIC_MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "Air scatters blue light."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 21,
        "cache_creation_input_tokens": 188,
        "cache_read_input_tokens": 4096,
        "output_tokens": 393,
        "service_tier": "standard",
    },
}
ANTHROPIC_USAGE = Usage(
    input_tokens=21 + 188 + 4096,
    output_tokens=393,
    cached_input_tokens=4096,
    cache_write_tokens=188,
    service_tier="standard",
)

GOOGLE_CONTENT: dict[str, Any] = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Air."}]}, "finishReason": "STOP", "index": 0}],
    "modelVersion": "gemini-2.5-flash",
    "usageMetadata": {
        "promptTokenCount": 1200,
        "cachedContentTokenCount": 1000,
        "toolUsePromptTokenCount": 40,
        "candidatesTokenCount": 80,
        "thoughtsTokenCount": 500,
        "totalTokenCount": 1820,
    },
}
GOOGLE_USAGE = Usage(input_tokens=1240, output_tokens=580, cached_input_tokens=1000, reasoning_tokens=500)

MISTRAL_CHAT: dict[str, Any] = {
    "id": "cmpl-1",
    "object": "chat.completion",
    "created": 1762160000,
    "model": "mistral-small-2506",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Air."}}],
    "usage": {"prompt_tokens": 16, "completion_tokens": 34, "total_tokens": 50},
}

BEDROCK_CONVERSE: dict[str, Any] = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Air."}]}},
    "stopReason": "end_turn",
    "usage": {
        "inputTokens": 30,
        "outputTokens": 628,
        "cacheReadInputTokens": 900,
        "cacheWriteInputTokens": 70,
        "totalTokens": 1628,
    },
    "metrics": {"latencyMs": 1275},
}
BEDROCK_USAGE = Usage(input_tokens=1000, output_tokens=628, cached_input_tokens=900, cache_write_tokens=70)


def usage_of(counts: Mapping[str, object]) -> Usage | None:
    """What a reply with these counts is read as."""
    return read_reply({"usage": counts}).usage


# --- the APIs' JSON -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "usage", "model"),
    [
        (OPENAI_CHAT, OPENAI_CHAT_USAGE, "gpt-5-mini-2025-08-07"),
        (OPENAI_RESPONSE, OPENAI_RESPONSE_USAGE, "gpt-5-2025-08-07"),
        (OPENAI_EMBEDDING, Usage(input_tokens=12, output_tokens=0), "text-embedding-3-small"),
        (ANTHROPIC_MESSAGE, ANTHROPIC_USAGE, "claude-sonnet-4-5-20250929"),
        (GOOGLE_CONTENT, GOOGLE_USAGE, "gemini-2.5-flash"),
        (MISTRAL_CHAT, Usage(input_tokens=16, output_tokens=34), "mistral-small-2506"),
        (BEDROCK_CONVERSE, BEDROCK_USAGE, None),
    ],
    ids=["openai chat", "openai responses", "openai embeddings", "anthropic", "google", "mistral", "bedrock"],
)
def test_usage_is_read_off_an_apis_json(reply: object, usage: Usage, model: str | None) -> None:
    """Input includes what was cached, output includes what was reasoned, whatever the API's own words mean."""
    assert read_reply(reply) == Reading(usage, model)


def test_zero_is_a_number_and_missing_is_unknown() -> None:
    """A free answer and an unreported one must not cost the same."""
    assert usage_of({"prompt_tokens": 0, "completion_tokens": 0}) == Usage(input_tokens=0, output_tokens=0)
    assert usage_of({"prompt_tokens": 5}) == Usage(input_tokens=5, output_tokens=None)
    assert usage_of({"input_tokens": None, "output_tokens": 3}) == Usage(input_tokens=None, output_tokens=3)
    assert usage_of({}) is None
    assert usage_of({"prompt_tokens": None, "completion_tokens": None}) is None


@pytest.mark.parametrize(
    "strange", [True, -1, 5.5, "5", [5], {"n": 5}, float("nan"), float("inf"), 2**53 + 1, 2.0**60, 10**400, None]
)
def test_a_count_is_a_whole_number_or_unknown(strange: object) -> None:
    """Booleans, fractions, text and numbers that no provider counts to are not guessed at, and are named."""
    reading = read_reply({"usage": {"prompt_tokens": strange, "completion_tokens": 7}})

    assert reading.usage == Usage(output_tokens=7)
    assert reading.dropped == (() if strange is None else ("prompt_tokens",))


def test_a_float_that_is_whole_is_a_count() -> None:
    """Cohere's JSON has 17.0 where others have 17; the largest count is 2^53."""
    assert usage_of({"prompt_tokens": 5.0, "completion_tokens": 7}) == Usage(input_tokens=5, output_tokens=7)
    assert usage_of({"prompt_tokens": 2**53, "completion_tokens": 0.0}) == Usage(input_tokens=2**53, output_tokens=0)


def test_anthropics_input_gains_what_went_through_a_cache_and_openais_has_it_already() -> None:
    """The same two names mean different things; the names of the cached counts beside them tell which."""
    anthropic = {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 90}
    openai = {"input_tokens": 100, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 90}}

    assert usage_of(anthropic) == Usage(input_tokens=100, output_tokens=1, cached_input_tokens=90)
    assert usage_of(openai) == Usage(input_tokens=100, output_tokens=1, cached_input_tokens=90)


def test_without_details_input_is_taken_as_it_is() -> None:
    """Both APIs without a cache: there is nothing to add."""
    plain = {"input_tokens": 100, "output_tokens": 1, "input_tokens_details": None, "cache_read_input_tokens": None}

    assert usage_of(plain) == Usage(input_tokens=100, output_tokens=1)
    assert usage_of({**plain, "input_tokens_details": {}, "cache_read_input_tokens": 9}) == Usage(
        input_tokens=109, output_tokens=1, cached_input_tokens=9
    )


def test_anthropics_thinking_is_part_of_its_output() -> None:
    """It is named as reasoning and not added again."""
    counts = {"input_tokens": 3, "output_tokens": 50, "output_tokens_details": {"thinking_tokens": 40}}

    assert usage_of(counts) == Usage(input_tokens=3, output_tokens=50, reasoning_tokens=40)


def test_reasoning_that_only_the_total_knows_of_is_output() -> None:
    """Some compatible APIs leave reasoning out of completion_tokens and bill it all the same."""
    counts = {
        "prompt_tokens": 32,
        "completion_tokens": 9,
        "total_tokens": 135,
        "completion_tokens_details": {"reasoning_tokens": 94},
    }

    assert usage_of(counts) == Usage(input_tokens=32, output_tokens=103, reasoning_tokens=94)


def test_a_total_that_is_too_small_changes_nothing() -> None:
    """A total can add what is missing; it cannot take away what was counted."""
    assert usage_of({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 0}) == Usage(
        input_tokens=32, output_tokens=9
    )
    assert usage_of({"prompt_tokens": 32, "total_tokens": 0}) == Usage(input_tokens=32)


def test_a_google_answer_that_was_all_thought_has_no_count_of_candidates() -> None:
    """JSON leaves out a count that is zero."""
    reply = {"usageMetadata": {"promptTokenCount": 9, "thoughtsTokenCount": 1022, "totalTokenCount": 1031}}

    assert read_reply(reply).usage == Usage(input_tokens=9, output_tokens=1022, reasoning_tokens=1022)


def test_a_google_prompt_that_was_blocked_has_no_output() -> None:
    """The total says that nothing came after the prompt."""
    reply = {"usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9}}

    assert read_reply(reply).usage == Usage(input_tokens=9, output_tokens=0)


def test_google_counts_of_a_live_session_and_of_an_interaction_are_read() -> None:
    """Google has three sets of names for the same counts."""
    live = {"usage_metadata": {"prompt_token_count": 5, "response_token_count": 6, "total_token_count": 11}}
    interaction = {
        "model": "gemini-3-pro",
        "usage": {
            "total_input_tokens": 7,
            "total_tool_use_tokens": 3,
            "total_cached_tokens": 2,
            "total_output_tokens": 20,
            "total_thought_tokens": 15,
            "total_tokens": 45,
        },
    }

    assert read_reply(live).usage == Usage(input_tokens=5, output_tokens=6)
    assert read_reply(interaction) == Reading(
        Usage(input_tokens=10, output_tokens=35, cached_input_tokens=2, reasoning_tokens=15), "gemini-3-pro"
    )


def test_what_a_mistral_connector_sent_is_input() -> None:
    """Connectors read on the model's behalf; the total holds their tokens, and they are no output."""
    counts = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 125, "connector_tokens": 100}

    assert usage_of(counts) == Usage(input_tokens=120, output_tokens=5)


# --- the SDKs' objects ----------------------------------------------------------------------------------------------


def test_openai_objects() -> None:
    """Chat completions, responses and embeddings, validated as the SDK's own classes."""
    pytest.importorskip("openai")
    from openai.types import CreateEmbeddingResponse
    from openai.types.chat import ChatCompletion
    from openai.types.responses import Response

    assert read_reply(ChatCompletion.model_validate(OPENAI_CHAT)) == Reading(OPENAI_CHAT_USAGE, OPENAI_CHAT["model"])
    assert read_reply(Response.model_validate(OPENAI_RESPONSE)) == Reading(
        OPENAI_RESPONSE_USAGE, OPENAI_RESPONSE["model"]
    )
    assert read_reply(CreateEmbeddingResponse.model_validate(OPENAI_EMBEDDING)) == Reading(
        Usage(input_tokens=12, output_tokens=0), OPENAI_EMBEDDING["model"]
    )


def openai_client(payload: object) -> Any:
    """The SDK itself, whose transport answers with ``payload``."""
    openai = pytest.importorskip("openai")
    httpx = pytest.importorskip("httpx")
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=payload))
    return openai.OpenAI(api_key="none", base_url="http://test", http_client=httpx.Client(transport=transport))


ASKED: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}


def test_openai_replies_as_the_client_builds_them() -> None:
    """The client does not validate what it receives, so its objects are not quite those that validation makes."""
    with openai_client(OPENAI_CHAT) as client:
        assert read_reply(client.chat.completions.create(**ASKED)) == Reading(OPENAI_CHAT_USAGE, OPENAI_CHAT["model"])
    with openai_client(OPENAI_RESPONSE) as client:
        reply = client.responses.create(model="gpt-5", input="Why is the sky blue?")
        assert read_reply(reply) == Reading(OPENAI_RESPONSE_USAGE, OPENAI_RESPONSE["model"])


def test_a_raw_response_is_read_before_and_after_it_is_parsed() -> None:
    """Its body was received, and may be read by anybody without taking it from anyone."""
    with openai_client(OPENAI_CHAT) as client:
        raw = client.chat.completions.with_raw_response.create(**ASKED)

        assert read_reply(raw) == Reading(OPENAI_CHAT_USAGE, OPENAI_CHAT["model"])
        raw.parse()
        assert read_reply(raw) == Reading(OPENAI_CHAT_USAGE, OPENAI_CHAT["model"])


def test_a_field_that_the_sdk_does_not_know_is_read() -> None:
    """Compatible APIs send more than the SDK has names for; pydantic keeps it apart."""
    pytest.importorskip("openai")
    from openai.types.chat import ChatCompletion

    sent = {**OPENAI_CHAT, "usage": None, "usage_metadata": {"prompt_token_count": 3, "candidates_token_count": 4}}

    assert read_reply(ChatCompletion.construct(**sent)).usage == Usage(input_tokens=3, output_tokens=4)


def test_a_completion_that_could_not_be_parsed_was_paid_for() -> None:
    """OpenAI's parse errors carry the completion, and the completion its usage."""
    openai = pytest.importorskip("openai")
    cut = json.loads(json.dumps(OPENAI_CHAT))
    cut["choices"][0]["finish_reason"] = "length"

    with openai_client(cut) as client, pytest.raises(openai.LengthFinishReasonError) as caught:
        client.chat.completions.parse(**ASKED, response_format={"type": "json_object"})

    assert read_error(caught.value) == Reading(OPENAI_CHAT_USAGE, OPENAI_CHAT["model"])


def test_an_anthropic_message_object() -> None:
    """Validated, and as the client builds it."""
    pytest.importorskip("anthropic")
    from anthropic.types import Message

    expected = Reading(ANTHROPIC_USAGE, ANTHROPIC_MESSAGE["model"])

    assert read_reply(Message.model_validate(ANTHROPIC_MESSAGE)) == expected
    assert read_reply(Message.construct(**ANTHROPIC_MESSAGE)) == expected


def test_a_google_response_object() -> None:
    """Validated from the JSON that the API sends."""
    pytest.importorskip("google.genai")
    from google.genai.types import GenerateContentResponse

    reply = GenerateContentResponse.model_validate(GOOGLE_CONTENT)

    assert read_reply(reply) == Reading(GOOGLE_USAGE, GOOGLE_CONTENT["modelVersion"])


def mistral_models() -> Any:
    """The SDK's classes, wherever its version keeps them."""
    pytest.importorskip("mistralai")
    try:
        return importlib.import_module("mistralai.client.models")
    except ImportError:  # before its second major version
        return importlib.import_module("mistralai.models")


def test_a_mistral_response_object() -> None:
    """Chat and embeddings."""
    models = mistral_models()
    embedding = {
        "id": "emb-1",
        "object": "list",
        "model": "mistral-embed",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}],
        "usage": {"prompt_tokens": 15, "total_tokens": 15, "completion_tokens": 0},
    }

    assert read_reply(models.ChatCompletionResponse.model_validate(MISTRAL_CHAT)) == Reading(
        Usage(input_tokens=16, output_tokens=34), MISTRAL_CHAT["model"]
    )
    assert read_reply(models.EmbeddingResponse.model_validate(embedding)).usage == Usage(
        input_tokens=15, output_tokens=0
    )


def test_a_default_of_zero_is_not_a_report() -> None:
    """Mistral's counts are 0 where the API sent none; a call must not become free by that."""
    models = mistral_models()

    reply = models.ChatCompletionResponse.model_validate({**MISTRAL_CHAT, "usage": {}})
    half = models.ChatCompletionResponse.model_validate({**MISTRAL_CHAT, "usage": {"prompt_tokens": 16}})

    assert read_reply(reply) == NOTHING
    assert read_reply(half).usage == Usage(input_tokens=16)


def test_botocores_mapping() -> None:
    """Parsed by botocore from what Bedrock sends, with botocore's own model of the service."""
    pytest.importorskip("botocore")
    from botocore.loaders import Loader
    from botocore.model import ServiceModel
    from botocore.parsers import create_parser

    service = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))
    sent = {"status_code": 200, "headers": {}, "body": json.dumps(BEDROCK_CONVERSE).encode()}

    reply = create_parser("rest-json").parse(sent, service.operation_model("Converse").output_shape)

    assert read_reply(reply) == Reading(BEDROCK_USAGE, None)


# --- other people's objects -----------------------------------------------------------------------------------------


@attrs.define
class SlottedCounts:
    input_tokens: int
    output_tokens: int


@attrs.define
class SlottedReply:
    model: str
    usage: SlottedCounts


class Alarmed:
    """Any use of it but reading its fields fails."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)

    @property
    def usage_metadata(self) -> object:
        raise AssertionError("a property was run")

    def __bool__(self) -> bool:
        raise AssertionError("a reply was tested for truth")

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AssertionError(f"{name} was asked for")


def test_plain_objects_and_slots_are_read() -> None:
    """A reply may be anybody's class."""
    counts = SimpleNamespace(prompt_tokens=1, completion_tokens=2)

    assert read_reply(SimpleNamespace(usage=counts, model="m")) == Reading(Usage(input_tokens=1, output_tokens=2), "m")
    assert read_reply(SlottedReply("m", SlottedCounts(1, 2))) == Reading(Usage(input_tokens=1, output_tokens=2), "m")


def test_no_property_runs_and_no_reply_is_tested_for_truth() -> None:
    """Properties may be deprecated, lazy or broken; some replies are false when empty."""
    counts = Alarmed(prompt_tokens=1, completion_tokens=2)

    assert read_reply(Alarmed()) == NOTHING
    assert read_reply(Alarmed(usage=counts)).usage == Usage(input_tokens=1, output_tokens=2)


@pytest.mark.parametrize("mock", [Mock(), MagicMock(), Mock(spec=dict)], ids=["Mock", "MagicMock", "spec=dict"])
def test_a_mock_says_nothing(mock: Mock) -> None:
    """It answers to every name, but not with numbers of its own."""
    assert read_reply(mock) == NOTHING
    assert read_reply({"usage": mock}) == NOTHING


def test_the_model_of_something_that_is_no_reply_is_nobodys_business() -> None:
    """A result may be a car, and its model then is data, which leaves the process in no span."""
    assert read_reply({"model": "Kadett", "doors": 3}) == NOTHING


@pytest.mark.parametrize("result", [None, "text", b"bytes", 3, 2.5, True, [], (), {}, object(), int, iter(())])
def test_other_results_say_nothing(result: object) -> None:
    """Most functions return what they made of the reply."""
    assert read_reply(result) == NOTHING


class Broken(Mapping[str, object]):
    def __getitem__(self, key: str) -> object:
        raise OSError("gone")

    def __iter__(self) -> Any:
        raise OSError("gone")

    def __len__(self) -> int:
        raise OSError("gone")


def test_a_mapping_that_raises_says_nothing() -> None:
    """Reading usage never turns an answer into an error."""
    assert read_reply(Broken()) == NOTHING
    assert read_reply({"usage": Broken()}) == NOTHING


NAMES = st.sampled_from(
    [
        *("usage", "usage_metadata", "usageMetadata", "model", "model_version", "prompt_tokens", "completion_tokens"),
        *("total_tokens", "prompt_tokens_details", "cached_tokens", "input_tokens", "output_tokens", "inputTokens"),
        *("cache_read_input_tokens", "input_tokens_details", "promptTokenCount", "thoughts_token_count", "other"),
    ]
)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5))
DATA = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(NAMES, st.integers(), st.none()), inner, max_size=6),
        st.dictionaries(NAMES, inner, max_size=6).map(lambda held: SimpleNamespace(**held)),
    ),
    max_leaves=25,
)


@given(DATA)
def test_reading_never_raises(reply: object) -> None:
    """Whatever nests in whatever: a reading, whose counts are whole numbers or unknown."""
    reading = read_reply(reply)

    counts = () if reading.usage is None else attrs.astuple(reading.usage)[:-1]
    assert all(count is None or (type(count) is int and count >= 0) for count in counts)
    assert reading.response_model is None or isinstance(reading.response_model, str)


# --- errors ---------------------------------------------------------------------------------------------------------


class CarryingError(Exception):
    def __init__(self, **fields: object) -> None:
        super().__init__("carried")
        self.__dict__.update(fields)


def test_usage_is_read_off_the_reply_that_an_error_carries() -> None:
    """An answer that could not be used was paid for all the same."""
    assert read_error(CarryingError(completion=OPENAI_CHAT)).usage == OPENAI_CHAT_USAGE
    assert read_error(CarryingError(response=ANTHROPIC_MESSAGE)).usage == ANTHROPIC_USAGE
    assert read_error(CarryingError(completion=None, response=OPENAI_CHAT)).usage == OPENAI_CHAT_USAGE


def test_other_errors_say_nothing() -> None:
    """Usage elsewhere on an error is somebody else's, and a property is not looked at."""

    class PropertyError(Exception):
        @property
        def completion(self) -> object:
            raise AssertionError("a property was run")

    assert read_error(ValueError("no")) == NOTHING
    assert read_error(CarryingError(usage=OPENAI_CHAT["usage"], body=OPENAI_CHAT)) == NOTHING
    assert read_error(CarryingError(completion=Broken())) == NOTHING
    assert read_error(PropertyError()) == NOTHING


def test_the_http_response_of_an_error_status_is_no_usage() -> None:
    """Its body may speak of usage; it was an error, and nobody parsed it."""
    openai = pytest.importorskip("openai")
    httpx = pytest.importorskip("httpx")
    response = httpx.Response(429, json=OPENAI_CHAT, request=httpx.Request("POST", "http://test"))

    assert read_error(openai.RateLimitError("slow down", response=response, body=OPENAI_CHAT)) == NOTHING


def test_botocores_error_response_is_no_usage() -> None:
    """It is a mapping, with an error in it."""
    pytest.importorskip("botocore")
    from botocore.exceptions import ClientError

    told = {"Error": {"Code": "ThrottlingException", "Message": "slow"}, "ResponseMetadata": {"HTTPStatusCode": 429}}

    assert read_error(ClientError(told, "Converse")) == NOTHING


@pytest.mark.parametrize(
    "event",
    [
        {"type": "chunk", "chunk": OPENAI_CHAT, "snapshot": OPENAI_CHAT},
        {"data": OPENAI_CHAT},
        {"x_groq": {"usage": OPENAI_CHAT["usage"]}, "choices": []},
    ],
)
def test_usage_is_read_one_level_down_in_the_events_of_streams(event: dict[str, Any]) -> None:
    """OpenAI's helper and Mistral's SDK wrap each chunk."""
    assert read_reply(event).usage == OPENAI_CHAT_USAGE
    assert read_reply({"data": [OPENAI_CHAT]}) == NOTHING


def test_openais_realtime_and_transcription_counts_are_read() -> None:
    """Sound costs several times as much as text, and what a cache held a fraction of it."""
    usage = {
        "total_tokens": 253,
        "input_tokens": 132,
        "output_tokens": 121,
        "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "cached_tokens": 64},
        "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
    }
    expected = Usage(
        input_tokens=132,
        output_tokens=121,
        cached_input_tokens=64,
        input_audio_tokens=13,
        output_audio_tokens=91,
    )

    assert read_reply({"type": "response.done", "response": {"usage": usage}}).usage == expected
    assert usage_of({"type": "tokens", **usage}) == expected
