"""How good a projection of input tokens is, against a real tokenizer.

Projects a corpus of short texts with ``text_tokens`` and counts the same texts as requests with the tokenizer in the
wheel of mistral-common (Tekken, 131 072 tokens; nothing is downloaded). Prints two figures, the share of texts that
took more tokens than projected and how far the projections are above the counts altogether, and what a rule by length
alone would need.

Needs: pip install mistral-common
Usage: python benchmarks/projection_text.py [FILE ...]     (FILEs of your own, text or .mo, in place of the corpus)
"""

from __future__ import annotations

import argparse
import base64
import gettext
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from routeware.pricing import text_tokens

try:
    from mistral_common.protocol.instruct.messages import AssistantMessage, SystemMessage, UserMessage
    from mistral_common.protocol.instruct.request import ChatCompletionRequest
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
except ImportError as error:
    raise SystemExit("the tokenizer is missing: pip install mistral-common") from error

CORPUS = Path(__file__).parent / "projection_corpus"
ALLOWED_BELOW = 0.01


class Row(NamedTuple):
    """One text: what was projected for a call with it, and what the call takes."""

    kind: str
    text: str
    projected: int
    counted: int


def corpus() -> Iterator[tuple[str, str]]:
    """Kind and text: a line of a ``.txt`` file, or a block of a ``.blocks`` file, and each file as a whole."""
    for path in sorted(CORPUS.iterdir()):
        content = path.read_text(encoding="utf-8").rstrip("\n")
        texts = content.split("\n%%\n") if path.suffix == ".blocks" else content.split("\n")
        for text in [*texts, "\n".join(texts)]:
            yield path.stem, text
    yield from generated(random.Random(7))


def generated(draw: random.Random) -> Iterator[tuple[str, str]]:
    """Long numbers, hashes and base64: nobody need write those down."""
    for length in (8, 16, 40, 120) * 3:
        yield "long numbers", "".join(draw.choices("0123456789", k=length))
        yield "long numbers", " ".join(str(draw.randrange(10 ** draw.randint(1, 12))) for _ in range(length))
        yield "long numbers", ", ".join(f"{draw.gauss(0, 100):.6f}" for _ in range(length // 4))
        yield "hashes", "".join(draw.choices("0123456789abcdef", k=length))
        yield "base64", base64.b64encode(draw.randbytes(length)).decode()


def read(path: Path) -> Iterator[tuple[str, str]]:
    """A file of one's own, in pieces: five translations of a ``.mo``, or a thousand characters of text."""
    if path.suffix == ".mo":
        with path.open("rb") as file:
            translated = [text for text in vars(gettext.GNUTranslations(file))["_catalog"].values() if text]
        pieces = ["\n".join(translated[start : start + 5]) for start in range(1, len(translated), 5)]
    else:
        content = path.read_text(encoding="utf-8", errors="replace")
        pieces = [content[start : start + 1000] for start in range(0, len(content), 1000)]
    return ((path.suffix, piece) for piece in pieces if piece.strip())


def tokenizer() -> Callable[[list[tuple[str, str]]], int]:
    """From a conversation, as pairs of role and text, to the tokens that it takes as a request."""
    tekken = MistralTokenizer.v3(is_tekken=True)
    classes = {"user": UserMessage, "assistant": AssistantMessage, "system": SystemMessage}

    def count(conversation: list[tuple[str, str]]) -> int:
        messages = [classes[role](content=text) for role, text in conversation]
        return len(tekken.encode_chat_completion(ChatCompletionRequest(messages=messages)).tokens)

    return count


def messages(conversation: list[tuple[str, str]]) -> list[dict[str, str]]:
    """A conversation as most functions take it."""
    return [{"role": role, "content": text} for role, text in conversation]


def conversations(rows: list[Row], draw: random.Random) -> Iterator[list[tuple[str, str]]]:
    """Talks of up to six turns made of the corpus, each in one language."""
    by_kind = defaultdict(list)
    for row in rows:
        if len(row.text) < 1000:
            by_kind[row.kind].append(row.text)
    for texts in by_kind.values():
        for turns in (1, 3, 5):
            said = [draw.choice(texts) for _ in range(turns + 1)]
            yield [("system", said[0])] + [("assistant" if i % 2 else "user", text) for i, text in enumerate(said[1:])]


def figures(rows: list[Row]) -> str:
    """How many of them were projected too low, and how far the projections are above the counts altogether."""
    below = sum(row.projected < row.counted for row in rows)
    above = sum(row.projected for row in rows) / sum(row.counted for row in rows)
    return f"{len(rows):5d} texts {below / len(rows):8.1%} below {above:8.2f} times the count"


def needed(rows: list[Row], length: Callable[[str], int]) -> tuple[float, float]:
    """The least tokens per unit of length that are below in 1 % only, and how far above the count that is."""
    rates = sorted(row.counted / max(1, length(row.text)) for row in rows)
    rate = rates[int(len(rates) * (1 - ALLOWED_BELOW))]
    return rate, rate * sum(length(row.text) for row in rows) / sum(row.counted for row in rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("files", nargs="*", type=Path, help="files of your own, in place of the corpus")
    files: list[Path] = parser.parse_args().files
    count = tokenizer()
    texts = [pair for path in files for pair in read(path)] if files else list(corpus())
    rows = [Row(kind, text, text_tokens((text,), {}), count([("user", text)])) for kind, text in texts]

    for kind in dict.fromkeys(row.kind for row in rows):
        print(f"{kind:16}", figures([row for row in rows if row.kind == kind]))
    print(f"{'all':16}", figures(rows))
    talks = [
        Row("", "", text_tokens((messages(talk),), {}), count(talk)) for talk in conversations(rows, random.Random(7))
    ]
    print(f"{'as conversations':16}", figures(talks))
    for unit, length in (("character", len), ("UTF-8 byte", lambda text: len(text.encode()))):
        rate, above = needed(rows, length)
        print(f"one weight for every {unit} would have to be {rate:.2f} tokens: {above:.2f} times the count")


if __name__ == "__main__":
    main()
