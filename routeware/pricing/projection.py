"""Projections: the most tokens that an attempt is expected to take, judged by the arguments of the call.

A projection is set aside before the attempt starts, so it must not be too low, and what is set aside cannot be spent by
anybody else, so it should not be much too high. It also runs in front of every capped call, so it must be quick.

No tokenizer is asked: each provider has its own, and they are slow to load. Instead every character has a weight by its
class, and the classes are counted on the UTF-8 bytes. The weights were fitted to a real tokenizer so that at most one
text in a hundred takes more tokens than projected; docs/projection.md has the figures and benchmarks/projection_text.py
the measurement.
"""

from __future__ import annotations

import inspect
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from routeware.pricing.fields import fields

__all__ = [
    "MINIMUM_OUTPUT_TOKENS",
    "LargestOutput",
    "OutputArgument",
    "output_argument",
    "text_tokens",
]

OutputArgument: TypeAlias = Callable[[tuple[object, ...], Mapping[str, object]], int | None]
"""From a call's arguments, positional and by name, to the output limit among them; ``None`` without one."""

MINIMUM_OUTPUT_TOKENS = 1024
"""The output that is projected where neither the call nor the link limits it and none larger has been seen."""

_ANSWERS = 1000
_BELIEVABLE = 10

_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")

# What a chat template puts around a call, and around each string in it: roles, separators, a JSON schema's quotes.
_CALL_TOKENS = 8
_STRING_TOKENS = 1

_CONTINUATION = bytes(range(0x80, 0xC0))
_BLANK = b" \t\r\n"
_LOWER = b"abcdefghijklmnopqrstuvwxyz"
_UPPER_AND_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

# Hundredths of a token per character, by its byte in UTF-8 or the first of its bytes. Most text ends at the third.
_WEIGHTS: tuple[tuple[bytes, int], ...] = (
    (_LOWER + _BLANK, 32),
    (_UPPER_AND_DIGITS, 120),  # codes, hashes, long numbers: tokens of one or two characters
    (bytes(set(range(0x80)) - {*_LOWER, *_BLANK, *_UPPER_AND_DIGITS}), 100),
    (_CONTINUATION, 0),
    (bytes(range(0xC2, 0xCC)), 100),  # accented Latin: an accent breaks a word into more tokens
    (bytes(range(0xCC, 0xDC)), 55),  # Greek, Cyrillic, Armenian, Hebrew, Arabic
    (b"\xe0\xe1", 75),  # the scripts of South Asia, Thai, Georgian, Vietnamese
    (b"\xe3" + bytes(range(0xEA, 0xEE)), 65),  # kana, hangul
    (b"\xe2\xee\xef" + bytes(range(0xE4, 0xEA)), 140),  # Han, and symbols
    (bytes(range(0xDC, 0xE0)) + bytes(range(0xF0, 0xF8)), 400),  # emoji, and scripts that are spelled out in bytes
)
# More scripts that tokenizers spell out in bytes (Sinhala, Lao, Tibetan, Ethiopic, Khmer ...), between those that they
# know: what their characters weigh beyond the above.
_SPELLED_OUT = re.compile("[\u0800-\u08ff\u0b00-\u0b7f\u0d80-\u0dff\u0e80-\u0fff\u1100-\u1cff]")
_SPELLED_OUT_WEIGHT = 225

_DATA_URL = re.compile(r"data:[\w.+/-]*(;[\w.+-]+(=[^;,]*)?)*,", re.IGNORECASE)  # RFC 2397

_DEPTH = 50
_MARKS_OF_DATA_CLASSES = ("__pydantic_fields__", "__dataclass_fields__", "__attrs_attrs__")
_TEXT_ATTRIBUTES = ("content", "text", "parts")
_MEDIA_TYPES = ("media_type", "mime_type", "mimeType", "format")


def text_tokens(args: tuple[object, ...], kwargs: Mapping[str, object]) -> int:
    """Estimate the input tokens from the text in the arguments of a call; 0 where there is none.

    Counts strings, also inside mappings (their keys, too: those of a tool's schema are sent), lists, tuples, sets, the
    fields of dataclasses, attrs classes and pydantic models, and the ``content``, ``text`` and ``parts`` of other
    objects. Does not count ``data:`` URLs, bytes, base64 beside its media type, and numbers: what an image or a sound
    costs is not in its length. Never raises; a container inside itself is counted once.
    """
    known: dict[int, int] = {}
    total = 0
    for value in args:
        total += _tokens(value, known, _DEPTH)
    for value in kwargs.values():
        total += _tokens(value, known, _DEPTH)
    return total + _CALL_TOKENS if total else 0


def _tokens(value: object, known: dict[int, int], depth: int) -> int:
    if isinstance(value, str):
        return _string_tokens(value)
    if value is None or isinstance(value, int | float | bytes) or depth == 0:
        return 0
    place = id(value)
    if place not in known:
        known[place] = 0  # until it is counted: a container inside itself adds nothing
        known[place] = sum(_tokens(part, known, depth - 1) for part in _parts(value))
    return known[place]


def _string_tokens(text: str) -> int:
    if text[:5].lower() == "data:" and _DATA_URL.match(text):
        return 0
    # A lone surrogate is no reason to fail: the provider function will say what is wrong with it.
    rest = text.encode("utf-8", "surrogatepass")
    weight = 0 if text.isascii() else _spelled_out(text, rest)
    for members, each in _WEIGHTS:
        if not rest:
            break
        left = rest.translate(None, members)
        weight += each * (len(rest) - len(left))
        rest = left
    return _STRING_TOKENS + -(-weight // 100)


def _spelled_out(text: str, encoded: bytes) -> int:
    if b"\xe0" not in encoded and b"\xe1" not in encoded:
        return 0
    return _SPELLED_OUT_WEIGHT * len(_SPELLED_OUT.findall(text))


def _parts(value: object) -> Iterable[object]:
    """Return what may hold text inside a container or object; nothing if it cannot be read."""
    try:
        if isinstance(value, list | tuple | set | frozenset | deque):
            return list(value)
        if isinstance(value, Mapping):
            return [*value, *_values(value)]
        held = fields(value)
        if any(hasattr(type(value), mark) for mark in _MARKS_OF_DATA_CLASSES):
            return _values(held)
        return [held[name] for name in _TEXT_ATTRIBUTES if name in held]
    except Exception:  # noqa: BLE001 - whatever a strange argument raises, the call is not to fail for it here
        return ()


def _values(held: Mapping[Any, object]) -> list[object]:
    """Return the values of a mapping, without base64 that stands beside its media type."""
    for name in _MEDIA_TYPES:
        kind = held.get(name)
        if isinstance(kind, str) and not kind.startswith("text/"):
            return [value for key, value in held.items() if key != "data"]
    return list(held.values())


def output_argument(signature: inspect.Signature) -> OutputArgument:
    """Work out how to find the output limit among the arguments of a call: once, when the function is decorated.

    Takes ``max_tokens``, ``max_completion_tokens`` and ``max_output_tokens``, in this order: given by name, by place,
    or by the signature's default. Only a whole number above 0 counts.

    Args:
        signature: the caller's, without the attempt and ``self``.
    """
    parameters = signature.parameters.values()
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    finders = [_finder(signature, name) for name in _LIMITS if name in signature.parameters or takes_any]
    if not finders:
        return _no_limit

    def limit(args: tuple[object, ...], kwargs: Mapping[str, object]) -> int | None:
        for find in finders:
            value = find(args, kwargs)
            if type(value) is int and value > 0:
                return value
        return None

    return limit


def _no_limit(_args: tuple[object, ...], _kwargs: Mapping[str, object]) -> int | None:
    return None


def _finder(signature: inspect.Signature, name: str) -> Callable[[tuple[object, ...], Mapping[str, object]], object]:
    parameter = signature.parameters.get(name)
    positional = [
        each.name
        for each in signature.parameters.values()
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    place = positional.index(name) if name in positional else None
    default: object = None if parameter is None else parameter.default

    def find(args: tuple[object, ...], kwargs: Mapping[str, object]) -> object:
        if place is not None and place < len(args):
            return args[place]
        return kwargs.get(name, default)

    return find


class LargestOutput:
    """The largest output that a link has answered with lately: what a projection falls back to.

    It must follow what the link does, and one odd number must not price the link out for the rest of the process. So
    only the last 1,000 answers count, and a number that is hard to believe waits until a second one confirms it.

    May be used from several threads at once: the worst that can happen is that one answer is forgotten.

    Attributes:
        tokens: The largest output among the last 1,000 answers, at least 1,024.
    """

    __slots__ = ("_seen", "_since_waiting", "_waiting", "tokens")

    def __init__(self) -> None:
        self.tokens = MINIMUM_OUTPUT_TOKENS
        self._seen: deque[int] = deque(maxlen=_ANSWERS)
        self._waiting = 0
        self._since_waiting = 0

    def learn(self, output_tokens: int, *, deduced: bool = False) -> None:
        """Take in one answer.

        Args:
            output_tokens: Its output.
            deduced: True if that was deduced from a total instead of being counted.
        """
        seen, largest = self._seen, self.tokens
        if output_tokens > largest or self._waiting:
            output_tokens = self._believed(output_tokens, deduced=deduced)
        oldest = seen[0] if len(seen) == _ANSWERS else 0
        seen.append(output_tokens)
        if output_tokens >= largest:
            self.tokens = output_tokens
        elif oldest >= largest:
            # A copy is one step for other threads; a deque that grows while it is walked raises.
            self.tokens = max(MINIMUM_OUTPUT_TOKENS, *seen.copy())

    def _believed(self, output_tokens: int, *, deduced: bool) -> int:
        """Return as much of an output as can be believed."""
        self._since_waiting += 1
        if self._since_waiting >= _ANSWERS:
            self._waiting = 0
        doubtful = output_tokens > (self.tokens if deduced else _BELIEVABLE * self.tokens)
        return self._confirmed(output_tokens) if doubtful else output_tokens

    def _confirmed(self, output_tokens: int) -> int:
        """Return as much of a doubtful output as the one that waits confirms; the larger of the two waits on."""
        confirmed = min(self._waiting, output_tokens)
        self._waiting = max(self._waiting, output_tokens)
        self._since_waiting = 0
        return confirmed
