"""What a link costs, and what an attempt at it may cost: price books and projections."""

from __future__ import annotations

import base64
import inspect
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeware.errors import PolicyError
from routeware.money import Price, Tariff, Usage
from routeware.pricing import MINIMUM_OUTPUT_TOKENS, output_argument, price_book, tariff_of, text_tokens

CHEAP = Price(input_usd_per_mtok=0.1, output_usd_per_mtok=0.4)
DEAR = Price(input_usd_per_mtok=5, output_usd_per_mtok=25)
NOW = datetime(2025, 11, 3, tzinfo=UTC)


class HalfPriceAtNight:
    """A tariff that depends on the time."""

    def cost_usd(self, usage: Usage, at: datetime, /) -> float | None:
        return DEAR.cost_usd(usage, at)

    def price(self, at: datetime, /) -> Price | None:
        return None


class Catalogue:
    """A book of one's own, which remembers what it was asked."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []

    def find(self, provider: str, model: str, /) -> Tariff | None:
        self.asked.append((provider, model))
        return self.answer  # type: ignore[no-any-return]  # a user's book may give anything


# --- price books ----------------------------------------------------------------------------------------------------


def test_a_mapping_is_a_book() -> None:
    """Keys are spelled as links are, split at the first colon and trimmed."""
    night = HalfPriceAtNight()
    book = price_book({"openai:gpt-5": DEAR, " ollama : llama3:70b ": CHEAP, "night:owl": night})

    assert book.find("openai", "gpt-5") is DEAR
    assert book.find("ollama", "llama3:70b") is CHEAP
    assert book.find("night", "owl") is night
    assert book.find("openai", "gpt-4") is None


def test_a_book_keeps_its_prices() -> None:
    """Changing the mapping afterwards changes no book: prices are those that were checked."""
    prices = {"openai:gpt-5": DEAR}
    book = price_book(prices)

    prices.clear()

    assert book.find("openai", "gpt-5") is DEAR


def test_without_prices_nothing_is_known() -> None:
    """Not even that it is free."""
    assert price_book(None).find("openai", "gpt-5") is None
    assert price_book({}).find("openai", "gpt-5") is None


def test_an_object_with_find_is_a_book_already() -> None:
    """It is used as it is, also where it is a mapping besides."""

    class Both(OrderedDict[str, int]):
        def find(self, provider: str, model: str, /) -> Tariff | None:
            return CHEAP

    catalogue, both = Catalogue(), Both(x=1)

    assert price_book(catalogue) is catalogue
    assert price_book(both) is both


@pytest.mark.parametrize("name", ["", "gpt-5", ":gpt-5", "openai:", " : ", None, 3, ("openai", "gpt-5")])
def test_a_key_that_names_no_link_is_refused(name: object) -> None:
    """The error shows the key as it was written."""
    with pytest.raises(PolicyError, match="provider:model") as caught:
        price_book({name: DEAR})  # type: ignore[dict-item]

    assert caught.value.key == f"prices[{name!r}]"


@pytest.mark.parametrize("value", [None, 0.5, "cheap", {"input_usd_per_mtok": 1}, Price, Usage()])
def test_a_value_that_is_no_tariff_is_refused(value: object) -> None:
    """The error names the key, the value, and what would be right."""
    with pytest.raises(PolicyError, match="Price") as caught:
        price_book({"openai:gpt-5": value})  # type: ignore[dict-item]

    assert caught.value.key == "prices['openai:gpt-5']"
    assert repr(value) in str(caught.value)


def test_two_spellings_of_one_link_are_refused() -> None:
    """Which of the two prices holds is not ours to choose."""
    with pytest.raises(PolicyError, match="already"):
        price_book({"openai:gpt-5": DEAR, "openai: gpt-5": CHEAP})


@pytest.mark.parametrize("prices", ["openai:gpt-5", b"x", 3, [("openai:gpt-5", DEAR)], DEAR, Catalogue, object()])
def test_what_is_neither_mapping_nor_book_is_refused(prices: object) -> None:
    """Text has a find of its own, and a class is not its instance."""
    with pytest.raises(TypeError, match=r"mapping.*find"):
        price_book(prices)  # type: ignore[arg-type]


def test_a_links_own_price_goes_over_any_book() -> None:
    """The book is then not even asked."""
    catalogue = Catalogue(CHEAP)

    assert tariff_of(DEAR, "openai", "gpt-5", catalogue) is DEAR
    assert catalogue.asked == []


def test_otherwise_the_book_is_asked() -> None:
    """For this provider and model; it may not know."""
    assert tariff_of(None, "openai", "gpt-5", Catalogue(CHEAP)) is CHEAP
    assert tariff_of(None, "openai", "gpt-5", Catalogue(None)) is None


def test_a_book_that_gives_no_tariff_is_told_so() -> None:
    """A number has no unit: dollars for what?"""
    with pytest.raises(PolicyError) as caught:
        tariff_of(None, "openai", "gpt-5", Catalogue(1.25))

    assert caught.value.key == "prices['openai:gpt-5']"
    assert "1.25" in str(caught.value)


# --- the text in the arguments --------------------------------------------------------------------------------------

QUESTION = "Why is the sky blue at noon and red in the evening?"
ALONE = text_tokens((QUESTION,), {})
PICTURE = base64.b64encode(bytes(range(256)) * 40).decode()


def test_no_text_takes_no_tokens() -> None:
    """What is not an LLM may take numbers and objects only."""
    assert text_tokens((), {}) == 0
    assert text_tokens((1, 2.5, None, True, b"bytes", object()), {"temperature": 0.2}) == 0


def test_text_is_counted_wherever_it_is_given() -> None:
    """By place or by name, and twice where it is sent twice."""
    assert text_tokens((), {"prompt": QUESTION}) == ALONE
    assert ALONE < text_tokens((QUESTION, QUESTION), {}) < 2 * ALONE


@dataclass
class Question:
    text: str
    hints: list[str] = field(default_factory=list)


@attrs.frozen
class SlottedQuestion:
    words: str


@pytest.mark.parametrize(
    "holder",
    [
        {"role": "user", "content": QUESTION},
        [QUESTION],
        (QUESTION,),
        {QUESTION},
        deque([QUESTION]),
        [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
        Question(QUESTION),
        Question("", [QUESTION]),
        SlottedQuestion(QUESTION),
        SimpleNamespace(content=QUESTION),
        SimpleNamespace(parts=[SimpleNamespace(text=QUESTION)]),
        {QUESTION: {"type": "string"}},
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_text_is_found_inside_messages(holder: object) -> None:
    """Mappings, sequences, fields and where messages keep their text; the keys of a schema are sent, too."""
    assert ALONE - 8 <= text_tokens((holder,), {}) <= ALONE + 25


def test_text_is_found_in_the_sdks_messages() -> None:
    """Defaults included: what is sent is the object, not what was said when it was built."""
    pydantic = pytest.importorskip("pydantic")
    types = pytest.importorskip("google.genai.types")
    model = pydantic.create_model("Model", system=(str, QUESTION), user=(str, ...))

    assert text_tokens((types.Content(role="user", parts=[types.Part(text=QUESTION)]),), {}) >= ALONE
    assert text_tokens((model(user=QUESTION),), {}) > text_tokens((QUESTION, QUESTION), {}) - 8


@pytest.mark.parametrize(
    "picture",
    [
        f"data:image/png;base64,{PICTURE}",
        f"DATA:image/png;charset=x;base64,{PICTURE}",
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
        {"inlineData": {"mimeType": "image/png", "data": PICTURE}},
        {"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}},
        {"image": {"format": "png", "source": {"bytes": PICTURE.encode()}}},
    ],
    ids=["data url", "upper case", "openai image", "anthropic image", "google image", "openai sound", "bedrock image"],
)
def test_pictures_and_sounds_are_not_text(picture: object) -> None:
    """Their cost is not in the length of their base64, which would refuse every picture under a cap."""
    assert text_tokens((QUESTION, picture), {}) <= ALONE + 60


def test_text_that_looks_like_a_picture_is_text() -> None:
    """A document may be sent as data of a text type, and a prompt may begin with the word data."""
    document = {"type": "text", "media_type": "text/plain", "data": QUESTION * 20}

    assert text_tokens((document,), {}) > 20 * (ALONE - 8)
    assert text_tokens((f"data: {QUESTION}",), {}) >= ALONE


def test_a_container_inside_itself_is_counted_once() -> None:
    """Cycles and great depth end; so does a list of lists of lists of the same list."""
    inside: list[object] = [QUESTION]
    inside.append(inside)
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    wide: list[object] = [QUESTION]
    for _ in range(40):
        wide = [wide, wide]

    assert text_tokens((inside,), {}) == ALONE
    assert text_tokens((deep,), {}) == 0
    assert text_tokens((wide,), {}) > 2**40


class Broken(Mapping[str, object]):
    def __getitem__(self, key: str) -> object:
        raise OSError("gone")

    def __iter__(self) -> Iterator[str]:
        raise OSError("gone")

    def __len__(self) -> int:
        raise OSError("gone")


def test_an_argument_that_cannot_be_read_is_passed_over() -> None:
    """It is the provider function that has a use for it, not the projection."""
    once = iter([QUESTION])

    assert text_tokens((Broken(), [Broken(), QUESTION], Mock(), once, Question, print), {}) == ALONE
    assert next(once) == QUESTION, "an iterator is not used up"


def test_a_lone_surrogate_is_counted() -> None:
    """Whether it can be sent is for the provider function to find out."""
    assert text_tokens(("\ud83d",), {}) > 0


@given(
    st.recursive(
        st.one_of(st.text(), st.integers(), st.none(), st.binary()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.text(max_size=8), inner, max_size=4),
            st.tuples(inner, inner),
        ),
    )
)
def test_projecting_never_raises(argument: object) -> None:
    """Whatever nests in whatever."""
    assert text_tokens((argument,), {"named": argument}) >= 0


@given(st.text(), st.text())
def test_more_text_never_takes_fewer_tokens(first: str, second: str) -> None:
    """Unless it turns into a data: URL, which is no text any more."""
    if not first.lower().startswith("data:"):
        assert text_tokens((first + second,), {}) >= text_tokens((first,), {})


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("The quick answer is that air scatters blue light more than red. " * 50, 650, 1300),
        ("3141592653589793" * 50, 800, 1000),
        ("Воздух рассеивает синий свет сильнее, чем красный. " * 50, 550, 1650),
        ("空气散射蓝光比散射红光更强。" * 50, 450, 1000),
        ("ሰማዩ በቀትር ሰማያዊ የሚሆነው ለምንድን ነው?" * 50, 3000, 4500),
    ],
    ids=["english", "digits", "russian", "chinese", "amharic"],
)
def test_characters_weigh_what_tokenizers_make_of_them(text: str, least: int, most: int) -> None:
    """A letter of English is a quarter of a token, a digit is one, and some scripts are spelled out in bytes."""
    assert least <= text_tokens((text,), {}) <= most


# --- the output limit among the arguments ---------------------------------------------------------------------------


def _free(prompt: str, max_tokens: int | None = None, *, temperature: float = 1.0) -> None: ...


def _by_name(*prompts: str, max_output_tokens: int = 300) -> None: ...


def _positional(max_completion_tokens: int, /, prompt: str) -> None: ...


def _anything(prompt: str, **options: object) -> None: ...


def _several(prompt: str, max_tokens: Any = None, max_completion_tokens: Any = None) -> None: ...


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "limit"),
    [
        (_free, ("hi",), {}, None),
        (_free, ("hi", 50), {}, 50),
        (_free, ("hi",), {"max_tokens": 60}, 60),
        (_free, (), {"prompt": "hi", "max_tokens": 60}, 60),
        (_by_name, ("a", "b", "c"), {}, 300),
        (_by_name, (), {"max_output_tokens": 20}, 20),
        (_positional, (40, "hi"), {}, 40),
        (_anything, ("hi",), {}, None),
        (_anything, ("hi",), {"max_tokens": 7}, 7),
        (_anything, ("hi",), {"max_output_tokens": 8}, 8),
        (_several, ("hi", None, 9), {}, 9),
        (_several, ("hi", 5, 9), {}, 5),
    ],
)
def test_the_output_limit_is_found_in_the_call(
    function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object], limit: int | None
) -> None:
    """By name, by place, or the default that the function has for it."""
    assert output_argument(inspect.signature(function))(args, kwargs) == limit


@pytest.mark.parametrize("strange", [0, -5, True, 12.0, "12", None, [12]])
def test_only_a_whole_number_above_0_is_a_limit(strange: object) -> None:
    """Anything else limits nothing, and the next name is looked at."""
    find = output_argument(inspect.signature(_several))

    assert find(("hi", strange), {}) is None
    assert find(("hi", strange, 9), {}) == 9


def test_a_function_without_a_limit_is_not_searched() -> None:
    """What can be known at decoration costs nothing at a call: all such functions share one finder."""

    def plain(prompt: str) -> None: ...

    def other(*prompts: str, temperature: float) -> None: ...

    assert output_argument(inspect.signature(plain)) is output_argument(inspect.signature(other))
    assert output_argument(inspect.signature(plain))(("hi",), {"max_tokens": 5}) is None


def test_the_least_output_is_named() -> None:
    """What is projected when nobody says anything."""
    assert MINIMUM_OUTPUT_TOKENS == 1024
