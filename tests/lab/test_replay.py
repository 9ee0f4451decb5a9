"""Past calls under another policy: exact where they were seen to their end, near the truth where they were not."""

from __future__ import annotations

import asyncio
import json
import math
import random
import threading
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest
from typer.testing import CliRunner, Result

pytest.importorskip("numpy")

from routeware import Attempt, CallRecord, ErrorCategory, Price, RoutingPolicy, routed
from routeware.classify import ErrorSnapshot
from routeware.cli.app import app
from routeware.lab import Estimate, Replayed, replay
from routeware.lab.calls import call_from_record
from routeware.lab.replay_fates import Fates, PastAttempt, past_calls
from routeware.lab.replay_run import serve
from routeware.lab.replaying import recorded
from tests.fakes.clock import run_jumping
from tests.fakes.exported import Traced, jaeger

PRICES = {"a:m": Price(request_usd=0.002), "b:m": Price(request_usd=0.003)}


class RefusedError(Exception):
    """A provider's refusal."""

    status_code = 429


@attrs.frozen
class Call:
    """What one request meets at each provider: milliseconds, and whether it is refused."""

    a_ms: float
    b_ms: float
    a_fails: bool = False
    b_fails: bool = False


def world(count: int, seed: int, correlation: float) -> list[Call]:
    """Requests whose latencies depend on each other: lognormal, with some refusals."""
    source = random.Random(seed)
    calls = []
    for _ in range(count):
        a = source.gauss(0, 1)
        b = correlation * a + math.sqrt(1 - correlation**2) * source.gauss(0, 1)
        calls.append(
            Call(1000 * math.exp(0.6 * a), 1100 * math.exp(0.6 * b), source.random() < 0.02, source.random() < 0.03)
        )
    return calls


def policy(race_after_ms: float | None = None, **settings: object) -> RoutingPolicy:
    """Two links, raced or not."""
    chain = [{"provider": "a", "model": "m", "timeout_ms": 6000}, "b:m"]
    latency = {} if race_after_ms is None else {"race_after_ms": race_after_ms}
    return RoutingPolicy(chain=chain, latency={**latency, **settings})


def served(rules: RoutingPolicy, calls: Sequence[Call], *, gives_up_ms: float | None = None) -> list[CallRecord]:
    """The records of these calls, one after another."""
    records: list[CallRecord] = []

    @routed(rules, on_call=records.append, prices=PRICES)
    async def ask(attempt: Attempt, call: Call) -> str:
        first = attempt.provider == "a"
        await asyncio.sleep((call.a_ms if first else call.b_ms) / 1000)
        if call.a_fails if first else call.b_fails:
            raise RefusedError
        attempt.report_usage(input_tokens=1, output_tokens=1)
        return "answer"

    async def serve_all() -> None:
        for call in calls:
            asking = asyncio.ensure_future(ask(call))
            await asyncio.wait([asking], timeout=None if gives_up_ms is None else gives_up_ms / 1000)
            asking.cancel()
            await asyncio.wait([asking])
            if not asking.cancelled():
                asking.exception()

    run_jumping(serve_all())
    # Recorded on a clock that jumps, they have no time of day that means anything.
    return [attrs.evolve(record, started_unix_s=None) for record in records]


FIGURES = ("succeeded", "p50_ms", "p95_ms", "p99_ms", "cost_usd", "uncertain_usd", "attempts_per_call")


def figures(result: Replayed) -> dict[str, Estimate]:
    """What is compared."""
    return {name: getattr(result, name) for name in FIGURES}


@pytest.mark.parametrize("correlation", [0.0, 0.8])
@pytest.mark.parametrize(
    "rules",
    [policy(1500), policy(), policy(800, deadline_ms=2500), policy(0)],
    ids=["raced", "not raced", "with a deadline", "raced at once"],
)
def test_the_recorded_policy_replays_to_what_was_recorded(rules: RoutingPolicy, correlation: float) -> None:
    """Outcomes, times and dollars, whatever is assumed of what was not seen."""
    records = served(rules, world(150, 1, 0.5))

    result = replay(records, rules, correlation=correlation)

    expected = recorded(records)
    for name, estimate in figures(result).items():
        assert attrs.astuple(estimate) == pytest.approx(attrs.astuple(getattr(expected, name)), abs=1e-6), name
    assert 0.5 < result.measured_share <= 1.0


def test_every_call_of_the_recorded_policy_is_as_it_was() -> None:
    """Attempt by attempt: when it started, how long it took, how it ended."""
    records = served(policy(1500), world(120, 2, 0.3), gives_up_ms=3500)

    past = past_calls(records)
    again, _ = serve(past, Fates(past, 0.5, 0), policy(1500), 0)

    assert {record.outcome for record in records} == {"succeeded", "cancelled"}
    for before, after in zip(records, again, strict=True):
        assert (after.outcome, after.selected) == (before.outcome, before.selected)
        assert after.duration_ms == pytest.approx(before.duration_ms, abs=1e-3)
        for old, new in zip(before.attempts, after.attempts, strict=True):
            assert (new.label, new.status, new.trigger) == (old.label, old.status, old.trigger)
            assert new.started_ms == pytest.approx(old.started_ms, abs=1e-3)
            assert new.cost_usd == pytest.approx(old.cost_usd)


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.8])
@pytest.mark.parametrize("race_after_ms", [600, None, 2500])
def test_another_policy_comes_near_the_truth(correlation: float, race_after_ms: float | None) -> None:
    """Attempts within 2 %, dollars within 3 %, the 95th percentile within 5 %, at the correlation of the world."""
    calls = world(3000, 3, correlation)
    records = served(policy(1800), calls)
    spearman = 6 / math.pi * math.asin(correlation / 2)

    result = replay(records, policy(race_after_ms), correlation=spearman, resamples=20)

    truth = recorded(served(policy(race_after_ms), calls), resamples=20)
    assert result.attempts_per_call.value == pytest.approx(truth.attempts_per_call.value, rel=0.02)
    assert result.cost_usd.value == pytest.approx(truth.cost_usd.value, rel=0.03)
    assert result.p95_ms.value == pytest.approx(truth.p95_ms.value, rel=0.05)
    assert result.succeeded.value == pytest.approx(truth.succeeded.value, abs=0.005)


@pytest.mark.slow
def test_the_truth_lies_between_no_correlation_and_a_high_one() -> None:
    """So that both columns together say what can be known: here of a race that starts earlier."""
    calls = world(3000, 4, 0.5)
    records = served(policy(1500), calls)

    found = [replay(records, policy(300), correlation=each, resamples=20).p95_ms.value or 0.0 for each in (0.0, 0.8)]

    truth = recorded(served(policy(300), calls), resamples=20).p95_ms.value
    assert truth is not None
    assert min(found) * 0.98 <= truth <= max(found) * 1.02


def test_what_is_not_known_of_a_link_widens_the_intervals() -> None:
    """Few calls raced, so the backup's curve is known badly; resampled calls alone do not show that."""
    records = served(policy(2500), world(400, 9, 0.5))

    plain, whole = (replay(records, policy(300), resamples=count).p95_ms for count in (31, 200))

    assert plain.value == whole.value
    assert None not in (plain.low, plain.high, whole.low, whole.high)
    assert (whole.high or 0) - (whole.low or 0) > 1.2 * ((plain.high or 0) - (plain.low or 0))


def test_a_link_that_one_call_has_seen_to_its_end_can_be_replayed() -> None:
    """A resample without that call knows nothing of the link, and is left out."""
    records = served(policy(2000), [*[Call(200 + each, 50) for each in range(40)], Call(5000, 50)])

    result = replay(records, policy(100))

    assert result.attempts_per_call.value == pytest.approx(2.0)
    assert result.p95_ms.value is not None


def test_what_was_cut_off_takes_longer_than_that() -> None:
    """A primary that lost at 2 s did not answer at 1 s, whatever it does most often."""
    records = served(policy(100), [Call(200, 50)] * 30 + [Call(5000, 50)] * 3 + [Call(180, 900)] * 10)

    result = replay(records, policy(), resamples=5)

    assert result.calls == 43
    assert (result.p50_ms.value or 0) >= 150


def test_a_link_that_no_call_has_seen_to_its_end_is_named() -> None:
    """There is nothing to draw it from."""
    records = served(policy(), [Call(100, 100)] * 3)

    with pytest.raises(ValueError, match="no call has seen b:m to its end"):
        replay(records, policy(50))
    with pytest.raises(ValueError, match="no call has seen c:m to its end"):
        replay(records, RoutingPolicy(chain=["a:m", "c:m"]))


def test_without_calls_there_is_nothing_to_replay() -> None:
    """And a correlation is a number from -0.95 to 0.95."""
    with pytest.raises(ValueError, match="there are no calls"):
        replay([], policy())
    with pytest.raises(ValueError, match="there are no calls"):
        recorded([])
    with pytest.raises(ValueError, match=r"a correlation is from -0\.95 to 0\.95, not 1"):
        replay(served(policy(), [Call(100, 100)]), policy(), correlation=1.0)


async def test_it_can_be_called_where_a_loop_is_running() -> None:
    """Its own runs in a thread, which is gone afterwards."""
    records = served_in_a_thread()
    before = threading.active_count()

    result = replay(records, policy(500))

    assert result.calls == len(records)
    assert threading.active_count() == before


def served_in_a_thread() -> list[CallRecord]:
    """Records, made where no loop runs."""
    found: list[list[CallRecord]] = []
    thread = threading.Thread(target=lambda: found.append(served(policy(200), world(40, 5, 0.0))))
    thread.start()
    thread.join()
    return found[0]


def test_the_same_seed_gives_the_same_result(caplog: pytest.LogCaptureFixture) -> None:
    """Also where a latency target draws lots; and what the engine logs of calls long over is kept out of the log."""
    records = served(policy(900), world(80, 6, 0.3))
    rules = policy(target_p95_ms=1500, explore=0.1)
    caplog.clear()

    one, two, other = (replay(records, rules, seed=seed, resamples=20) for seed in (1, 1, 2))

    assert one == two
    assert one != other
    assert caplog.records == []


def test_calls_come_when_they_came() -> None:
    """By their time of day, overlapping as they did; so that what a provider's state does to them is replayed."""
    records = served(policy(), [Call(100, 50)] * 3 + [Call(100, 50, a_fails=True)])
    dated = [
        attrs.evolve(record, started_unix_s=1_700_000_000.0 + at)
        for record, at in zip(records, (5.0, 0.0, 0.05, 3600.0), strict=True)
    ]
    starts: dict[int, float] = {}

    class Noting(Fates):
        def of(self, call: int, label: str, occurrence: int) -> tuple[PastAttempt, bool]:
            starts.setdefault(call, asyncio.get_running_loop().time())
            return super().of(call, label, occurrence)

    past = past_calls(dated)
    serve(past, Noting(past, 0.0, 0), policy(), 0)

    assert starts == pytest.approx({1: 0.0, 2: 0.05, 0: 5.0, 3: 3600.0})


@pytest.mark.parametrize("days", [200, 20_000])
def test_calls_may_lie_years_apart(days: int) -> None:
    """Where a nanosecond is lost in the time of the clock, too, each call ends and takes as long as it did."""
    records = served(policy(1500), [Call(100, 50), Call(4000, 50), Call(70, 50)])
    dated = [
        attrs.evolve(record, started_unix_s=1_700_000_000.0 + 86_400.0 * days * number)
        for number, record in enumerate(records)
    ]
    past = past_calls(dated)

    replayed, _ = serve(past, Fates(past, 0.0, 0), policy(1500), 0)

    assert [call.duration_ms for call in replayed] == pytest.approx([call.duration_ms for call in past], abs=0.01)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"started_unix_s": 1.7e12}, "call 2 cannot have started at 1700000000000 s since 1970; is that milliseconds"),
        ({"started_unix_s": -1.0}, "call 2 cannot have started at -1 s"),
        ({"started_unix_s": math.nan}, "call 2 cannot have started at nan s"),
        ({"duration_ms": 1e300}, r"call 2 cannot have taken 1e\+300 ms"),
    ],
)
def test_times_that_cannot_be_are_refused(change: dict[str, float], said: str) -> None:
    """The clock would take hours to pass them."""
    first, second = served(policy(), [Call(100, 50, a_fails=True)] * 2)

    with pytest.raises(ValueError, match=said):
        replay([first, attrs.evolve(second, **change)], policy())


def test_unknown_dollars_stay_unknown() -> None:
    """They are not nothing."""
    records = [attrs.evolve(record, cost_usd=None) for record in served(policy(), [Call(100, 50, a_fails=True)] * 4)]
    unpriced = [
        attrs.evolve(
            record, attempts=tuple(attrs.evolve(each, cost_usd=None, cost_source=None) for each in record.attempts)
        )
        for record in records
    ]

    assert recorded(records).cost_usd == Estimate(None, None, None)
    assert replay(unpriced, policy()).cost_usd == Estimate(None, None, None)


def test_where_every_call_fails_there_is_no_latency() -> None:
    """A share of nothing, and no quantile."""
    records = served(policy(), [Call(100, 50, a_fails=True, b_fails=True)] * 4)

    result = replay(records, policy())

    assert result.succeeded.value == 0.0
    assert result.p95_ms == Estimate(None, None, None)


def test_calls_from_traces_are_replayed_like_records() -> None:
    """Spans say the same, without the classes of errors that records keep."""
    records = served(policy(1500), world(100, 7, 0.2))
    trees = [call_from_record(record) for record in records]

    from_trees, from_records = (replay(each, policy(700), resamples=20) for each in (trees, records))

    assert from_trees.attempts_per_call.value == pytest.approx(from_records.attempts_per_call.value, rel=0.01)
    assert from_trees.cost_usd.value == pytest.approx(from_records.cost_usd.value, rel=0.02)


@pytest.mark.parametrize(
    ("message", "status", "ending"),
    [
        ("timeout routeware.errors.AttemptTimeoutError", None, "cut"),
        ("", None, "cut"),
        ("timeout httpx.ReadTimeout", None, "failed"),
        ("timeout 408 openai.APIStatusError", 408, "failed"),
    ],
)
def test_a_time_out_of_ours_cut_an_attempt_off_and_one_of_its_client_ended_it(
    message: str, status: int | None, ending: str
) -> None:
    """Under another time-out of ours it would have gone on."""
    (record,) = served(policy(), [Call(100, 50, a_fails=True)])
    first, *others = record.attempts
    error = ErrorSnapshot(category=ErrorCategory.TIMEOUT, message=message, status=status)

    (past,) = past_calls([attrs.evolve(record, attempts=(attrs.evolve(first, error=error), *others))])

    assert past.attempts[0].ending == ending


# The command.


def routeware_replay(*arguments: object) -> Result:
    """The command, run in this process."""
    return CliRunner().invoke(app, ["replay", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Records as JSON lines, and two policies."""
    records = served(policy(1500), world(120, 8, 0.3))
    (tmp_path / "calls.jsonl").write_text("".join(json.dumps(record.to_dict()) + "\n" for record in records))
    rules = 'chain = ["a:m", "b:m"]\n[latency]\nrace_after_ms = {}\n'
    (tmp_path / "old.toml").write_text(rules.format(1500))
    (tmp_path / "new.toml").write_text(rules.format(600))
    return tmp_path


def test_it_compares_recorded_old_and_new(folder: Path) -> None:
    """At both correlations, with the measured share first and what cannot be known at the end."""
    result = routeware_replay(folder / "calls.jsonl", "--policy", folder / "new.toml", "--against", folder / "old.toml")

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("120 calls. Of the attempts replayed, ")
    for words in ("recorded", "old", "new", "at 0", "at 0.8", "p95, ms", "attempts per call", "90% interval"):
        assert words in result.stdout
    assert "What it cannot know" in result.stdout
    assert "between the two" in " ".join(result.stdout.split())


@pytest.mark.parametrize("width", [40, 60, 80])
def test_every_width_gets_whole_figures(folder: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Side by side on 80 columns, and one block for each figure below that."""
    monkeypatch.setenv("COLUMNS", str(width))

    result = routeware_replay(folder / "calls.jsonl", "--policy", folder / "new.toml", "--against", folder / "old.toml")

    assert "…" not in result.stdout
    assert max(len(line.rstrip()) for line in result.stdout.splitlines()) <= width
    assert ("  new at 0.8 " in result.stdout) is (width < 76)


def test_json_has_every_figure(folder: Path) -> None:
    """Alone on standard output."""
    result = routeware_replay(
        folder / "calls.jsonl", "--policy", folder / "new.toml", "--correlation", "0.3", "--seed", 5, "--json"
    )

    found = json.loads(result.stdout)
    assert found["recorded"]["calls"] == 120
    (new,) = found["replayed"]
    assert (new["policy"], new["correlation"], new["seed"]) == ("new", 0.3, 5)
    assert set(new["p95_ms"]) == {"value", "low", "high"}


def test_it_reads_spans(folder: Path) -> None:
    """As tune does."""
    traced = Traced()
    for place in range(30):
        call = traced.call(at_ms=1000.0 * place)
        call.attempt("a:m", 0.0, 300.0 + place, "race_lost" if place % 4 == 0 else "succeeded")
        call.attempt("b:m", 200.0, 290.0 + place, routeware__attempt__trigger="race").end(
            500.0, routeware__call__selected="b:m" if place % 4 == 0 else "a:m"
        )
    (folder / "spans").write_text(json.dumps(jaeger(traced.spans())))

    result = routeware_replay(folder / "spans", "--policy", folder / "new.toml", "--correlation", "0")

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("30 calls.")
    assert "between the two" not in result.stdout
    assert "unknown" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("missing.jsonl", "--policy", "new.toml"), 2, "No such file"),
        (("calls.jsonl", "--policy", "missing.toml"), 2, "No such file"),
        (("calls.jsonl", "--policy", "bad.toml"), 2, "chain"),
        (("calls.jsonl", "--policy", "other.toml"), 2, "no call has seen c:m to its end"),
        (("broken.jsonl", "--policy", "new.toml"), 2, "line 2, column"),
        (("digits.jsonl", "--policy", "new.toml"), 2, "line 2, column 5016: the integer that ends here has too"),
        (("large.jsonl", "--policy", "new.toml"), 2, "line 2, column"),
        (
            ("stray.jsonl", "--policy", "new.toml"),
            2,
            "line 2, column 10: a call's record is an object",
        ),
        (("empty.json", "--policy", "new.toml"), 2, "no calls of routeware's"),
        (("calls.jsonl", "--policy", "new.toml", "--correlation", "much"), 2, "--correlation takes numbers"),
        (("calls.jsonl", "--policy", "new.toml", "--correlation", "1"), 2, "--correlation takes numbers"),
    ],
)
def test_what_cannot_be_replayed_is_one_line(folder: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    """With the file, and the place in it."""
    (folder / "bad.toml").write_text("chain = []\n")
    (folder / "other.toml").write_text('chain = ["a:m", "c:m"]\n')
    (folder / "empty.json").write_text('{"data": []}')
    first = (folder / "calls.jsonl").read_text().splitlines()[0]
    (folder / "digits.jsonl").write_text(f'{first}\n{{"duration_ms":{"9" * 5000}}}\n')
    large = json.dumps({**json.loads(first), "duration_ms": 10**400})
    (folder / "large.jsonl").write_text(f"{first}\n{large}\n")
    (folder / "stray.jsonl").write_text(f'{first}\n"started"\n{first}\n')
    (folder / "broken.jsonl").write_text(first + "\n" + first.replace('"outcome": "', '"outcome": "un'))

    result = routeware_replay(
        *(folder / each if each.endswith(("l", "n")) and "." in each else each for each in arguments)
    )

    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
