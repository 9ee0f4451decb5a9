"""Rows of JSON files as people have them: JSON lines, arrays of objects, and what benchmark tools and browsers save."""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from routeware.lab.reading_bytes import Bytes, as_utf8
from routeware.lab.reading_json import EACH, JsonValues, Parser, mistakes
from routeware.lab.spans import TraceError
from routeware.lab.table_csv import Row, Rows

__all__ = ["json_rows", "top_keys"]

_START = 1 << 18
_NAN = re.compile(rb"([:\[,]\s*)(?:NaN|(-?)Infinity)(?=\s*[,\]}])")
_MARGIN = 32
_PIECE = 4096
_VLLM_PARTS = ("ttfts", "itls", "errors", "e2els")
_S_TO_MS = 1_000


def top_keys(file: Bytes) -> frozenset[str]:
    """Return the keys of the first object in a file, as far as they stand near its start; empty if it is not JSON."""
    parser = Parser()
    try:
        parser.send(_as_json(as_utf8(file).read(_START)))
    except mistakes():
        pass  # what came before the mistake still says what it is
    file.seek(0)
    keys, depth = set[str](), 0
    for kind, value in parser.events:
        if kind == "map_key" and depth == 1:
            keys.add(value)
        depth += (kind == "start_map") - (kind == "end_map")
        if depth == 0 and kind == "end_map":
            break
    return frozenset(keys)


def json_rows(file: Bytes, source: str) -> Rows:
    """Return the rows of a JSON file that holds no spans; a ``TraceError`` says what is wrong with it."""
    keys = top_keys(file)
    text = _WithoutNan(as_utf8(file))
    if "log" in keys:
        return _har(text, source)
    if {"ttfts", "itls"} & keys or {"e2els", "input_lens"} <= keys:
        return _vllm(text, source)
    if {"response_times", "num_requests", "name"} <= keys:
        return _locust(text, source)
    return _objects(text, source)


def _as_json(text: bytes) -> bytes:
    """Return text whose NaN is null, and whose Infinity is a number too large to be a time: it is not missing."""
    return _NAN.sub(lambda found: found[1] + (b"null" if found[2] is None else found[2] + b"1e999"), text)


class _WithoutNan:
    """JSON without NaN and Infinity: Python writes them, and JSON does not know them."""

    def __init__(self, file: Bytes) -> None:
        self._file = file
        self._ready = self._rest = b""

    def read(self, size: int, /) -> bytes:
        """Return ``size`` bytes, fewer at the end only: places are found by counting them."""
        while len(self._ready) < size:
            piece = self._file.read(max(size, _PIECE))
            text = _as_json(self._rest + piece)
            # The last bytes are kept back: a word may be cut in two.
            kept_from = max(0, len(text) - _MARGIN) if piece else len(text)
            self._ready, self._rest = self._ready + text[:kept_from], text[kept_from:]
            if not piece:
                break
        given, self._ready = self._ready[:size], self._ready[size:]
        return given

    def seek(self, offset: int, /) -> int:
        """Go to ``offset``, which is 0: others would be counted in another text."""
        self._ready = self._rest = b""
        return self._file.seek(offset)


@attrs.frozen
class _Here:
    """The place of the value that was yielded last; it is looked for only where an error shows it."""

    values: JsonValues

    def __str__(self) -> str:
        return self.values.error("").place or ""


def _objects(file: Bytes, source: str) -> Rows:
    """Return objects, one after another or in an array. Objects inside of them become columns with a dot."""
    values = JsonValues(file, source, (), None)
    here = _Here(values)
    found = (None if each.at_end else _flattened(each.value) for each in values)
    malformed = 0
    for first in found:
        if first is not None:
            break
        malformed += 1
    else:
        raise TraceError(source, "no rows: neither a table nor spans")
    columns, cells = list(first), list(first.values())

    def rows() -> Iterator[Row]:
        yield from [(here, None)] * malformed
        yield here, cells
        for each in found:
            columns.extend(name for name in each or () if name not in columns)
            yield here, None if each is None else [each.get(name) for name in columns]

    if "end_to_end_latency_s" in columns:  # llmperf's individual responses
        defaults = {"latency": "end_to_end_latency_s", "error": "error_code", "unit": "s"}
        return Rows(columns, rows(), defaults=defaults, link=_stem(source))
    return Rows(columns, rows())


def _flattened(found: Mapping[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in found.items():
        if isinstance(value, dict):
            flat.update({f"{key}.{inner}": each for inner, each in value.items()})
        else:
            flat[key] = value
    return flat


def _har(file: Bytes, source: str) -> Rows:
    """Return the requests in an HTTP Archive, as browsers save it. Status 0 is an answer that never came."""
    values = JsonValues(file, source, [("log", "entries", EACH)])
    here = _Here(values)

    def rows() -> Iterator[Row]:
        for found in values:
            entry = found.value if isinstance(found.value, dict) else {}
            request, response = (entry.get(key) for key in ("request", "response"))
            if not isinstance(request, dict):
                if not found.at_end:
                    yield here, None
                continue
            response = response if isinstance(response, dict) else {}
            word = status = response.get("status")
            if status in (0, None, "0"):
                word = entry.get("_error") or response.get("_error") or "failed"
            yield here, (_host(str(request.get("url"))), entry.get("time"), word, entry.get("startedDateTime"))

    defaults = {"latency": "time_ms", "link": "host", "status": "status", "order": "started", "unit": "ms"}
    return Rows(("host", "time_ms", "status", "started"), rows(), defaults=defaults)


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or address[:64]
    except ValueError:
        return "?"


def _vllm(file: Bytes, source: str) -> Rows:
    """Return the requests of vLLM's serving benchmark: the first token's time and the times between the others."""
    wanted = [(part, EACH) for part in _VLLM_PARTS] + [("model_id",)]
    parts: dict[str, list[object]] = {part: [] for part in _VLLM_PARTS}
    for found in JsonValues(file, source, wanted):
        if not found.at_end and len(found.path) > 1:
            value = found.value
            parts[found.path[0]].append(_sum(value) if isinstance(value, list) else value)
    latencies = parts["e2els"] or _sums(parts["ttfts"], parts["itls"], source)
    errors = parts["errors"] or [""] * len(latencies)
    paired = zip(latencies, errors, strict=False)
    rows = ((f"request {number}", (latency, error)) for number, (latency, error) in enumerate(paired, 1))
    defaults = {"latency": "latency_s", "error": "error", "unit": "s"}
    return Rows(("latency_s", "error"), rows, defaults=defaults, link=_stem(source))


def _sums(first: list[object], others: list[object], source: str) -> list[object]:
    if not first or not others:
        raise TraceError(source, "vLLM's result has no times per request: run the benchmark with --save-detailed")
    return [_sum([one, more]) for one, more in zip(first, others, strict=False)]


def _sum(values: list[object]) -> float | None:
    """Return the sum of numbers; ``None`` if one is missing, or too large to be a time."""
    numbers = [value for value in values if isinstance(value, int | float)]
    try:
        return math.fsum(numbers) if len(numbers) == len(values) else None
    except (OverflowError, ValueError):  # beyond any float, or infinities of both signs
        return None


def _locust(file: Bytes, source: str) -> Rows:
    """Return what ``locust --json`` prints: for each name how many requests took how long, to two digits.

    Failed requests are among them, and are not told apart: the answered ones are spread over the same times.
    """
    values = JsonValues(file, source, (), None)
    here = _Here(values)

    def rows() -> Iterator[Row]:
        for found in values:
            entry = found.value
            if found.at_end or not isinstance(entry.get("response_times"), dict):
                yield here, None
                continue
            # By length and then by text: whole numbers in order.
            counts = sorted(entry["response_times"].items(), key=lambda each: (len(each[0]), each[0]))
            ends = list(accumulate(_count(count) for _, count in counts))
            total, failed = ends[-1] if ends else 0, _count(entry.get("num_failures"))
            answered = min(total, max(0, _count(entry.get("num_requests", total + failed)) - failed))
            for number in range(answered):
                elapsed, _ = counts[bisect.bisect_right(ends, (number + 0.5) * total / answered)]
                yield here, (entry.get("name"), elapsed, "ok")
            for _ in range(failed):
                yield here, (entry.get("name"), None, "failed")

    defaults = {"latency": "latency_ms", "link": "link", "status": "status", "unit": "ms"}
    return Rows(("link", "latency_ms", "status"), rows(), defaults=defaults)


def _count(value: object) -> int:
    """Return a whole number that a load test can have counted, else 0."""
    return value if isinstance(value, int) and 0 <= value < _START else 0


def _stem(source: str) -> str:
    """Return a file's name without its endings: the label of a file that is about one link."""
    return Path(source).name.split(".")[0] or "link"
