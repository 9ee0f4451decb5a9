"""Tables of latencies as people have them: what columns and cells mean, and what is refused, with its place."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numpy")

from routeware.lab.sources import read_source, read_sources
from routeware.lab.spans import TraceError
from routeware.lab.tables import Mapping
from routeware.lab.tune_samples import ANSWERED, CENSORED, FAILED, Observed, Sample


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A file to write a table into."""
    return tmp_path / "latencies.csv"


def samples_of(path: Path, **mapping: str) -> dict[str, Sample]:
    """The observations in a table."""
    return read_source(str(path), Mapping(**mapping)).samples


def table_of(path: Path, **mapping: str) -> Observed:
    """A table, with how it was read."""
    return read_source(str(path), Mapping(**mapping))


def observed(sample: Sample) -> list[tuple[float, int]]:
    """A sample as pairs of milliseconds and how it ended."""
    return list(zip(sample.elapsed_ms.tolist(), sample.kinds.tolist(), strict=True))


def test_a_table_needs_a_link_and_a_latency(table: Path) -> None:
    """Everything without a status is an answer; other columns are passed over."""
    table.write_text("link,note,latency_ms\na,x,100\nb,y,200.5\na,z,300\n")

    samples = samples_of(table)

    assert list(samples) == ["a", "b"]
    assert observed(samples["a"]) == [(100.0, ANSWERED), (300.0, ANSWERED)]
    assert observed(samples["b"]) == [(200.5, ANSWERED)]
    assert not samples["a"].ordered


def test_provider_and_model_make_a_label(table: Path) -> None:
    """As a link's own does; a provider alone will do."""
    table.write_text("provider,model,latency_ms\na,m,1\na,n,2\n")
    assert list(samples_of(table)) == ["a:m", "a:n"]

    table.write_text("provider,latency_ms\na,1\n")
    assert list(samples_of(table)) == ["a"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((word, ANSWERED) for word in ("ok", "OK", "", "success", "succeeded", "answered", "200", "204")),
        *(
            (word, ANSWERED)
            for word in ("200 OK", "completed", "done", "true", "TRUE", " ok ", "200.0", "HTTP 200", "NA")
        ),
        *((word, CENSORED) for word in ("timeout", "censored", "cancelled", "canceled", "race_lost", "Timed_Out")),
        *((word, CENSORED) for word in ("timed out", "TimeoutError", "httpx.ReadTimeout", "deadline_exceeded")),
        *((word, FAILED) for word in ("error", "429", "500", "failed", "refused", "false", "429 Too Many Requests")),
        *((word, FAILED) for word in ("504 Gateway Timeout", "RateLimitError", "ConnectionResetError", "408")),
    ],
)
def test_a_status_says_how_an_attempt_ended(table: Path, status: str, kind: int) -> None:
    """An answer, one that was cut off, or a failure."""
    table.write_text(f"link,latency_ms,status\na,100,{status}\n")

    assert observed(samples_of(table)["a"]) == [(100.0, kind)]


@pytest.mark.parametrize("word", ["finito", "3", "1200", "o.k."])
def test_a_status_that_nobody_knows_is_an_error_that_shows_it(table: Path, word: str) -> None:
    """Taken for a failure it would turn a file of answers into one of failures."""
    table.write_text(f"link,latency_ms,status\na,100,ok\na,100,{word}\n")

    with pytest.raises(TraceError, match=f"line 3, column status: '{word}' is no known status: spell it"):
        samples_of(table)


@pytest.mark.parametrize("missing", ["", "NA", "nan", "NaN", "null", "None", "N/A", " "])
def test_a_missing_latency_is_a_failure_without_a_time_or_is_left_out(table: Path, missing: str) -> None:
    """Which of both, the status says; where there is none, the row is a failure."""
    table.write_text(f"link,latency_ms,status\na,{missing},error\na,{missing},ok\na,5,ok\n")

    found = table_of(table)

    assert observed(found.samples["a"]) == [(0.0, FAILED), (5.0, ANSWERED)]
    assert found.left_out == 1
    table.write_text(f"link,latency_ms\na,{missing}\na,5\n")
    assert observed(samples_of(table)["a"]) == [(0.0, FAILED), (5.0, ANSWERED)]


def test_rows_are_put_in_order_by_a_column(table: Path) -> None:
    """By number, not by spelling; and then the order is known."""
    table.write_text("link,latency_ms,seq\na,3,10\na,1,2\na,4,last\n")

    sample = samples_of(table, order_by="seq")["a"]

    assert sample.elapsed_ms.tolist() == [1.0, 3.0, 4.0]
    assert sample.ordered


def test_rows_are_paired_only_by_a_column_that_is_named(table: Path) -> None:
    """A table does not know by itself what belongs together."""
    table.write_text("link,latency_ms,prompt\na,1,p\nb,2,p\n")

    assert samples_of(table)["a"].keys == ()
    assert samples_of(table, pair_by="prompt")["b"].keys == ("p",)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "no column 'latency_ms'; there are none"),
        ("a,b\n", "no column 'latency_ms'; there are a, b; name yours with --latency COLUMN and --unit"),
        ("latency_ms\n1\n", "no column 'link' or 'provider'"),
        ("model,latency_ms\nm,1\n", "no column 'link' or 'provider'"),
        ("link,latency_ms\na,fast\n", "line 2, column latency_ms: 'fast' is not a number"),
        ("link,latency_ms\na,-1\n", "line 2, column latency_ms: '-1' is negative"),
        ("link,latency_ms\na,inf\n", "line 2, column latency_ms: 'inf' is not a number"),
        ("link,latency_ms\na,1e999\n", "line 2, column latency_ms: '1e999' is not a finite number"),
        ("link,latency_ms\na,1\n\nb,12 ms\n", "line 4, column latency_ms: '12 ms' is not a number"),
        ('link,latency_ms\na,"1,216.5"\n', "line 2, column latency_ms: '1,216.5' is not a plain number"),
        ("link;latency_ms\na;1.216,5\n", "line 2, column latency_ms: '1.216,5' is not a plain number"),
        ("link,latency_ms\na," + "x" * 99 + "\n", "column latency_ms: '" + "x" * 36 + "... is not a number"),
        ("link,latency_ms\na,\x1b[31m\n", r"column latency_ms: '\x1b[31m' is not a number"),
        ("link,latency_ms\na\n", "line 2: a row with too few columns"),
        ('link,latency_ms\n"a\nb",1\nc,x\n', "line 4, column latency_ms: 'x'"),
        ("link,latency_ms\na,1\x002\n", "line 2: not a CSV file: a NUL byte"),
        ("link,latency_ms\na,1" + "2" * (2 << 20), "line 2: a line is longer than 1 MiB"),
        ("link,latency_ms\na," + "2" * 140_000, "line 2: not a CSV file: field larger than field limit"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(table: Path, content: str, problem: str) -> None:
    """With its name, and the columns that it does have."""
    table.write_text(content)

    with pytest.raises(TraceError) as caught:
        samples_of(table)

    assert str(table) in str(caught.value)
    assert problem in str(caught.value)


def test_a_missing_column_to_pair_by_is_named(table: Path) -> None:
    """It was asked for."""
    table.write_text("link,latency_ms\na,1\n")

    with pytest.raises(TraceError, match="no column 'prompt'"):
        samples_of(table, pair_by="prompt")


def test_a_file_that_cannot_be_read_is_an_error_of_the_source(table: Path) -> None:
    """Missing, or no text at all."""
    with pytest.raises(TraceError, match="No such file"):
        samples_of(table)
    table.write_bytes(b"link,latency_ms\n\xff\xfe\x00,1\n")
    with pytest.raises(TraceError, match="not a CSV file"):
        samples_of(table)
    with pytest.raises(TraceError, match="Is a directory"):
        samples_of(table.parent)


def test_empty_lines_are_passed_over(table: Path) -> None:
    """Editors leave them at the end."""
    table.write_text("link,latency_ms\n\na,1\n\n")

    assert len(samples_of(table)["a"]) == 1


ROWS = [("a", 1216.5, "ok"), ("b", 980.25, "ok"), ("a", 2000.0, "timeout"), ("b", 5.5, "error")]
EXPECTED = {"a": [(1216.5, ANSWERED), (2000.0, CENSORED)], "b": [(980.25, ANSWERED), (5.5, FAILED)]}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", ":", "^"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("zipped", [False, True])
def test_any_delimiter_encoding_and_line_ending_is_read(
    table: Path, delimiter: str, encoding: str, ending: str, zipped: bool
) -> None:
    """Excel saves semicolons, decimal commas and UTF-16, whatever the ending of the name says."""
    comma = delimiter != ","
    lines = [delimiter.join((" link ", "latency_ms", "status"))]
    lines += [
        delimiter.join((link, str(latency).replace(".", ",") if comma else str(latency), f" {status}"))
        for link, latency, status in ROWS
    ]
    content = (ending.join(lines) + ending).encode(encoding)
    table.write_bytes(gzip.compress(content) if zipped else content)

    assert {label: observed(sample) for label, sample in samples_of(table).items()} == EXPECTED


def test_names_in_windows_western_encoding_are_read(table: Path) -> None:
    """Excel's plain CSV is in it."""
    table.write_bytes("link;latency_ms\nmünchen;1,5\n".encode("cp1252"))

    assert observed(samples_of(table)["münchen"]) == [(1.5, ANSWERED)]


@pytest.mark.parametrize("form", ["lines", "array", "indented", "nested"])
def test_objects_in_json_are_rows(table: Path, form: str) -> None:
    """One per line, or in an array; Python writes NaN."""
    rows: list[Any] = [{"link": link, "latency_ms": latency, "status": status} for link, latency, status in ROWS]
    rows.append({"link": "a", "latency_ms": float("nan"), "status": "ok"})
    if form == "lines":
        table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif form == "nested":
        table.write_text(json.dumps([{"link": row.pop("link"), "timing": row, "tags": ["x"]} for row in rows]))
    else:
        table.write_text(json.dumps(rows, indent=2 if form == "indented" else None))
    mapping = {"latency": "timing.latency_ms", "status": "timing.status"} if form == "nested" else {}

    found = table_of(table, **mapping)

    assert {label: observed(sample) for label, sample in found.samples.items()} == EXPECTED
    assert found.left_out == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            '{"link": "a", "latency_ms": 5}\n{"link": "a", "latency_ms": "x"}',
            "line 2, column 33, column latency_ms: 'x'",
        ),
        ('{"link": "a", "latency_ms": true}', "True is not a number"),
        ('[{"link": "a", "latency_ms": [1]}]', "[1] is not a number"),
        ("[]", "no rows"),
        ("{}", "no rows"),
        ("[1, 2]", "no rows"),
        ('{"link": ', "ends in the middle of a value"),
        (
            '{"link": "a", "latency_ms": 5}\n{"link": "a",\nlatency_ms: 6}\n{"link": "a", "latency_ms": 7}\n',
            "line 3, column 1: not JSON: unexpected 'l'",
        ),
        (
            '{"link": "a", "latency_ms": 5}\n{"link": "a", "latency_ms": -Infinity}\n',
            "column latency_ms: -inf is not a finite number",
        ),
        ('{"ttfts": [], "itls": []}', "run the benchmark with --save-detailed"),
    ],
)
def test_what_is_wrong_with_json_is_said(table: Path, content: str, problem: str) -> None:
    """With the place, as in any other table."""
    table.write_text(content)

    with pytest.raises(TraceError) as caught:
        samples_of(table)

    assert problem in str(caught.value)


ROW = '{"link": "a", "latency_ms": 5}'
NO_OBJECTS = ["5", '"a"', "null", "[1, 2]", "[[1], {}]", "{}"]


@pytest.mark.parametrize(
    ("content", "malformed"), [("\n".join([ROW, *NO_OBJECTS, ROW]), 8), (f"[{', '.join([*NO_OBJECTS, ROW, ROW])}]", 6)]
)
def test_rows_that_are_no_objects_are_counted(table: Path, content: str, malformed: int) -> None:
    """A line that a logger wrote in between is not passed over in silence. The items of an array are rows."""
    table.write_text(content)

    found = table_of(table)

    assert observed(found.samples["a"]) == [(5.0, ANSWERED)] * 2
    assert (found.left_out, found.malformed) == (0, malformed)


@pytest.mark.parametrize(
    ("column", "unit", "in_ms"),
    [
        ("latency_ms", None, 2.0),
        ("latency_s", None, 2_000.0),
        ("duration_s", None, 2_000.0),
        ("latency_us", None, 0.002),
        ("latency_ns", None, 0.000002),
        ("latency_ms", "s", 2_000.0),
    ],
)
def test_a_unit_comes_from_the_columns_name_or_from_the_user(
    table: Path, column: str, unit: str | None, in_ms: float
) -> None:
    """The user is believed."""
    table.write_text(f"link,{column}\na,2\n")

    samples = samples_of(table) if unit is None else samples_of(table, unit=unit)

    assert samples["a"].elapsed_ms.tolist() == pytest.approx([in_ms])


def test_columns_of_any_name_are_mapped(table: Path) -> None:
    """A link may be made of several columns."""
    table.write_text("Host,Model,Took (sec),How\nx,m,1.5,ok\ny,m,2,TimeoutError\n")

    samples = samples_of(table, latency="Took (sec)", link="Host,Model", status="How")

    assert {label: observed(sample) for label, sample in samples.items()} == {
        "x:m": [(1500.0, ANSWERED)],
        "y:m": [(2000.0, CENSORED)],
    }
    for wrong in ({"latency": "took"}, {"link": "Host,Name"}, {"status": "why"}, {"order_by": "when"}, {"size": "n"}):
        with pytest.raises(TraceError, match="no column "):
            samples_of(table, **{"latency": "Took (sec)", "link": "Host", **wrong})


@pytest.mark.parametrize(
    ("column", "cells", "kinds"),
    [
        ("success", ("1", "0", "true"), [ANSWERED, FAILED, ANSWERED]),
        ("error", ("", "ReadTimeout", "429"), [ANSWERED, CENSORED, FAILED]),
        ("error_code", ("0", "None", "500"), [ANSWERED, ANSWERED, FAILED]),
        ("outcome", ("succeeded", "timed-out", "server_error"), [ANSWERED, CENSORED, FAILED]),
    ],
)
def test_columns_of_success_and_of_errors_say_how_an_attempt_ended(
    table: Path, column: str, cells: tuple[str, ...], kinds: list[int]
) -> None:
    """Tools that have no status have one of these."""
    table.write_text(f"link,latency_ms,{column}\n" + "".join(f"a,100,{cell}\n" for cell in cells))

    assert samples_of(table)["a"].kinds.tolist() == kinds


def test_sizes_and_tokens_are_kept(table: Path) -> None:
    """A size is a number or a text; a missing one is unknown. Tokens are for prices."""
    table.write_text("link,latency_ms,input_tokens,output_tokens,kind\na,1,100,10,chat\na,2,NA,20,\na,3,300,30,sum\n")

    by_number, by_kind = (samples_of(table, size=column)["a"] for column in ("input_tokens", "kind"))

    assert by_number.sizes == (100.0, None, 300.0)
    assert by_kind.sizes == ("chat", None, "sum")
    assert by_kind.tokens == (200.0, 20.0)


# What tools save, by the shapes that they document.


def drawn(count: int = 60) -> list[float]:
    """Latencies in milliseconds."""
    source = random.Random(1)
    return [round(1000 * source.lognormvariate(0, 0.5), 3) for _ in range(count)]


def llmperf(latencies: list[float]) -> str:
    """Llmperf's individual responses: one link per file, seconds, an error's code or null."""
    rows = [
        {
            "error_code": 429 if place == 3 else None,
            "error_msg": "",
            "inter_token_latency_s": 0.02,
            "ttft_s": 0.3,
            "end_to_end_latency_s": None if place == 3 else latency / 1000,
            "number_input_tokens": 550,
            "number_output_tokens": 150,
        }
        for place, latency in enumerate(latencies)
    ]
    return json.dumps(rows, indent=4)


def vllm(latencies: list[float]) -> str:
    """What vLLM's serving benchmark saves with --save-detailed: seconds to the first token and between the others."""
    parts = {
        "ttfts": [0.25 * latency / 1000 for latency in latencies],
        "itls": [[0.25 * latency / 1000] * 3 for latency in latencies],
        "errors": ["" if place != 3 else "boom" for place in range(len(latencies))],
        "generated_texts": ["..."] * len(latencies),
    }
    return json.dumps({"date": "20260101", "backend": "vllm", "model_id": "m", "num_prompts": len(latencies), **parts})


@pytest.mark.parametrize("write", [llmperf, vllm])
def test_benchmarks_of_one_endpoint_are_read_together(tmp_path: Path, write: Any) -> None:
    """A file has one link, named after it."""
    latencies = drawn()
    for name in ("here", "there"):
        (tmp_path / f"{name}.json").write_text(write(latencies))

    sources = read_sources([str(tmp_path / f"{name}.json") for name in ("here", "there")], Mapping())

    samples = {label: sample for source in sources for label, sample in source.samples.items()}
    assert list(samples) == ["here", "there"]
    assert samples["here"].kinds.tolist().count(FAILED) == 1
    answers = samples["there"].elapsed_ms[samples["there"].kinds == ANSWERED].tolist()
    assert answers == pytest.approx([latency for place, latency in enumerate(latencies) if place != 3])
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "here.json").write_text(write(latencies))
    with pytest.raises(TraceError, match=r"here is in .*here\.json, too"):
        read_sources([str(tmp_path / "here.json"), str(tmp_path / "copy" / "here.json")], Mapping())


def jmeter(latencies: list[float]) -> str:
    """JMeter's JTL as CSV."""
    header = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,failureMessage,bytes"
    rows = [
        f"{1700000000000 + place},{latency:.0f},{'ab'[place % 2]},200,OK,t 1-1,text,true,,512"
        for place, latency in enumerate(latencies)
    ]
    rows[2] = "1700000000002,30000,a,Non HTTP response code: java.net.SocketTimeoutException,"
    rows[2] += "Non HTTP response message: Read timed out,t 1-1,text,false,,0"
    rows[3] = "1700000000003,12,b,429,Too Many Requests,t 1-1,text,false,,0"
    return "\n".join([header, *rows])


def k6(latencies: list[float]) -> str:
    """k6's --out csv: every metric in one file, requests that never came with status 0."""
    header = "metric_name,timestamp,metric_value,check,error,error_code,group,method,name,status,url"
    rows = [f"http_req_waiting,17,1.0,,,,,POST,{'ab'[place % 2]},200,x" for place in range(5)]
    rows += [
        f"http_req_duration,{1700000000 + place},{latency},,,,,POST,{'ab'[place % 2]},200,http://x"
        for place, latency in enumerate(latencies)
    ]
    rows[7] = "http_req_duration,1700000002,30000,,request timeout,1050,,POST,a,0,http://x"
    rows[8] = "http_req_duration,1700000003,12,,,1429,,POST,b,429,http://x"
    return "\n".join([header, *rows])


def har(latencies: list[float]) -> str:
    """An HTTP Archive; a request that was given up has status 0."""
    entries: list[dict[str, Any]] = [
        {
            "startedDateTime": f"2026-01-01T00:00:{place:02}.000Z",
            "time": latency,
            "request": {"method": "POST", "url": f"https://{'ab'[place % 2]}/v1/chat?key=secret"},
            "response": {"status": 200, "content": {"text": "..."}},
        }
        for place, latency in enumerate(latencies)
    ]
    entries[2] |= {"time": 30000, "response": {"status": 0, "_error": "net::ERR_TIMED_OUT"}}
    entries[3] |= {"time": 12, "response": {"status": 429}}
    return json.dumps({"log": {"version": "1.2", "creator": {"name": "x"}, "entries": entries}})


@pytest.mark.parametrize("write", [jmeter, k6, har])
def test_what_load_tools_and_browsers_save_is_read_as_it_is(table: Path, write: Any) -> None:
    """Links, latencies, what was cut off and what failed, in order."""
    latencies = drawn()
    table.write_text(write(latencies))

    samples = samples_of(table)

    assert list(samples) == ["a", "b"]
    assert (samples["a"].kinds.tolist()[1], samples["b"].kinds.tolist()[1]) == (CENSORED, FAILED)
    assert [sample.kinds.tolist().count(ANSWERED) for sample in samples.values()] == [29, 29]
    assert samples["a"].elapsed_ms.tolist()[:2] == pytest.approx([round(latencies[0]), 30000.0], rel=1e-3)


LOCUST = """\
Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,Max Response Time,\
Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%
POST,a,200,4,1000,1100,200,9000,10,5,0,1000,1200,1400,1600,2000,3000,4000,5000,9000,9000,9000
POST,b,100,0,900,1000,100,4000,10,5,0,900,1100,1200,1300,1500,2000,2500,3000,4000,4000,4000
POST,c,0,0,0,0,0,0,0,0,0,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A
,Aggregated,300,4,1000,1100,100,9000,10,5,0,1000,1200,1400,1600,2000,3000,4000,5000,9000,9000,9000
"""


def test_locusts_statistics_are_laid_out_along_their_percentiles(table: Path) -> None:
    """It keeps no requests; its percentiles give them back, closely enough for a threshold."""
    table.write_text(LOCUST)

    samples = samples_of(table)

    assert list(samples) == ["a", "b"]
    answers = sorted(samples["a"].elapsed_ms[samples["a"].kinds == ANSWERED].tolist())
    assert (len(answers), samples["a"].kinds.tolist().count(FAILED)) == (196, 4)
    assert answers[97] == pytest.approx(1000, rel=0.03)
    assert answers[186] == pytest.approx(3000, rel=0.05)


def test_what_is_no_request_in_a_tools_file_is_counted(table: Path) -> None:
    """An entry without a request, a name without times, a row without counts."""
    times = {"num_requests": 1, "response_times": {"120": 1}}
    contents = [
        json.dumps({"log": {"entries": [7, {"time": 5}, {"time": 5, "request": {"url": "http://a"}}]}}),
        json.dumps([{"name": "a", **times}, {"name": "b", "num_requests": 0, "response_times": None}, 7]),
        LOCUST.replace("POST,b,100", "POST,b,many").replace(",Aggregated,300", ",b") + "POST,c\n",
    ]

    for content in contents:
        table.write_text(content)
        found = table_of(table)
        assert (list(found.samples), found.malformed) == (["a"], 2 + ("POST" in content))


def test_locusts_histogram_is_read(table: Path) -> None:
    """``locust --json`` prints how many answers took how long."""
    entry = {"name": "a", "num_requests": 6, "num_failures": 1, "response_times": {"120": 3, "1400": 2}}
    table.write_text(json.dumps([entry, {**entry, "name": "b"}], indent=4))

    assert observed(samples_of(table)["b"]) == [(120.0, ANSWERED)] * 3 + [(1400.0, ANSWERED)] * 2 + [(0.0, FAILED)]


def test_locusts_histogram_counts_failures_among_its_times(table: Path) -> None:
    """As Locust 2 writes it: which times are those of failures is not said, so answers are spread over all of them."""
    entry = {"num_requests": 20, "num_failures": 5, "response_times": {"1400": 4, "59": 8, "120": 8}}
    table.write_text(json.dumps([{**entry, "name": name} for name in "ab"], indent=4))

    found = observed(samples_of(table)["a"])

    assert [elapsed for elapsed, kind in found if kind == ANSWERED] == [59.0] * 6 + [120.0] * 6 + [1400.0] * 3
    assert [kind for _, kind in found].count(FAILED) == 5
