"""Walks large JSON in bounded memory and builds only the values at wanted places, one at a time.

The parsing is ijson's. This module adds what a reader of strangers' files needs: the line and column of an error, a
bound on the size of one value, and a bound on nesting.

ijson does not say where it is, so an error is located by parsing the same bytes a second time: an intact file is parsed
once and fast. The second parse goes fast up to the piece with the error, then in steps of some hundred bytes, then byte
by byte through one step. Byte by byte through the whole piece would be too slow: the parser keeps a text that has not
ended, and looks at all of it again whenever more comes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import attrs

from routeware.lab.reading_bytes import Bytes
from routeware.lab.spans import TraceError
from routeware.text import visible

__all__ = ["EACH", "Found", "JsonValues", "Parser", "Path", "mistakes"]

Path = tuple[str, ...]
"""Keys from the top of a document to a value, with :data:`EACH` for the items of an array."""

EACH = "*"

_PIECE = 1 << 16
_STEP = 512
_LONGEST_BYTES = 1 << 24
_MOST_EVENTS = 500_000
_DEEPEST = 100
_LONGEST_WORD = 64
_CONTINUATION = bytes(range(0x80, 0xC0))
_OPENING = ("start_map", "start_array")
_CLOSING = ("end_map", "end_array")


@attrs.frozen
class Found:
    """A value at a wanted path, or the end of a document that is not wanted whole.

    Attributes:
        path: where the value was; empty for a document.
        value: the value; for the end of a document the keys of its top level (of each item, if that is an array).
        at_end: True for the end of a document; where every object is wanted, of each item of an array that is none.
    """

    path: Path
    value: Any
    at_end: bool = False


class JsonValues:
    """The values at wanted paths of JSON documents that follow each other in one file.

    Args:
        file: bytes in UTF-8.
        source: its name in errors.
        wanted: paths from the top of a document; of a top-level array, every item is a document.
        starts: first keys of a document that make the whole document a wanted value, at the empty path; ``None`` for
            every object.
    """

    def __init__(self, file: Bytes, source: str, wanted: Collection[Path], starts: Collection[str] | None = ()) -> None:
        self._file = file
        self._source = source
        self._walker = _Walker(frozenset(wanted), None if starts is None else frozenset(starts))
        self._begun = self._fed = self._quiet_since = 0
        self._event = self._events_before = 0
        self._any_text = False

    def __iter__(self) -> Iterator[Found]:
        """Yield what is found. The values before a mistake are yielded before the mistake is raised.

        Raises:
            TraceError: the text is not JSON, ends too early, nests too deeply, or has a value of more than 16 MiB.
        """
        parser = Parser()
        mistake: Exception | None = None
        piece = b" "
        while piece and mistake is None:
            piece = self._file.read(_PIECE)
            try:
                if piece:
                    self._any_text = self._any_text or bool(piece.strip())
                    self._begun, self._fed = self._fed, self._fed + len(piece)
                    parser.send(piece)
                else:
                    parser.close()
            except mistakes() as error:
                mistake = error
            for self._event, (kind, value) in enumerate(parser.events):
                try:
                    found = self._walker.step(kind, value)
                except _TooMuchError as error:
                    raise self.error(str(error)) from None
                if found is not None:
                    yield found
            self._limit(len(parser.events))
            self._events_before += len(parser.events)
            parser.events.clear()
        if mistake is not None:
            raise self._not_json(mistake, at_end=not piece)

    def error(self, problem: str) -> TraceError:
        """Return an error at the end of the value that was yielded last."""
        number = self._events_before + self._event + 1
        begun, _ = _advance(self._file, self._begun, _STEP, number)
        begun, last = _advance(self._file, begun, 1, number)
        return self._error_after(begun + len(last), problem)

    def _error_after(self, count: int, problem: str) -> TraceError:
        return TraceError(self._source, problem, place=_place_after(self._file, count))

    def _limit(self, events: int) -> None:
        """Refuse a single text, or a single wanted value, that is longer than any span."""
        if events:
            self._quiet_since = self._walker.fed = self._fed
        building = self._walker.building
        since = self._quiet_since if building is None else min(self._quiet_since, building.begun)
        if self._fed - since > _LONGEST_BYTES:
            raise self._error_after(self._fed, f"one value is longer than {_LONGEST_BYTES >> 20} MiB")

    def _not_json(self, mistake: Exception, *, at_end: bool) -> TraceError:
        if at_end:
            return self._error_after(self._fed, "ends in the middle of a value" if self._any_text else "empty")
        begun, _ = _advance(self._file, self._begun, _STEP, None)
        begun, refused = _advance(self._file, begun, 1, None)
        if isinstance(mistake, _TooManyDigitsError):
            return self._error_after(begun, "the integer that ends here has too many digits")
        begun, found = _word_at(self._file, begun, refused)
        problem = f"not JSON: unexpected {visible(found)!r}"
        if "UTF8" in str(mistake) or found == "\ufffd":
            problem = "not UTF-8 text"
        elif self._walker.between_documents:
            problem = "neither Jaeger JSON nor OTLP JSON: not an object"
        return self._error_after(begun, problem)


class _TooMuchError(Exception):
    """A value nests too deeply or has too many parts."""


class _Walker:
    """Follows the events of documents, and builds what is wanted."""

    def __init__(self, wanted: frozenset[Path], starts: frozenset[str] | None) -> None:
        self.fed = 0
        self.building: _Building | None = None
        self._wanted = wanted
        self._starts = starts
        self._stack: list[str] = []
        self._keys: set[str] = set()
        self._whole = False

    @property
    def between_documents(self) -> bool:
        return not self._stack and self.building is None

    def step(self, kind: str, value: Any) -> Found | None:
        """Take one event; return what it completes."""
        if self.building is not None:
            if not self.building.take(kind, value):
                return None
            built, self.building = self.building, None
            return self._left(Found(built.path, built.value))
        if kind in _CLOSING:
            self._stack.pop()
            return self._left(None)
        if kind != "map_key":
            return self._start(kind, value)
        self._enter_key(value)
        return None

    def _start(self, kind: str, value: Any) -> Found | None:
        """Start a value: build it if it is wanted, else go into it or pass over it."""
        path = tuple(self._stack[1:] if self._stack[:1] == [EACH] else self._stack)
        if path and path in self._wanted:
            self.building = _Building(path, self.fed)
            return self.step(kind, value)
        if kind not in _OPENING:
            return self._left(None)
        if len(self._stack) >= _DEEPEST:
            raise _TooMuchError("nested too deeply")
        self._stack.append("" if kind == "start_map" else EACH)
        return None

    def _enter_key(self, key: str) -> None:
        at_top = len(self._stack) == 1 or (len(self._stack) == 2 and self._stack[0] == EACH)
        if at_top and self._stack[-1] == "" and (self._starts is None or key in self._starts):
            # The whole document is wanted: it is built from its first key on.
            self._stack.pop()
            self._whole = True
            self.building = _Building((), self.fed)
            self.building.take("start_map", None)
            self.building.take("map_key", key)
            return
        if at_top:
            self._keys.add(key)
        self._stack[-1] = key

    def _left(self, found: Found | None) -> Found | None:
        """Note that a value has ended: with the stack empty, so has its document."""
        if self._stack == [EACH] and found is None and self._starts is None:
            # An item that should have been an object. With it told, the end of the array says nothing more.
            self._whole = True
            return Found((), frozenset(), at_end=True)
        if self._stack:
            return found
        keys, whole = frozenset(self._keys), self._whole
        self._keys, self._whole = set(), False
        return found if whole else Found((), keys, at_end=True)


class _Building:
    """One value, built from its events; ``begun`` is after how many bytes it began."""

    def __init__(self, path: Path, begun: int) -> None:
        self.path = path
        self.begun = begun
        self.value: Any = None
        self._open: list[Any] = []
        self._keys: list[str] = []
        self._events = 0

    def take(self, kind: str, value: Any) -> bool:
        """Add an event; return True once the value is complete."""
        self._events += 1
        if self._events > _MOST_EVENTS:
            raise _TooMuchError(f"one value has more than {_MOST_EVENTS:,} parts")
        if kind == "map_key":
            self._keys[-1] = value
            return False
        if kind in _CLOSING:
            value = self._open.pop()
            self._keys.pop()
            return not self._open
        if kind in _OPENING:
            if len(self._open) >= _DEEPEST:
                raise _TooMuchError("nested too deeply")
            value = {} if kind == "start_map" else []
            self._put(value)
            self._open.append(value)
            self._keys.append("")
            return False
        self._put(float(value) if kind == "number" and not isinstance(value, int) else value)
        return not self._open

    def _put(self, value: Any) -> None:
        if not self._open:
            self.value = value
        elif isinstance(self._open[-1], dict):
            self._open[-1][self._keys[-1]] = value
        else:
            self._open[-1].append(value)


class _TooManyDigitsError(ValueError):
    """An integer has more digits than Python reads: 4,300."""


class Parser:
    """ijson's parser, which appends events to a list; values may follow each other."""

    def __init__(self) -> None:
        import ijson

        self.events: list[tuple[str, Any]] = ijson.sendable_list()
        self._parser = ijson.basic_parse_coro(self.events, multiple_values=True)

    def send(self, piece: bytes) -> None:
        """Parse a piece; one of :func:`mistakes` may be raised."""
        self._safely(lambda: self._parser.send(piece))

    def close(self) -> None:
        """End the text; one of :func:`mistakes` may be raised."""
        self._safely(self._parser.close)

    def _safely(self, step: Callable[[], object]) -> None:
        try:
            step()
        except SystemError:
            # The parser in C goes on after Python has refused the integer, and appends an event without a value:
            # whoever reads that one crashes the interpreter.
            del self.events[-1]
            raise _TooManyDigitsError from None


def mistakes() -> tuple[type[Exception], ...]:
    """Return what a parser raises; some numbers are refused by Python itself."""
    import ijson

    return ijson.JSONError, ValueError, ArithmeticError


def _place_after(file: Bytes, count: int) -> str:
    """Return the line and the column behind the first ``count`` bytes, both from 1; columns count characters."""
    line = column = 1
    file.seek(0)
    while count > 0 and (piece := file.read(min(count, _PIECE))):
        head, newline, last = piece.rpartition(b"\n")
        line += head.count(b"\n") + len(newline)
        column = len(last.translate(None, _CONTINUATION)) + (1 if newline else column)
        count -= len(piece)
    return f"line {line}, column {column}"


def _word_at(file: Bytes, begun: int, found: bytes) -> tuple[int, str]:
    """Return how many bytes come before what the parser refuses after the first ``begun``, and the character there.

    The parser notices a misspelt word in its middle; it is named by its start.
    """
    before = max(0, begun - _LONGEST_WORD)
    _place_after(file, before)  # the file is read up to there
    text = file.read(begun - before) if begun > before else b""
    found = file.read(4) or found
    while text and found[:1].isalnum() and text[-1:].isalnum():
        text, found = text[:-1], text[-1:] + found
    return before + len(text), found.decode(errors="replace")[:1]


def _advance(file: Bytes, begun: int, step: int, number: int | None) -> tuple[int, bytes]:
    """Parse from the start; after ``begun`` bytes in steps, until the step that is looked for.

    Returns:
        How many bytes come before that step, and the step: the one with the event ``number``, or the one that the
        parser refuses.
    """
    parser = Parser()
    file.seek(0)
    count, left = 0, begun
    while left > 0 and (piece := file.read(min(left, _PIECE))):
        parser.send(piece)
        count, left = count + len(parser.events), left - len(piece)
        parser.events.clear()
    while piece := file.read(step):
        try:
            parser.send(piece)
        except mistakes():
            return begun, piece
        if number is not None and count + len(parser.events) >= number:
            return begun, piece
        begun += len(piece)
    return begun, b""
