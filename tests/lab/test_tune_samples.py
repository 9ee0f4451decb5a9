"""Observations per link, from tables and from spans: what each row and each attempt says."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

pytest.importorskip("numpy")

from routeware.lab.calls import calls
from routeware.lab.reading import read_file
from routeware.lab.spans import TraceError
from routeware.lab.tree import AttemptBar, CallTree
from routeware.lab.tune_samples import ANSWERED, CENSORED, FAILED, Sample, samples_from_calls, samples_from_csv
from routeware.records import AttemptStatus, AttemptTrigger
from tests.fakes.exported import Traced, jaeger


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A file to write a table into."""
    return tmp_path / "latencies.csv"


def observed(sample: Sample) -> list[tuple[float, int]]:
    """A sample as pairs of milliseconds and how it ended."""
    return list(zip(sample.elapsed_ms.tolist(), sample.kinds.tolist(), strict=True))


def test_a_table_needs_a_link_and_a_latency(table: Path) -> None:
    """Everything without a status is an answer; other columns are passed over."""
    table.write_text("link,note,latency_ms\na,x,100\nb,y,200.5\na,z,300\n")

    samples = samples_from_csv(table)

    assert list(samples) == ["a", "b"]
    assert observed(samples["a"]) == [(100.0, ANSWERED), (300.0, ANSWERED)]
    assert observed(samples["b"]) == [(200.5, ANSWERED)]
    assert not samples["a"].ordered


def test_provider_and_model_make_a_label(table: Path) -> None:
    """As a link's own does; a provider alone will do."""
    table.write_text("provider,model,latency_ms\na,m,1\na,n,2\n")
    assert list(samples_from_csv(table)) == ["a:m", "a:n"]

    table.write_text("provider,latency_ms\na,1\n")
    assert list(samples_from_csv(table)) == ["a"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((word, ANSWERED) for word in ("ok", "OK", "", "success", "succeeded", "answered", "200", "204")),
        *((word, CENSORED) for word in ("timeout", "censored", "cancelled", "canceled", "race_lost", "Timed_Out")),
        *((word, FAILED) for word in ("error", "429", "500", "failed", "refused")),
    ],
)
def test_a_status_says_how_an_attempt_ended(table: Path, status: str, kind: int) -> None:
    """An answer, one that was cut off, or a failure."""
    table.write_text(f"link,latency_ms,status\na,100,{status}\n")

    assert observed(samples_from_csv(table)["a"]) == [(100.0, kind)]


def test_a_row_without_a_latency_is_a_failure(table: Path) -> None:
    """Its time was not recorded, and it does not count as an answer."""
    table.write_text("link,latency_ms,status\na,,ok\n")

    assert observed(samples_from_csv(table)["a"]) == [(0.0, FAILED)]


def test_rows_are_put_in_order_by_a_column(table: Path) -> None:
    """By number, not by spelling; and then the order is known."""
    table.write_text("link,latency_ms,seq\na,3,10\na,1,2\na,4,last\n")

    sample = samples_from_csv(table, order_by="seq")["a"]

    assert sample.elapsed_ms.tolist() == [1.0, 3.0, 4.0]
    assert sample.ordered


def test_rows_are_paired_only_by_a_column_that_is_named(table: Path) -> None:
    """A table does not know by itself what belongs together."""
    table.write_text("link,latency_ms,prompt\na,1,p\nb,2,p\n")

    assert samples_from_csv(table)["a"].keys == ()
    assert samples_from_csv(table, pair_by="prompt")["b"].keys == ("p",)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "no column 'latency_ms'; there are none"),
        ("a,b\n", "no column 'latency_ms'; there are a, b"),
        ("latency_ms\n1\n", "no column 'link' or 'provider'"),
        ("model,latency_ms\nm,1\n", "no column 'link' or 'provider'"),
        ("link,latency_ms\na,fast\n", "latency_ms of a is no number"),
        ("link,latency_ms\na,-1\n", "negative, infinite or no number"),
        ("link,latency_ms\na,nan\n", "negative, infinite or no number"),
        ("link,latency_ms\na\n", "line 2: a row with too few columns"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(table: Path, content: str, problem: str) -> None:
    """With its name, and the columns that it does have."""
    table.write_text(content)

    with pytest.raises(TraceError) as caught:
        samples_from_csv(table)

    assert str(table) in str(caught.value)
    assert problem in str(caught.value)


def test_a_missing_column_to_pair_by_is_named(table: Path) -> None:
    """It was asked for."""
    table.write_text("link,latency_ms\na,1\n")

    with pytest.raises(TraceError, match="no column 'prompt'"):
        samples_from_csv(table, pair_by="prompt")


def test_a_file_that_cannot_be_read_is_an_error_of_the_source(table: Path) -> None:
    """Missing, or no text at all."""
    with pytest.raises(TraceError, match="No such file"):
        samples_from_csv(table)
    table.write_bytes(b"link,latency_ms\n\xff\xfe\x00,1\n")
    with pytest.raises(TraceError, match="not a CSV file"):
        samples_from_csv(table)


def test_empty_lines_are_passed_over(table: Path) -> None:
    """Editors leave them at the end."""
    table.write_text("link,latency_ms\n\na,1\n\n")

    assert len(samples_from_csv(table)["a"]) == 1


def test_spans_say_how_an_attempt_ended(tmp_path: Path) -> None:
    """A lost race, a time-out of ours and a cancellation were cut off; an answered error is a failure."""
    traced = Traced()
    endings = (
        ("succeeded", {}),
        ("race_lost", {}),
        ("cancelled", {}),
        ("failed", {"routeware__error__category": "timeout"}),
        ("failed", {"routeware__error__category": "timeout", "http__response__status_code": 408}),
        ("failed", {"routeware__error__category": "rate_limit"}),
        ("rejected", {}),
    )
    for place, (status, attributes) in enumerate(endings):
        call = traced.call(at_ms=1000.0 * place)
        call.attempt("a:m", 0.0, 10.0 + place, status, **attributes).end(20.0)
    file = tmp_path / "spans.json"
    file.write_text(json.dumps(jaeger(traced.spans())))

    sample = samples_from_calls(calls(read_file(file)))["a:m"]

    kinds = [ANSWERED, CENSORED, CENSORED, CENSORED, FAILED, FAILED, FAILED]
    assert observed(sample) == [(10.0 + place, kind) for place, kind in enumerate(kinds)]
    assert sample.ordered


def test_skipped_links_say_nothing(tmp_path: Path) -> None:
    """They were never started."""
    traced = Traced()
    call = traced.call()
    call.event("budget_exceeded", 1.0, link="b:m", on_exceed="skip")
    call.attempt("a:m", 2.0, 5.0).end(6.0, routeware__call__attempts=2)
    file = tmp_path / "spans.json"
    file.write_text(json.dumps(jaeger(traced.spans())))

    assert list(samples_from_calls(calls(read_file(file)))) == ["a:m"]


def test_spans_of_unknown_time_are_in_no_order() -> None:
    """Their latencies count as they come; no blocks are drawn from them."""
    attempt = AttemptBar(
        number=1,
        label="a:m",
        status=AttemptStatus.SUCCEEDED,
        trigger=AttemptTrigger.INITIAL,
        started_ms=0.0,
        duration_ms=20.0,
    )
    call = CallTree(name="ask", outcome="succeeded", duration_ms=20.0, attempts=(attempt,))
    other = attrs.evolve(call, started_at_ms=5.0, attempts=(attrs.evolve(attempt, duration_ms=10.0),))

    sample = samples_from_calls([call, other])["a:m"]

    assert observed(sample) == [(20.0, ANSWERED), (10.0, ANSWERED)]
    assert not sample.ordered
