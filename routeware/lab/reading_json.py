"""Walks large JSON in bounded memory and builds only the values at wanted places, one at a time.

The parsing is ijson's. This module adds what a reader of strangers' files needs: the line and column of an error, a
bound on the size of one value, and a bound on nesting.

An error is located by a second parse (see :mod:`routeware.lab.reading_place`): an intact file is parsed once and fast.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import attrs

from routeware.lab.reading_bytes import Bytes
from routeware.lab.reading_place import (
    PIECE,
    Event,
    TooManyDigitsError,
    find_event,
    find_mistake,
    find_refused_number,
    mistakes,
    new_parser,
    place_after,
)
from routeware.lab.spans import TraceError
from routeware.text import visible

__all__ = ["EACH", "Found", "JsonValues", "Path"]

Path = tuple[str, ...]
"""Keys from the top of a document to a value, with :data:`EACH` for the items of an array."""

EACH = "*"

_LONGEST_BYTES = 1 << 24
_MOST_EVENTS = 500_000
_DEEPEST = 100
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
        self._parser = _Parser(file, source)
        self._walker = _Walker(frozenset(wanted), None if starts is None else frozenset(starts))
        self._quiet_since = 0
        self._event = 0

    def __iter__(self) -> Iterator[Found]:
        """Yield what is found.

        Raises:
            TraceError: the text is not JSON, ends too early, nests too deeply, or has a value of more than 16 MiB.
        """
        for events in self._parser.pieces():
            for self._event, (kind, value) in enumerate(events):
                try:
                    found = self._walker.step(kind, value)
                except _TooMuchError as error:
                    raise self.error(str(error)) from None
                if found is not None:
                    yield found
            self._parser.between_documents = self._walker.between_documents
            self._limit(len(events))

    def error(self, problem: str) -> TraceError:
        """Return an error at the end of the value that was yielded last."""
        return self._parser.error(problem, self._event)

    def _limit(self, events: int) -> None:
        """Refuse a single text, or a single wanted value, that is longer than any span."""
        fed = self._parser.bytes_fed
        if events:
            self._quiet_since = fed
            self._walker.note_bytes(fed)
        if fed - min(self._quiet_since, self._walker.begun_at(fed)) > _LONGEST_BYTES:
            raise self._parser.end_of_piece(f"one value is longer than {_LONGEST_BYTES >> 20} MiB")


class _Parser:
    """ijson's events, piece by piece, with the means to say where in the text an event was."""

    def __init__(self, file: Bytes, source: str) -> None:
        self._file = file
        self._source = source
        self._fed = 0
        self._begun = 0
        self._any_text = False
        self.events_before = 0
        self.between_documents = True

    def pieces(self) -> Iterator[list[Event]]:
        """Yield the events of each piece. The events before a mistake are yielded before the mistake is raised."""
        events, parser = new_parser()
        mistake: Exception | None = None
        piece = b" "
        while piece and mistake is None:
            piece = self._file.read(PIECE)
            try:
                if piece:
                    self._any_text = self._any_text or bool(piece.strip())
                    self._begun, self._fed = self._fed, self._fed + len(piece)
                    parser.send(piece)
                else:
                    parser.close()
            except mistakes() as error:
                mistake = error
            yield events
            self.events_before += len(events)
            events.clear()
        if mistake is not None:
            raise self._not_json(mistake, at_end=not piece)

    @property
    def bytes_fed(self) -> int:
        """Return how many bytes have been parsed so far."""
        return self._fed

    def error(self, problem: str, event: int) -> TraceError:
        """Return an error at the end of the event ``event`` of the piece that is being walked."""
        place = find_event(self._file, self._begun, self.events_before + event + 1)
        return TraceError(self._source, problem, place=str(place))

    def end_of_piece(self, problem: str) -> TraceError:
        """Return an error at the end of what has been parsed so far."""
        return TraceError(self._source, problem, place=str(place_after(self._file, self._fed)))

    def _not_json(self, mistake: Exception, *, at_end: bool) -> TraceError:
        if at_end:
            return self.end_of_piece("ends in the middle of a value" if self._any_text else "empty")
        if isinstance(mistake, TooManyDigitsError):
            place = find_refused_number(self._file, self._begun)
            return TraceError(self._source, "the integer that ends here has too many digits", place=str(place))
        place, found = find_mistake(self._file, self._begun)
        problem = f"not JSON: unexpected {visible(found)!r}"
        if "UTF8" in str(mistake) or found == "\ufffd":
            problem = "not UTF-8 text"
        elif self.between_documents:
            problem = "neither Jaeger JSON nor OTLP JSON: not an object"
        return TraceError(self._source, problem, place=str(place))


class _Walker:
    """Follows the events of documents, and builds what is wanted."""

    def __init__(self, wanted: frozenset[Path], starts: frozenset[str] | None) -> None:
        self._wanted = wanted
        self._starts = starts
        self._stack: list[str] = []
        self._keys: set[str] = set()
        self._whole = False
        self._building: _Building | None = None
        self._bytes = 0

    @property
    def between_documents(self) -> bool:
        """Return True if no document is open."""
        return not self._stack and self._building is None

    def note_bytes(self, fed: int) -> None:
        """Note how many bytes have been parsed."""
        self._bytes = fed

    def begun_at(self, fed: int) -> int:
        """Return after how many bytes the value that is being built began; ``fed`` if there is none."""
        return fed if self._building is None else self._building.begun

    def step(self, kind: str, value: Any) -> Found | None:
        """Take one event; return what it completes."""
        if self._building is not None:
            if not self._building.take(kind, value):
                return None
            built, self._building = self._building, None
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
        path = self._path()
        if path and path in self._wanted:
            self._building = _Building(path, self._bytes)
            return self.step(kind, value)
        if kind not in _OPENING:
            return self._left(None)
        self._open(kind)
        return None

    def _open(self, kind: str) -> None:
        if len(self._stack) >= _DEEPEST:
            raise _TooMuchError("nested too deeply")
        self._stack.append("" if kind == "start_map" else EACH)

    def _path(self) -> Path:
        return tuple(self._stack[1:] if self._stack[:1] == [EACH] else self._stack)

    def _enter_key(self, key: str) -> None:
        at_top = len(self._stack) == 1 or (len(self._stack) == 2 and self._stack[0] == EACH)
        if at_top and self._stack[-1] == "" and (self._starts is None or key in self._starts):
            # The whole document is wanted: it is built from its first key on.
            self._stack.pop()
            self._whole = True
            self._building = _Building((), self._bytes)
            self._building.take("start_map", None)
            self._building.take("map_key", key)
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


class _TooMuchError(Exception):
    """A value nests too deeply or has too many parts."""


class _Building:
    """One value, built from its events."""

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
