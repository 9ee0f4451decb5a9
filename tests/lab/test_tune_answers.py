"""The answer of `routeware tune`: which way to serve the calls, what it costs, how sure it is, and whether it lasts."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

pytest.importorskip("numpy")

from routeware.cli.app import app
from routeware.lab.tune import tune
from routeware.lab.tune_curves import both_longer, normal_quantile, normal_share, pearson
from routeware.lab.tune_facts import Tuning
from routeware.lab.tune_frontier import Frontier, Goal
from routeware.lab.tune_samples import ANSWERED, RacedCalls, Sample
from tests.fakes.exported import Traced, jaeger


def routeware_tune(*arguments: object) -> Result:
    """The command, run in this process."""
    return CliRunner().invoke(app, ["tune", *map(str, arguments)])


def sample(label: str, latencies: Sequence[float] | np.ndarray, *, ordered: bool = False) -> Sample:
    """Answers of a link, in milliseconds."""
    elapsed = np.asarray(latencies, dtype=float)
    return Sample(label, elapsed, np.full(len(elapsed), ANSWERED, dtype=np.uint8), ordered=ordered)


def pair(count: int, correlation: float, *, seed: int = 1, quicker: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Latencies of the same requests at two links."""
    generator = np.random.default_rng(seed)
    first, other = generator.standard_normal((2, count))
    second = correlation * first + math.sqrt(1 - correlation**2) * other
    return 1000 * np.exp(0.65 * first), 1000 / quicker * np.exp(0.65 * second)


def answer(tuning: Tuning) -> tuple[str, str, float | None]:
    """What to do, which link first, and after how long to race."""
    assert tuning.verdict is not None
    return tuning.verdict.action, tuning.verdict.first, tuning.verdict.race_after_ms


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.3, 0.6, 0.9])
def test_the_copula_gives_the_share_of_requests_that_are_slow_at_both(correlation: float) -> None:
    """As two million draws do."""
    generator = np.random.default_rng(0)
    first, other = generator.standard_normal((2, 2_000_000))
    second = correlation * first + math.sqrt(1 - correlation**2) * other

    for x, y in ((0.2, 0.1), (0.05, 0.05), (0.9, 0.3)):
        shares = np.array([[x]]), np.array([[y]])
        scores = tuple(normal_quantile(1 - share) for share in shares)
        found = both_longer(*shares, (scores[0], scores[1]), np.array([correlation]))[0, 0]
        assert found == pytest.approx(((first > scores[0]) & (second > scores[1])).mean(), abs=0.0012)


def test_quantiles_and_shares_of_the_normal_distribution_are_inverse() -> None:
    """From one in a million to all but one in a million; none and all are cut."""
    shares = np.array([1e-6, 0.001, 0.02, 0.3, 0.5, 0.97, 0.999999])

    assert normal_share(normal_quantile(shares)) == pytest.approx(shares, rel=1e-3)
    assert normal_quantile(np.array([0.0, 1.0])).tolist() == [-8.0, 8.0]
    assert pearson(0.5) == pytest.approx(0.5176, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.5])
def test_a_threshold_without_pairs_keeps_its_target_where_the_links_depend_on_each_other(correlation: float) -> None:
    """Up to the correlation that is assumed; taken for independent it would not."""
    kept = []
    for seed in range(12):
        x, y = pair(400, correlation, seed=seed)
        choice = tune(sample("a", x), sample("b", y), target_p95_ms=2400).choice
        assert choice is not None
        if choice.chosen is not None:
            after = math.inf if choice.chosen.race_after_ms is None else choice.chosen.race_after_ms
            new_x, new_y = pair(200_000, correlation, seed=1000 + seed)
            kept.append((np.minimum(new_x, after + new_y) > 2400).mean() <= 0.05)

    assert len(kept) >= 6
    assert np.mean(kept) >= 0.8


def test_a_correlation_is_believed_and_shown_with_others() -> None:
    """The range from 0 to 0.6 says what hangs on it."""
    x, y = pair(500, 0.0)

    tuning = tune(sample("a", x), sample("b", y), target_p95_ms=2200, correlation=0.2)

    assert tuning.correlation is not None
    assert (tuning.correlation.source, tuning.correlation.spearman) == ("given", 0.2)
    assert [row.spearman for row in tuning.sensitivity] == [0.0, 0.2, 0.4, 0.6]
    misses = [row.misses for row in tuning.sensitivity]
    assert misses == sorted(misses, key=lambda each: each or 0.0)
    assert tuning.verdict is not None
    assert "as you said" in tuning.verdict.sure


@pytest.mark.parametrize(("count", "source"), [(199, "assumed"), (400, "raced")])
@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_calls_that_raced_correct_the_assumption(count: int, source: str, correlation: float) -> None:
    """From two hundred on: they say how often both were late."""
    x, y = pair(4000, correlation)
    late_x, late_y = pair(20_000, correlation, seed=2)
    raced = late_x > 1500
    latencies = np.minimum(late_x, 1500 + late_y)[raced][:count]

    tuning = tune(
        sample("a", x), sample("b", y), target_p95_ms=2400, raced=RacedCalls(np.full(count, 1500.0), latencies)
    )

    assert tuning.correlation is not None
    assert (tuning.correlation.source, tuning.correlation.raced_calls) == (source, count)
    if source == "raced":
        assert tuning.correlation.spearman == pytest.approx(correlation, abs=0.3)
        assert tuning.correlation.low <= correlation + 0.1
        assert tuning.correlation.high >= correlation - 0.1


def test_without_a_target_raced_calls_are_compared_at_their_own_90th_percentile() -> None:
    """Something has to be late."""
    x, y = pair(2000, 0.0)
    late = x > 1200
    raced = RacedCalls(np.full(late.sum(), 1200.0), np.minimum(x, 1200 + y)[late])

    tuning = tune(sample("a", x), sample("b", y), raced=raced)

    assert tuning.correlation is not None
    assert tuning.correlation.source == "raced"


def test_where_the_backup_alone_keeps_the_target_the_answer_is_to_swap() -> None:
    """It costs no extra attempt, and racing costs some."""
    x, y = pair(800, 0.3, quicker=2.5)

    tuning = tune(sample("a", x), sample("b", y), target_p95_ms=1800)

    assert answer(tuning) == ("swap", "b", None)
    assert tuning.verdict is not None
    assert tuning.verdict.sentence.startswith("Try b first, without racing: p95 ")
    assert "no extra attempts" in tuning.verdict.sentence
    assert tuning.choice is not None
    assert tuning.choice.chosen is not None
    assert tuning.choice.chosen.race_after_ms is not None


def test_dollars_decide_where_both_links_have_a_price() -> None:
    """A quick link that is dear is raced, not put first."""
    x, y = pair(800, 0.3, quicker=2.5)

    def tuned(backup_usd: float) -> Tuning:
        return tune(
            sample("a", x),
            sample("b", y),
            target_p95_ms=1800,
            usd_per_attempt=backup_usd,
            primary_usd_per_attempt=0.001,
        )

    assert answer(tuned(0.001)) == ("swap", "b", None)
    dear = tuned(0.02)
    assert answer(dear)[:2] == ("race", "a")
    assert dear.verdict is not None
    assert "more per 1,000 calls (" in dear.verdict.sentence
    cheap = tuned(0.0001)
    assert cheap.verdict is not None
    assert "$0.90 less per 1,000 calls" in cheap.verdict.sentence


def test_where_only_both_help_the_answer_is_to_swap_and_race() -> None:
    """The quicker link first, and the other one as its backup, costs less than the other way round."""
    x, y = pair(1500, 0.2, quicker=1.4)

    tuning = tune(sample("a", x), sample("b", y), target_p95_ms=1900, correlation=0.2)

    assert answer(tuning)[:2] == ("swap_and_race", "b")
    assert [way.name for way in tuning.ways] == ["now", "race", "swap", "swap_and_race"]
    assert tuning.verdict is not None
    assert tuning.verdict.sentence.startswith("Try b first, and race after ")


def test_a_target_that_is_kept_anyway_leaves_everything_as_it_is() -> None:
    """Nothing is the cheapest thing to do."""
    x, y = pair(500, 0.3)

    tuning = tune(sample("a", x), sample("b", y), target_p95_ms=20_000)

    assert answer(tuning) == ("keep", "a", None)
    assert tuning.verdict is not None
    assert tuning.verdict.sentence.startswith("Leave it as it is: p95 ")


def test_a_99th_percentile_can_be_the_target() -> None:
    """One call in a hundred may be late; a hundred rows are too few to promise that."""
    x, y = pair(4000, 0.2)

    tuning = tune(sample("a", x), sample("b", y), target_p99_ms=4500, correlation=0.2)
    few = tune(sample("a", x[:100]), sample("b", y[:100]), target_p99_ms=4500, correlation=0.2)

    assert tuning.choice is not None
    assert tuning.choice.rule == "target_p99"
    assert tuning.choice.chosen is not None
    assert (tuning.choice.chosen.misses_at_most or 1.0) <= 0.01
    assert few.choice is not None
    assert few.choice.chosen is None
    assert few.thresholds[-1].p99_ms.high is None


def test_the_interval_of_a_99th_percentile_is_open_where_the_data_end() -> None:
    """A hundred rows cannot say how slow the slowest in a hundred is."""
    x, y = pair(100, 0.2)

    never = tune(sample("a", x), sample("b", y)).thresholds[-1]

    assert never.p99_ms.value is not None
    assert never.p99_ms.low is not None
    assert never.p99_ms.high is None


@pytest.mark.slow
def test_intervals_cover_what_they_say() -> None:
    """90 % ones of the 95th and the 99th percentile: of 60 draws at least 47, but for one time in a thousand."""
    for share in (0.95, 0.99):
        truth = 1000 * math.exp(0.65 * float(normal_quantile(np.array([share]))[0]))
        hits = 0
        for seed in range(60):
            x, y = pair(200, 0.0, seed=seed)
            point = Frontier(sample("a", x), sample("b", y), Goal(), seed=seed).point(math.inf)
            estimate = point.p95_ms if share == 0.95 else point.p99_ms
            hits += (estimate.low or 0.0) <= truth <= (estimate.high or math.inf)
        assert hits >= 47


def test_the_second_half_is_served_by_the_first_halfs_threshold() -> None:
    """Where the links have changed, it says so: a threshold from July does not know August."""
    x, y = pair(800, 0.2)
    slower = np.concatenate([x[:400], 1.8 * x[400:]])

    steady, changed = (
        tune(sample("a", each, ordered=True), sample("b", y, ordered=True), target_p95_ms=2500).drift
        for each in (x, slower)
    )
    unordered = tune(sample("a", x), sample("b", y), target_p95_ms=2500)

    assert steady is not None
    assert changed is not None
    assert (steady.changed, changed.changed) == ((), ("a",))
    assert (changed.misses or 0.0) > (steady.misses or 1.0)
    assert "The halves of a differ by more than chance" in changed.sentence
    assert steady.sentence.startswith("In the second half of the data, the first half's ")
    assert unordered.drift is None


def test_drift_is_judged_under_a_cap_on_spending_too() -> None:
    """And not where the rows are few, or a half has no answer."""
    x, y = pair(400, 0.2)
    capped = tune(sample("a", x, ordered=True), sample("b", y, ordered=True), max_extra=0.2)
    few = tune(sample("a", x[:60], ordered=True), sample("b", y[:60], ordered=True), max_extra=0.2)

    assert capped.drift is not None
    assert capped.drift.misses is None
    assert few.drift is None


# What the command adds.


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Six hundred requests of very different sizes at each of two links, in order, with tokens."""
    source = random.Random(3)
    lines = ["provider,latency_ms,status,input_tokens,output_tokens,kind,prompt,seq"]
    for number in range(600):
        size = int(math.exp(source.uniform(5, 8)))
        shared = source.gauss(0, 1)
        for link in "ab":
            took = (200 + 0.8 * size) * math.exp(0.35 * (0.5 * shared + 0.87 * source.gauss(0, 1)))
            kind = "long" if size > 1000 else "short"
            lines.append(f"{link},{took:.1f},ok,{size},100,{kind},{number},{number}")
    file = tmp_path / "latencies.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize("by", ["input_tokens", "kind"])
@pytest.mark.parametrize("pairs", [True, False])
def test_thresholds_per_size_cost_less_than_one(table: Path, by: str, pairs: bool) -> None:
    """They share one budget of misses: it is spent where requests are long by nature."""
    arguments = ["--target-p95", 2300, "--by", by, *(["--pair-by", "prompt"] if pairs else [])]

    result = routeware_tune(table, *arguments, "--json")

    sizes = json.loads(result.stdout)["sizes"]
    assert sizes["column"] == by
    assert sizes["misses"] <= 0.0501
    assert sizes["one_extra"] is None or sizes["extra"] < sizes["one_extra"]
    assert sum(bucket["calls"] for bucket in sizes["buckets"]) == 600
    assert {bucket["name"] for bucket in sizes["buckets"]} >= ({"long", "short"} if by == "kind" else set())
    text = routeware_tune(table, *arguments).stdout
    assert f"Thresholds by {by}, with one budget of misses:" in text
    assert "One threshold for all" in text


def test_sizes_that_do_not_divide_the_rows_are_refused(table: Path) -> None:
    """Two thirds of forty calls are no bucket."""
    result = routeware_tune(table, "--target-p95", 2300, "--by", "output_tokens")

    assert result.exit_code == 2
    assert "output_tokens does not divide the rows of a into sizes of 40 rows or more" in result.stderr


def test_the_answer_comes_first(table: Path) -> None:
    """In a sentence, with what it rests on below."""
    first, second, *_ = routeware_tune(table, "--target-p95", 2500, "--price", "b=0.002").stdout.splitlines()

    assert " → " in first
    assert first.endswith(".")
    assert second.startswith("At 90% confidence at most ")


def test_order_and_drift_are_shown(table: Path) -> None:
    """Where a column says the order."""
    result = routeware_tune(table, "--target-p95", 2500, "--order-by", "seq")

    assert "In the second half of the data" in result.stdout


def test_the_policys_prices_and_the_tokens_of_the_table_give_dollars(table: Path, tmp_path: Path) -> None:
    """Nobody has to work out what an attempt costs."""
    policy = tmp_path / "policy.toml"
    policy.write_text(
        '[[chain]]\nprovider = "a"\nmodel = "m"\nprice = { input_usd_per_mtok = 1, output_usd_per_mtok = 2 }\n'
        '[[chain]]\nprovider = "b"\nmodel = "m"\nprice = { request_usd = 0.01 }\n'
    )

    result = routeware_tune(table, "--target-p95", 2500, "--write-policy", policy, "--json")

    race = next(way for way in json.loads(result.stdout)["ways"] if way["name"] == "race")
    assert race["more_usd"]["value"] == pytest.approx(0.01 * race["result"]["extra"]["value"])


def test_spans_carry_their_own_dollars_and_races(tmp_path: Path) -> None:
    """A traced service needs no prices, and its races say how far the links depend on each other."""
    source = random.Random(5)
    traced = Traced()
    for place in range(900):
        call = traced.call(at_ms=60_000.0 * place)
        a, b = (1000 * source.lognormvariate(0, 0.6) for _ in "ab")
        cost = {"routeware__cost__usd": 0.002, "routeware__cost__source": "priced"}
        if a <= 900:
            call.attempt("a:m", 0.0, a, **cost).end(a, routeware__call__selected="a:m")
            continue
        end = min(a, 900 + b)
        call.attempt("a:m", 0.0, end, "succeeded" if end == a else "race_lost", **cost)
        call.attempt(
            "b:m", 900.0, end, "race_lost" if end == a else "succeeded", routeware__attempt__trigger="race", **cost
        )
        call.end(end, routeware__call__selected="a:m" if end == a else "b:m")
    file = tmp_path / "spans.json"
    file.write_text(json.dumps(jaeger(traced.spans())))

    found = json.loads(routeware_tune(file, "--target-p95", 1800, "--json").stdout)

    assert found["correlation"]["source"] == "raced"
    assert found["ways"][1]["more_usd"] is not None


@pytest.mark.parametrize(
    ("column", "arguments", "said"),
    [
        ("latency_ms", (), "the median of latency_ms is 1: are these seconds? Say --unit s, or --unit ms if not"),
        ("latency_ms", ("--unit", "ms"), None),
        ("latency_ms", ("--unit", "s"), None),
        ("latency_s", (), None),
    ],
)
def test_seconds_for_milliseconds_are_refused(
    tmp_path: Path, column: str, arguments: tuple[str, ...], said: str | None
) -> None:
    """Unless the user says that they are none."""
    file = tmp_path / "latencies.csv"
    file.write_text(f"link,{column}\n" + "".join(f"{'ab'[place % 2]},{1 + place % 3 * 0.0}\n" for place in range(60)))

    result = routeware_tune(file, *arguments)

    assert result.exit_code == (0 if said is None else 2), result.output
    assert said is None or said in result.stderr


def test_a_target_far_beyond_the_latencies_is_refused(table: Path) -> None:
    """Fifty times the 95th percentile is a mistake in the unit."""
    result = routeware_tune(table, "--target-p95", 2_000_000)

    assert result.exit_code == 2
    assert "times the 95th percentile of latency_ms: are these seconds?" in result.stderr


def test_rows_that_are_left_out_are_counted(tmp_path: Path) -> None:
    """On the screen and in the JSON."""
    file = tmp_path / "latencies.csv"
    rows = "".join(f"{link},{100 + place},ok\n" for place in range(60) for link in "ab")
    file.write_text("link,latency_ms,status\n" + rows + "a,NaN,ok\n")

    assert "1 answered row has no latency and was left out." in routeware_tune(file).stdout
    assert json.loads(routeware_tune(file, "--json").stdout)["left_out"] == 1


def test_files_about_one_link_each_are_given_together(tmp_path: Path) -> None:
    """As benchmarks of one endpoint save them."""
    for name in ("here", "there"):
        rows = [{"end_to_end_latency_s": 0.5 + place / 100, "error_code": None} for place in range(80)]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))

    result = routeware_tune(tmp_path / "here.json", tmp_path / "there.json")

    assert result.exit_code == 0, result.output
    assert "primary  here: 80 answers\nbackup   there: 80 answers" in result.stdout
