"""Traces are read back from the forms that people save them in, and what cannot be read is said in one line."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeware.lab import reading_json
from routeware.lab.reading import read_file
from routeware.lab.reading_json import EACH, JsonStream
from routeware.lab.spans import Span, TraceError
from tests.fakes.exported import MS, START_NS, Traced, jaeger, otlp


@pytest.fixture
def traced() -> Traced:
    """Two calls, one with a failover, among a span of somebody else's."""
    traced = Traced()
    call = traced.call("ask")
    call.event("race_started", 80, link="anthropic:claude")
    call.attempt("openai:gpt-4o", 0, 120, "failed", routeware__retry_after_s=2.5, http__response__status_code=429)
    call.attempt("anthropic:claude", 121, 960, routeware__cost__usd=0.0042)
    call.end(961, routeware__call__selected="anthropic:claude")
    traced.other()
    traced.call("sum").attempt("local:llama", 0, 10).end(10)
    return traced


def saved(path: Path, document: object) -> Path:
    """``document`` as a JSON file."""
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def problem(path: Path) -> str:
    """What is said about a file that cannot be read, without its folder."""
    with pytest.raises(TraceError) as caught:
        list(read_file(path))
    return str(caught.value).removeprefix(f"{path.parent}/")


def test_otlp_json_is_read_as_the_sdk_exported_it(traced: Traced, tmp_path: Path) -> None:
    """Ids, times, kinds, status, attributes of all types and events come back as they were."""
    spans = {span.name: span for span in read_file(saved(tmp_path / "trace", otlp(traced.spans())))}

    failed, call = spans["chat gpt-4o"], spans["routeware.call ask"]
    assert (failed.trace_id, failed.parent_id) == (call.trace_id, call.span_id)
    assert (failed.start_ns, failed.end_ns) == (START_NS, START_NS + 120 * MS)
    assert (failed.kind, failed.status, failed.status_message) == ("client", "error", "rate_limit 429")
    assert failed.number("routeware.retry_after_s") == 2.5
    assert failed.number("http.response.status_code") == 429
    assert (call.kind, call.status, call.parent_id) == ("internal", "unset", None)
    assert [(event.name, event.time_ns, dict(event.attributes)) for event in call.events] == [
        ("llm.routing.race_started", START_NS + 80 * MS, {"link": "anthropic:claude"})
    ]


def test_jaegers_json_says_the_same(traced: Traced, tmp_path: Path) -> None:
    """Whichever backend a trace went through, what is read of its calls is the same."""
    from_otlp = list(read_file(saved(tmp_path / "otlp", otlp(traced.spans()))))
    from_jaeger = list(read_file(saved(tmp_path / "jaeger", jaeger(traced.spans()))))

    assert [essence(span) for span in from_jaeger] == [essence(span) for span in from_otlp]


def essence(span: Span) -> dict[str, Any]:
    """A span without the tags in which Jaeger keeps what is no attribute."""
    own = {
        key: value
        for key, value in span.attributes.items()
        if not key.startswith("otel.") and key not in ("span.kind", "error")
    }
    events = [(event.name, event.time_ns, dict(event.attributes)) for event in span.events]
    return {"ids": (span.trace_id, span.span_id, span.parent_id), "name": span.name, "attributes": own} | {
        "times": (span.start_ns, span.end_ns),
        "kind": span.kind,
        "status": (span.status, span.status_message),
        "events": events,
    }


def test_lines_of_the_collector_are_read_one_after_another(traced: Traced, tmp_path: Path) -> None:
    """The Collector's file exporter writes a document per line, and metrics and logs into the same file if told to."""
    one, *others = traced.spans()
    lines = [otlp([one]), {"resourceMetrics": []}, otlp(others), {"resourceLogs": [{}]}]
    path = tmp_path / "spans.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    assert [span.name for span in read_file(path)] == [span.name for span in traced.spans()]


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda spans: {"result": otlp(spans)}, id="Jaeger's API for OTLP"),
        pytest.param(lambda spans: otlp(spans, hexadecimal=False), id="ids in base64"),
        pytest.param(lambda spans: {"traceID": "x", **jaeger(spans)["data"][0]}, id="one trace of Jaeger's"),
    ],
)
def test_near_relatives_of_the_formats_are_read(traced: Traced, tmp_path: Path, wrap: Any) -> None:
    """What tools make of the formats on the way is not the reader's fault, nor the user's."""
    first_three = traced.spans()[:3]

    spans = list(read_file(saved(tmp_path / "trace", wrap(first_three))))

    assert [(span.name, span.span_id) for span in spans] == [
        (span.name, f"{span.context.span_id:016x}") for span in first_three
    ]


def test_compressed_files_are_read_whatever_they_are_called(traced: Traced, tmp_path: Path) -> None:
    """Rotated files are compressed, and not always named so."""
    path = tmp_path / "trace.json"
    path.write_bytes(gzip.compress(json.dumps(otlp(traced.spans())).encode()))

    assert len(list(read_file(path))) == len(traced.spans())


def test_a_byte_order_mark_is_no_content(traced: Traced, tmp_path: Path) -> None:
    """Editors leave one."""
    path = tmp_path / "trace.json"
    path.write_text("\ufeff" + json.dumps(jaeger(traced.spans())), encoding="utf-8")

    assert len(list(read_file(path))) == len(traced.spans())


def otlp_with(**changes: object) -> dict[str, Any]:
    """OTLP JSON with one span; ``None`` removes a field."""
    span = {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "EEE19B7EC3C1B174",
        "name": "chat",
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": 1544712661000000000,
    }
    changed = {key: value for key, value in {**span, **changes}.items() if value is not None}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [changed]}]}]}


def test_otlps_enums_may_be_numbers_or_names(tmp_path: Path) -> None:
    """OTLP asks for numbers, and protobuf's own mapping writes names."""
    numbers = otlp_with(kind=3, status={"code": 2, "message": "it failed"})
    names = otlp_with(kind="SPAN_KIND_CLIENT", status={"code": "STATUS_CODE_ERROR", "message": "it failed"})

    (by_number,), (by_name,) = (
        list(read_file(saved(tmp_path / name, document))) for name, document in (("numbers", numbers), ("names", names))
    )

    assert by_number == by_name
    assert (by_number.kind, by_number.status, by_number.span_id) == ("client", "error", "eee19b7ec3c1b174")


def test_enums_of_a_later_time_are_taken_as_not_given(tmp_path: Path) -> None:
    """A new kind of span is no reason to refuse a file."""
    (span,) = read_file(saved(tmp_path / "trace", otlp_with(kind=[9], status={"code": 7})))

    assert (span.kind, span.status) == ("internal", "unset")


def test_otlps_attributes_of_every_type_are_plain_values(tmp_path: Path) -> None:
    """Numbers of 64 bits are strings in JSON, arrays and maps nest, and an empty value is null."""
    values = {
        "text": {"stringValue": "a"},
        "yes": {"boolValue": True},
        "whole": {"intValue": "9007199254740993"},
        "real": {"doubleValue": 0.5},
        "endless": {"doubleValue": "Infinity"},
        "raw": {"bytesValue": "AAE="},
        "list": {"arrayValue": {"values": [{"intValue": 1}, {"stringValue": "b"}]}},
        "map": {"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": False}}]}},
        "nothing": {},
        "news": {"quantumValue": 1},
    }
    attributes = [{"key": key, "value": value} for key, value in values.items()]

    (span,) = read_file(saved(tmp_path / "trace", otlp_with(attributes=attributes)))

    assert dict(span.attributes) == {
        "text": "a",
        "yes": True,
        "whole": 9007199254740993,
        "real": 0.5,
        "endless": float("inf"),
        "raw": "AAE=",
        "list": [1, "b"],
        "map": {"k": False},
        "nothing": None,
        "news": None,
    }
    assert (span.text("text"), span.text("whole"), span.number("yes"), span.number("real")) == ("a", None, None, 0.5)


def jaeger_with(**changes: object) -> dict[str, Any]:
    """Jaeger's JSON with one span; its trace's id lacks a leading zero, as older versions write it."""
    span = {
        "traceID": "b8efff798038103",
        "spanID": "1",
        "operationName": "chat",
        "startTime": 1544712660000000,
        "duration": 1000,
    }
    changed = {key: value for key, value in {**span, **changes}.items() if value is not None}
    return {"data": [{"spans": [changed]}]}


def test_jaegers_short_ids_are_filled_up(tmp_path: Path) -> None:
    """Leading zeros are part of an id everywhere else."""
    (span,) = read_file(saved(tmp_path / "trace", jaeger_with()))

    assert (span.trace_id, span.span_id) == ("00000000000000000b8efff798038103", "0000000000000001")


@pytest.mark.parametrize(
    "parent",
    [
        {"references": [{"refType": "CHILD_OF", "traceID": "0b8efff798038103", "spanID": "2"}]},
        {"parentSpanID": "2"},
    ],
)
def test_jaegers_parent_is_the_reference_in_the_same_trace(tmp_path: Path, parent: dict[str, object]) -> None:
    """Links are references, too, and are no parents."""
    link = {"refType": "FOLLOWS_FROM", "traceID": "0b8efff798038103", "spanID": "9"}
    foreign = {"refType": "CHILD_OF", "traceID": "77", "spanID": "8"}
    parent = {**parent, "references": [link, foreign, *parent.get("references", [])]}  # type: ignore[misc]

    (span,) = read_file(saved(tmp_path / "trace", jaeger_with(**parent)))

    assert span.parent_id == "0000000000000002"


def test_jaegers_tags_that_a_storage_made_strings_have_their_types_back(tmp_path: Path) -> None:
    """Elasticsearch gives numbers and booleans back as text."""
    tags = [
        {"key": "span.kind", "type": "string", "value": "client"},
        {"key": "error", "type": "bool", "value": "true"},
        {"key": "whole", "type": "int64", "value": "3"},
        {"key": "real", "type": "float64", "value": "0.25"},
        {"key": "text", "type": "string", "value": "3"},
        {"key": "odd", "type": "string", "value": ["a"]},
    ]

    (span,) = read_file(saved(tmp_path / "trace", jaeger_with(tags=tags)))

    assert (span.kind, span.status) == ("client", "error")
    assert [span.attributes[key] for key in ("whole", "real", "text", "odd")] == [3, 0.25, "3", None]


def test_jaegers_status_is_in_its_tags(tmp_path: Path) -> None:
    """What was set to ok is told apart from what was not set."""
    tags = [{"key": "otel.status_code", "type": "string", "value": "OK"}, {"key": "span.kind", "value": 1}]
    log = {"timestamp": 1544712660000500, "fields": [{"key": "level", "type": "string", "value": "info"}]}

    (span,) = read_file(saved(tmp_path / "trace", jaeger_with(tags=tags, logs=[log])))

    assert (span.status, span.kind, span.events[0].name) == ("ok", "internal", "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "trace, line 1, column 1: empty"),
        (b"  \n ", "trace, line 2, column 2: empty"),
        (b"[]", "trace, line 1, column 1: neither Jaeger JSON nor OTLP JSON: not an object"),
        (b"<html>", "trace, line 1, column 1: neither Jaeger JSON nor OTLP JSON: not an object"),
        (b'{"a": 1,\n "b": 2}', "trace, line 2, column 9: neither Jaeger JSON nor OTLP JSON: no 'data' or 'spans' or"),
        (b'{\n"a": nothing at all here}', "trace, line 2, column 6: not JSON: expecting value"),
        (b'{"data": [{"spans": [{"a": 1', "trace, line 1, column 29: ends in the middle of a value"),
        (b'{"data": [{"spans": [{"a": "1', "trace, line 1, column 30: ends in the middle of a value"),
        (b'{"data": [', "trace, line 1, column 11: ends in the middle of a value"),
        (b'{"data": []', "trace, line 1, column 12: ends where ',' should follow"),
        (b'{"data" 1}', "trace, line 1, column 9: expected ':', found '1'"),
        (b"{data: 1}", "trace, line 1, column 2: expected a key in double quotes"),
        (b'{"data": []} end', "trace, line 1, column 14: neither Jaeger JSON nor OTLP JSON: not an object"),
        (b'{"a": "\xff"}', "trace, line 1, column 1: not UTF-8 text: invalid start byte"),
        (b'{"a": ' + b"[" * 100_000, "trace, line 1, column 7: nested too deeply"),
        # Compressed bytes hold the time, so an id made of them would be another one every second.
        pytest.param(b"\x1f\x8b broken", "trace: broken gzip data: ", id="no gzip data after its mark"),
        pytest.param(gzip.compress(b'{"data": []}', mtime=0)[:-12], "trace: broken gzip data: ", id="gzip cut off"),
    ],
)
def test_a_bad_file_is_told_in_one_line_with_the_place(tmp_path: Path, content: bytes, said: str) -> None:
    """What is wrong, and where: a trace is too long to be searched by eye."""
    path = tmp_path / "trace"
    path.write_bytes(content)

    assert problem(path).startswith(said)
    assert "\n" not in problem(path)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (otlp_with(traceId=None), "traceId is not a string but missing"),
        (otlp_with(traceId="xyz"), "traceId 'xyz' is not a hexadecimal id"),
        (otlp_with(traceId="ab=="), "traceId 'ab==' is not a hexadecimal id"),
        (otlp_with(traceId="=a="), "traceId '=a=' is not a hexadecimal id"),
        (otlp_with(spanId="0000000000000000"), "spanId '0000000000000000' is not a hexadecimal id"),
        (otlp_with(endTimeUnixNano="soon"), "endTimeUnixNano is not a whole number but 'soon'"),
        (otlp_with(endTimeUnixNano=True), "endTimeUnixNano is not a whole number but True"),
        (otlp_with(attributes={"a": "b"}), "attributes is not an array but {'a': 'b'}"),
        (otlp_with(attributes=["a" * 99]), "an item of attributes is not an object but '" + "a" * 36 + "..."),
        (otlp_with(attributes=[{"key": "a", "value": {"doubleValue": []}}]), "doubleValue is not a number"),
        ({"data": [{"spans": [3]}]}, "a span is not an object but 3"),
        (jaeger_with(duration=0.5), "duration is not a whole number but 0.5"),
    ],
)
def test_a_span_that_is_none_is_told_by_what_is_wrong_with_it(
    tmp_path: Path, document: dict[str, Any], said: str
) -> None:
    """The field and the value are named, and the place at which the span ends."""
    place, _, told = problem(saved(tmp_path / "trace", document)).partition(": ")

    assert place.startswith("trace, line 1, column ")
    assert told == f"in the span that ends here, {said}"


def test_a_file_that_is_not_there_is_told_in_the_systems_words(tmp_path: Path) -> None:
    """So is a folder, and what may not be read."""
    assert problem(tmp_path / "nowhere") == "nowhere: No such file or directory"


def test_what_came_before_an_error_has_been_read(traced: Traced, tmp_path: Path) -> None:
    """The last line of a file that is still being written is cut off."""
    path = tmp_path / "spans.jsonl"
    path.write_text(json.dumps(otlp(traced.spans())) + '\n{"resourceSpans": [', encoding="utf-8")
    reader = read_file(path)

    assert [next(reader).name for _ in traced.spans()] == [span.name for span in traced.spans()]
    with pytest.raises(TraceError, match="line 2, column 20"):
        next(reader)


def many_spans(count: int) -> Iterator[str]:
    """One OTLP document with ``count`` spans, in pieces."""
    (span,) = otlp_with()["resourceSpans"][0]["scopeSpans"][0]["spans"]
    text = json.dumps(span)
    yield '{"resourceSpans": [{"scopeSpans": [{"spans": ['
    yield text
    for _ in range(count - 1):
        yield ", " + text
    yield "]}]}]}"


def test_a_large_document_is_read_in_bounded_memory(tmp_path: Path) -> None:
    """One line, one document, eight times as long: no more memory."""
    peaks = []
    for count in (2_500, 20_000):
        path = tmp_path / f"{count}"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(many_spans(count))
        tracemalloc.start()
        assert sum(1 for _ in read_file(path)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < peaks[0] * 1.2
    assert peaks[1] < path.stat().st_size / 2


class InPieces:
    """A text that comes a few characters at a time, however many are asked for."""

    def __init__(self, text: str, size: int) -> None:
        self._pieces = iter([text[at : at + size] for at in range(0, len(text), size)])

    def read(self, _size: int, /) -> str:
        return next(self._pieces, "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(documents=st.lists(JSON, max_size=3), size=st.integers(min_value=1, max_value=40), ascii_only=st.booleans())
def test_any_json_in_any_pieces_is_what_the_standard_library_reads(
    documents: list[object], size: int, ascii_only: bool
) -> None:
    """Wherever a piece ends: inside a number, an escape, a word."""
    text = " \n".join(json.dumps(document, ensure_ascii=ascii_only) for document in documents)
    stream = JsonStream(InPieces(text, size), "text")
    found = []

    while stream.more():
        found.append(stream.value())

    assert found == documents


@given(items=st.lists(JSON, max_size=5), size=st.integers(min_value=1, max_value=40))
def test_items_at_a_path_are_found_among_anything(items: list[object], size: int) -> None:
    """What lies beside the path, before and after, is passed over, of whatever shape it is."""
    document = {"x": items, "a": [{"b": items, "c": items}, items, {"b": None}, {}, {"b": items}], "y": [items]}
    stream = JsonStream(InPieces(json.dumps(document), size), "text")

    assert list(stream.at_path("a", EACH, "b", EACH)) == items + items
    assert not stream.more()


def test_a_value_longer_than_any_span_ends_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quote that is never closed must not fill the memory with the rest of the file."""
    monkeypatch.setattr(reading_json, "_LONGEST", 1 << 20)
    stream = JsonStream(InPieces('"' + "a" * (3 << 20), 1 << 18), "text")

    with pytest.raises(TraceError, match="line 1, column 1: one value is longer than 1 Mi characters"):
        stream.value()
