"""Observations per link from spans: what each attempt says, and which calls raced."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

pytest.importorskip("numpy")

from routeware.lab.calls import AttemptBar, CallTree, calls
from routeware.lab.reading import read_file
from routeware.lab.tune_samples import ANSWERED, CENSORED, FAILED, Sample, observed_calls
from routeware.records import AttemptStatus, AttemptTrigger
from tests.fakes.exported import Traced, jaeger


def observed(sample: Sample) -> list[tuple[float, int]]:
    """A sample as pairs of milliseconds and how it ended."""
    return list(zip(sample.elapsed_ms.tolist(), sample.kinds.tolist(), strict=True))


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

    sample = observed_calls(calls(read_file(file))).samples["a:m"]

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

    assert list(observed_calls(calls(read_file(file))).samples) == ["a:m"]


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

    sample = observed_calls([call, other]).samples["a:m"]

    assert observed(sample) == [(20.0, ANSWERED), (10.0, ANSWERED)]
    assert not sample.ordered


def test_calls_that_raced_are_kept_by_the_links_that_raced(tmp_path: Path) -> None:
    """They tell how often both were late: when the backup started, and when the answer came."""
    traced = Traced()
    traced.call(at_ms=0.0).attempt("a:m", 0.0, 50.0, "race_lost").attempt(
        "b:m", 20.0, 50.0, routeware__attempt__trigger="race"
    ).end(51.0, routeware__call__selected="b:m")
    failed = traced.call(at_ms=1000.0).attempt("a:m", 0.0, 90.0, "failed", routeware__error__category="rate_limit")
    failed.attempt("b:m", 30.0, 95.0, "failed", routeware__attempt__trigger="race").end(96.0)
    traced.call(at_ms=2000.0).attempt("a:m", 0.0, 5.0).end(5.0, routeware__call__selected="a:m")
    file = tmp_path / "spans.json"
    file.write_text(json.dumps(jaeger(traced.spans())))

    raced = observed_calls(calls(read_file(file))).raced

    assert list(raced) == [("a:m", "b:m")]
    assert raced["a:m", "b:m"].after_ms.tolist() == pytest.approx([20.0, 30.0])
    assert raced["a:m", "b:m"].latency_ms.tolist() == pytest.approx([50.0, float("inf")])


def test_spans_say_what_an_attempt_costs(tmp_path: Path) -> None:
    """Dollars that were settled, and tokens; estimates are no prices."""
    traced = Traced()
    for cost, source in ((0.002, "priced"), (0.004, "reported"), (0.9, "estimated")):
        traced.call().attempt(
            "a:m",
            0.0,
            5.0,
            routeware__cost__usd=cost,
            routeware__cost__source=source,
            gen_ai__usage__input_tokens=100,
            gen_ai__usage__output_tokens=20,
        ).end(5.0)
    file = tmp_path / "spans.json"
    file.write_text(json.dumps(jaeger(traced.spans())))

    sample = observed_calls(calls(read_file(file))).samples["a:m"]

    assert sample.cost_usd == pytest.approx(0.003)
    assert sample.tokens == (100.0, 20.0)
