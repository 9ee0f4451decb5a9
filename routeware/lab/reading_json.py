"""Large JSON in bounded memory: a document is walked, and only what lies at the wanted place is built, one by one.

The standard library reads whole files only, but it decodes one value out of the middle of a text as well. So the text
is read in pieces, the arrays and objects on the way to the wanted values are stepped through here, and each value in
them is left to the standard decoder, which is fast, and which says where it stopped: an error has its line and column.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Protocol

from routeware.lab.spans import TraceError

__all__ = ["EACH", "JsonStream", "Text"]

EACH = "*"
"""In a path: every item of an array."""

_PIECE = 1 << 18
_LONGEST = 1 << 26
_UNDECIDED = 16
_SPACE = " \t\r\n"
_decode = json.JSONDecoder().raw_decode


class Text(Protocol):
    """Characters that are read in pieces; an empty one is the end."""

    def read(self, size: int, /) -> str:
        """At most ``size`` characters."""
        ...


class JsonStream:
    """JSON documents that follow each other in one text, with or without lines between them.

    Whoever asks for :meth:`members` or :meth:`items` takes each value before going on: by :meth:`value`, or by these.

    Raises:
        TraceError: the text is not JSON, or ends too early, or one value is longer than 64 Mi characters.
    """

    def __init__(self, text: Text, source: str) -> None:
        self._source = source
        self._file = text
        self._text = ""
        self._at = 0
        self._ended = False
        self._lines_before = 0
        self._columns_before = 0

    def more(self) -> bool:
        """Whether another document follows."""
        return self._peek() != ""

    def at_object(self) -> bool:
        """Whether the next value is an object."""
        return self._peek() == "{"

    def members(self) -> Iterator[str]:
        """The keys of the object that comes next."""
        self._expect("{")
        if self._peek() == "}":
            self._at += 1
            return
        while True:
            if self._peek() != '"':
                raise self.error("expected a key in double quotes")
            key = self.value()
            self._expect(":")
            yield str(key)
            if not self._another("}"):
                return

    def items(self) -> Iterator[None]:
        """One turn for each item of the array that comes next."""
        self._expect("[")
        if self._peek() == "]":
            self._at += 1
            return
        while True:
            yield
            if not self._another("]"):
                return

    def at_path(self, *path: str) -> Iterator[object]:
        """Every value at ``path`` in the next value: keys, and :data:`EACH`. What has another shape is passed over."""
        if not path:
            yield self.value()
        elif path[0] == EACH and self._peek() == "[":
            for _ in self.items():
                yield from self.at_path(*path[1:])
        elif path[0] != EACH and self._peek() == "{":
            for key in self.members():
                yield from self.at_path(*path[1:]) if key == path[0] else self._skip()
        else:
            self.value()

    def value(self) -> object:
        """The next value, whole."""
        self._peek()
        while True:
            try:
                found, end = _decode(self._text, self._at)
            except json.JSONDecodeError as error:
                self._go_on_after(error)
            except RecursionError:
                raise self.error("nested too deeply") from None
            else:
                # "1" near the end of a piece may be the beginning of "1.5e+3": it is decoded again with the next one.
                if self._ended or end <= len(self._text) - _UNDECIDED:
                    self._at = end
                    return found
                self._read_on()

    def error(self, problem: str, at: int | None = None) -> TraceError:
        """An error here, or at the index ``at`` of the text in hand."""
        at = self._at if at is None else at
        line = self._lines_before + self._text.count("\n", 0, at) + 1
        newline = self._text.rfind("\n", 0, at)
        column = at - newline if newline >= 0 else self._columns_before + at + 1
        return TraceError(self._source, problem, place=f"line {line}, column {column}")

    def _skip(self) -> Iterator[object]:
        self.value()
        return iter(())

    def _go_on_after(self, error: json.JSONDecodeError) -> None:
        """Read on where the value may just not have arrived yet: an error well before the end is one."""
        cut_off = error.pos >= len(self._text) - _UNDECIDED or error.msg.startswith("Unterminated string")
        if self._ended and cut_off:
            raise self.error("ends in the middle of a value", len(self._text)) from None
        if not cut_off:
            raise self.error(f"not JSON: {error.msg.lower()}", error.pos) from None
        self._read_on()

    def _read_on(self) -> None:
        """Drop what has been taken, and read as much again as is kept: a long value must not cost its square."""
        kept = len(self._text) - self._at
        if kept > _LONGEST:
            raise self.error(f"one value is longer than {_LONGEST >> 20} Mi characters")
        self._lines_before += self._text.count("\n", 0, self._at)
        newline = self._text.rfind("\n", 0, self._at)
        self._columns_before = self._at - newline - 1 if newline >= 0 else self._columns_before + self._at
        try:
            piece = self._file.read(max(_PIECE, kept))
        except UnicodeDecodeError as error:
            raise self.error(f"not UTF-8 text: {error.reason}", len(self._text)) from None
        self._text = self._text[self._at :] + piece
        self._at = 0
        self._ended = not piece

    def _peek(self) -> str:
        """The next character that is not space; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if self._ended:
                return ""
            self._read_on()

    def _expect(self, wanted: str) -> None:
        found = self._peek()
        if found != wanted:
            raise self.error(
                f"expected {wanted!r}, found {found!r}" if found else f"ends where {wanted!r} should follow"
            )
        self._at += 1

    def _another(self, closing: str) -> bool:
        if self._peek() == closing:
            self._at += 1
            return False
        self._expect(",")
        return True
