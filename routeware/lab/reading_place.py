"""Finds the line and column of an error in JSON, by parsing the same bytes a second time.

ijson does not say where it is. The second parse goes fast up to the piece with the error, then in steps of some hundred
bytes, then byte by byte through one step. Byte by byte through the whole piece would be too slow: the parser keeps a
text that has not ended, and looks at all of it again whenever more comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from routeware.lab.reading_bytes import Bytes

__all__ = [
    "PIECE",
    "Event",
    "Place",
    "TooManyDigitsError",
    "find_event",
    "find_mistake",
    "find_refused_number",
    "mistakes",
    "new_parser",
    "place_after",
]

PIECE = 1 << 16
"""How many bytes are parsed at once."""

_STEP = 512
_LONGEST_WORD = 64
_CONTINUATION = bytes(range(0x80, 0xC0))

Event = tuple[str, Any]


class TooManyDigitsError(ValueError):
    """An integer has more digits than Python reads: 4,300."""


class Parser:
    """ijson's parser, which appends events to a list; values may follow each other."""

    def __init__(self) -> None:
        import ijson

        self.events: list[Event] = ijson.sendable_list()
        self._parser = ijson.basic_parse_coro(self.events, multiple_values=True)

    def send(self, piece: bytes) -> None:
        """Parse a piece.

        Raises:
            Exception: one of ``mistakes``.
        """
        self._safely(lambda: self._parser.send(piece))

    def close(self) -> None:
        """End the text.

        Raises:
            Exception: one of ``mistakes``.
        """
        self._safely(self._parser.close)

    def _safely(self, step: Callable[[], object]) -> None:
        try:
            step()
        except SystemError:
            # The parser in C goes on after Python has refused the integer, and appends an event without a value:
            # whoever reads that one crashes the interpreter.
            del self.events[-1]
            raise TooManyDigitsError from None


def new_parser() -> tuple[list[Event], Parser]:
    """Return a list, and a parser that appends events to it."""
    parser = Parser()
    return parser.events, parser


def mistakes() -> tuple[type[Exception], ...]:
    """Return what a parser raises; some numbers are refused by Python itself."""
    import ijson

    return ijson.JSONError, ValueError, ArithmeticError


@attrs.define
class Place:
    """A line and a column, both from 1; columns count characters, not bytes."""

    line: int = 1
    column: int = 1

    def pass_over(self, piece: bytes) -> None:
        """Move behind ``piece``."""
        newline = piece.rfind(b"\n")
        self.line += piece.count(b"\n")
        last = piece[newline + 1 :].translate(None, _CONTINUATION)
        self.column = len(last) + (1 if newline >= 0 else self.column)

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


def place_after(file: Bytes, count: int) -> Place:
    """Return the place behind the first ``count`` bytes."""
    place = Place()
    file.seek(0)
    while count > 0 and (piece := file.read(min(count, PIECE))):
        place.pass_over(piece)
        count -= len(piece)
    return place


def find_event(file: Bytes, begun: int, number: int) -> Place:
    """Return the place behind the event ``number``, counted from 1; it lies after the first ``begun`` bytes."""
    begun, _ = _advance(file, begun, _STEP, number)
    begun, last = _advance(file, begun, 1, number)
    return place_after(file, begun + len(last))


def find_mistake(file: Bytes, begun: int) -> tuple[Place, str]:
    """Return the place of what the parser refuses after the first ``begun`` bytes, and the character there.

    The parser notices a misspelt word in its middle; it is named by its start.
    """
    begun, found = _refused(file, begun)
    before = max(0, begun - _LONGEST_WORD)
    place = place_after(file, before)
    text = file.read(begun - before) if begun > before else b""
    found = file.read(4) or found
    while text and found[:1].isalnum() and text[-1:].isalnum():
        text, found = text[:-1], text[-1:] + found
    place.pass_over(text)
    return place, found.decode(errors="replace")[:1]


def find_refused_number(file: Bytes, begun: int) -> Place:
    """Return the place behind the number that Python refuses after the first ``begun`` bytes."""
    return place_after(file, _refused(file, begun)[0])


def _refused(file: Bytes, begun: int) -> tuple[int, bytes]:
    """Return how many bytes come before the one that the parser refuses after the first ``begun``, and that one."""
    begun, _ = _advance(file, begun, _STEP, None)
    return _advance(file, begun, 1, None)


def _advance(file: Bytes, begun: int, step: int, number: int | None) -> tuple[int, bytes]:
    """Parse from the start; after ``begun`` bytes in steps, until the step that is looked for.

    Returns:
        How many bytes come before that step, and the step: the one with the event ``number``, or the one that the
        parser refuses.
    """
    seen, parser = new_parser()
    file.seek(0)
    count, left = 0, begun
    while left > 0 and (piece := file.read(min(left, PIECE))):
        parser.send(piece)
        count, left = count + len(seen), left - len(piece)
        seen.clear()
    while piece := file.read(step):
        try:
            parser.send(piece)
        except mistakes():
            return begun, piece
        if number is not None and count + len(seen) >= number:
            return begun, piece
        begun += len(piece)
    return begun, b""
