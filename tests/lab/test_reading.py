"""Traces are read back from the forms that people save them in, and what cannot be read is said in one line."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeware.lab import reading_bytes, reading_json
from routeware.lab.reading import read_file
from routeware.lab.reading_json import EACH, JsonValues
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
        (b"[]", "trace, line 1, column 3: neither Jaeger JSON nor OTLP JSON: not an object"),
        (b"<html>", "trace, line 1, column 1: neither Jaeger JSON nor OTLP JSON: not an object"),
        (b'{"a": 1,\n "b": 2}', "trace, line 2, column 9: neither Jaeger JSON nor OTLP JSON: no 'data' or 'spans' or"),
        (b'{\n"a": nothing at all here}', "trace, line 2, column 6: not JSON: unexpected 'n'"),
        (b'{"data": [{"spans": [{"a": 1', "trace, line 1, column 29: ends in the middle of a value"),
        (b'{"data": [{"spans": [{"a": "1', "trace, line 1, column 30: ends in the middle of a value"),
        (b'{"data": [', "trace, line 1, column 11: ends in the middle of a value"),
        (b'{"data": []', "trace, line 1, column 12: ends in the middle of a value"),
        (b'{"data" 1}', "trace, line 1, column 10: not JSON: unexpected '}'"),
        (b"{data: 1}", "trace, line 1, column 2: not JSON: unexpected 'd'"),
        (b'{"data": []} end', "trace, line 1, column 14: neither Jaeger JSON nor OTLP JSON: not an object"),
        (
            b'{"a": 1,\n"b": ' + b"9" * 5000 + b"}",
            "trace, line 2, column 5006: the integer that ends here has too many",
        ),
        (b'{"a": "\xff"}', "trace, line 1, column 8: not UTF-8 text"),
        (b'{"a": ' + b"[" * 100_000, "trace, line 1, column 107: nested too deeply"),
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


class InPieces(io.BytesIO):
    """Bytes that come a few at a time, however many are asked for."""

    def __init__(self, text: str, size: int) -> None:
        super().__init__(text.encode())
        self._size = size

    def read(self, _size: int | None = -1, /) -> bytes:
        return super().read(self._size)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(documents=st.lists(JSON, max_size=3), size=st.integers(min_value=1, max_value=40), ascii_only=st.booleans())
def test_any_json_in_any_pieces_is_what_the_standard_library_reads(
    documents: list[object], size: int, ascii_only: bool
) -> None:
    """Wherever a piece ends: inside a number, an escape, a word."""
    text = " \n".join(json.dumps({"it": document}, ensure_ascii=ascii_only) for document in documents)

    values = JsonValues(InPieces(text, size), "text", [("it",)])

    if documents:
        assert [found.value for found in values if not found.at_end] == documents
    else:
        with pytest.raises(TraceError, match="empty"):
            list(values)


@given(items=st.lists(JSON, max_size=5), size=st.integers(min_value=1, max_value=40))
def test_items_at_a_path_are_found_among_anything(items: list[object], size: int) -> None:
    """What lies beside the path, before and after, is passed over, of whatever shape it is."""
    document = {"x": items, "a": [{"b": items, "c": items}, items, {"b": None}, {}, {"b": items}], "y": [items]}
    values = JsonValues(InPieces(json.dumps(document), size), "text", [("a", EACH, "b", EACH)])

    found = list(values)

    assert [each.value for each in found if not each.at_end] == items + items
    assert [each.value for each in found if each.at_end] == [{"x", "a", "y"}]


@pytest.mark.parametrize("before", ['"', '{"it": "', '{"it": ["'])
def test_a_value_longer_than_any_span_ends_the_reading(monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    """A quote that is never closed must not fill the memory with the rest of the file."""
    monkeypatch.setattr(reading_json, "_LONGEST_BYTES", 1 << 20)
    values = JsonValues(io.BytesIO((before + "a" * (3 << 20)).encode()), "text", [("it",)])

    with pytest.raises(TraceError, match=r"line 1, column [0-9]+: one value is longer than 1 MiB"):
        list(values)


def test_a_value_of_more_parts_than_any_span_ends_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brackets are short in a file and long in memory."""
    monkeypatch.setattr(reading_json, "_MOST_EVENTS", 1_000)
    values = JsonValues(io.BytesIO(b'{"it": [' + b"[]," * 1_000), "text", [("it",)])

    with pytest.raises(TraceError, match=r"line 1, column [0-9]+: one value has more than 1,000 parts"):
        list(values)


# What other tools make of the same spans.


def spelled_in_snake_case(document: Any) -> Any:
    """A document as protobuf writes it with its own field names."""
    if isinstance(document, dict):
        return {
            re.sub("([A-Z])", lambda found: f"_{found[1].lower()}", key): spelled_in_snake_case(value)
            for key, value in document.items()
        }
    return [spelled_in_snake_case(item) for item in document] if isinstance(document, list) else document


def older(document: Any) -> Any:
    """A document as it was before scopes were called so."""
    return json.loads(json.dumps(document).replace('"scopeSpans"', '"instrumentationLibrarySpans"'))


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(spelled_in_snake_case, id="snake case"),
        pytest.param(lambda found: {"batches": found["resourceSpans"]}, id="Tempo"),
        pytest.param(lambda found: older({"batches": found["resourceSpans"]}), id="an older Tempo"),
        pytest.param(older, id="an older OTLP"),
        pytest.param(lambda found: {"trace": found, "metrics": {}}, id="Tempo's second API"),
        pytest.param(lambda found: {"trace": {"batches": found["resourceSpans"]}}, id="Tempo's batches in a trace"),
        pytest.param(lambda found: [found], id="an array of documents"),
    ],
)
@pytest.mark.parametrize("hexadecimal", [True, False])
def test_backends_and_tools_wrap_otlp_in_their_own_ways(
    traced: Traced, tmp_path: Path, wrap: Any, hexadecimal: bool
) -> None:
    """A trace downloaded from Grafana or printed by a script is the same trace."""
    path = saved(tmp_path / "trace", wrap(otlp(traced.spans(), hexadecimal=hexadecimal)))

    assert [essence(span) for span in read_file(path)] == [
        essence(span) for span in read_file(saved(tmp_path / "plain", otlp(traced.spans())))
    ]


def test_the_console_exporters_output_is_read(traced: Traced, tmp_path: Path) -> None:
    """It is what people have before they have a backend; its times are whole microseconds."""
    path = tmp_path / "console.txt"
    path.write_text("\n".join(span.to_json() for span in traced.spans()), encoding="utf-8")
    in_an_array = saved(tmp_path / "array", [json.loads(span.to_json()) for span in traced.spans()])

    spans, again = ([essence(span) for span in read_file(each)] for each in (path, in_an_array))

    assert spans == again == [essence(span) for span in read_file(saved(tmp_path / "otlp", otlp(traced.spans())))]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"context": 3}, "context is not an object but 3"),
        ({"start_time": "soon"}, "start_time is not a time in ISO 8601: 'soon'"),
        ({"start_time": None}, "start_time is not a time in ISO 8601: None"),
        ({"attributes": [1]}, "attributes is not an object but [1]"),
    ],
)
def test_a_console_span_that_is_none_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    """By the same rules as any other span."""
    context = {"trace_id": "0x5b8efff798038103d269b633813fc60c", "span_id": "0xeee19b7ec3c1b174"}
    span = {"name": "ask", "context": context, "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:00:01"}

    assert said in problem(saved(tmp_path / "trace", {**span, **change}))
    (read,) = read_file(
        saved(tmp_path / "trace", {**span, "attributes": {"a": [1, "b"], "c": {}}, "kind": "SpanKind.CLIENT"})
    )
    assert (read.end_ns - read.start_ns, dict(read.attributes), read.kind) == (
        10**9,
        {"a": [1, "b"], "c": None},
        "client",
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_read(traced: Traced, tmp_path: Path, encoding: str) -> None:
    """PowerShell redirects into it."""
    mark = "" if encoding == "utf-16" else "\ufeff"
    path = tmp_path / "trace.json"
    path.write_bytes((mark + json.dumps(jaeger(traced.spans()))).encode(encoding))

    assert len(list(read_file(path))) == len(traced.spans())


def test_a_pipe_is_read_like_a_file(traced: Traced, tmp_path: Path) -> None:
    """``routeware trace <(zcat spans.gz)``."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(json.dumps(otlp(traced.spans())),))
    writer.start()

    assert len(list(read_file(path))) == len(traced.spans())
    writer.join()


def test_a_file_that_expands_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some kilobytes of gzip can stand for terabytes of nothing."""
    monkeypatch.setattr(reading_bytes, "_SMALL_BYTES", 1 << 18)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b'{"data": []}\n' * 40_000, compresslevel=9))

    assert "expands to more than 250 times its size" in problem(path)


@pytest.mark.parametrize("value", [10**400, -(1 << 64), "9" * 30, "1" * 5_000, float("1e300")])
def test_numbers_beyond_64_bits_are_no_times(tmp_path: Path, value: object) -> None:
    """They would overflow in the arithmetic, far from the file that they came from."""
    path = saved(tmp_path / "trace", otlp_with(endTimeUnixNano=value))

    assert "endTimeUnixNano is" in problem(path)


def test_a_parent_of_zeros_is_no_parent(tmp_path: Path) -> None:
    """Some writers fill in what is absent."""
    (span,) = read_file(saved(tmp_path / "trace", otlp_with(parentSpanId="0000000000000000")))

    assert span.parent_id is None


def test_text_from_a_file_cannot_repaint_the_terminal(tmp_path: Path) -> None:
    """Control characters are spelled out in an error."""
    told = problem(saved(tmp_path / "trace", otlp_with(traceId="\x1b[31m\u202e")))

    assert told.isprintable()
    assert "\\x1b[31m" in told
