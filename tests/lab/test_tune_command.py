"""``routeware tune`` as people and scripts meet it: what it shows, what it writes, and its exit codes."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

pytest.importorskip("numpy")

from routeware import RoutingPolicy
from routeware.lab.reading import QueryAddress, read_file
from routeware.lab.spans import Span
from routeware.lab.tune_policy import write_threshold
from tests.fakes.commands import routeware_tune
from tests.fakes.exported import Traced, jaeger


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Four hundred requests at each of two links."""
    drawn = random.Random(1)
    rows = [f"{link},m,{1000 * drawn.lognormvariate(0, 0.65):.1f},{call}" for call in range(400) for link in "ab"]
    file = tmp_path / "latencies.csv"
    file.write_text("provider,model,latency_ms,prompt\n" + "\n".join(rows) + "\n")
    return file


def test_it_shows_the_frontier_and_what_to_know_of_it(table: Path) -> None:
    """From 0 to never, with intervals, and the assumption that it makes."""
    result = routeware_tune(table)

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("primary  a:m: 400 answers\nbackup   b:m: 400 answers\n")
    for words in ("0 ms", "never", "p50", "p99", "100.0%", "90% interval", "rank correlation of 0.5"):
        assert words in result.stdout
    assert "400 requests do not make a p99" in " ".join(result.stdout.split())


@pytest.mark.parametrize("width", [40, 60, 80])
def test_every_width_gets_whole_figures(table: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """A narrow terminal gets fewer columns, and no figure is cut."""
    monkeypatch.setenv("COLUMNS", str(width))

    result = routeware_tune(table, "--max-extra", 20, "--price", "b=0.002")

    lines = result.stdout.splitlines()
    assert "…" not in result.stdout
    assert ("p50" in result.stdout, "$ per 1,000" in result.stdout) == (width == 80, width == 80)
    assert max(len(line.rstrip()) for line in lines[1 if width == 80 else 0 :]) <= width


def test_a_target_names_a_threshold(table: Path) -> None:
    """By the bound, with the choice of the estimate beside it."""
    result = routeware_tune(table, "--target-p95", 2500)

    assert result.exit_code == 0, result.output
    assert "p95 of 2,500 ms: race after" in result.stdout
    assert "At 90% confidence at most" in result.stdout
    assert "By the estimate alone it would be" in result.stdout
    assert "about half the time" in result.stdout


def test_a_target_out_of_reach_is_said_with_the_best_possible(table: Path) -> None:
    """And leaves with an exit code of its own, so that a script notices."""
    result = routeware_tune(table, "--target-p95", 300)

    assert result.exit_code == 3
    assert "no threshold meets it at 90% confidence" in result.stdout
    assert "The best possible is to race after 0 ms" in result.stdout


def test_a_target_that_is_met_anyway_needs_no_race(table: Path) -> None:
    """Nothing is to be done, and that is an answer."""
    result = routeware_tune(table, "--target-p95", 60_000)

    assert result.exit_code == 0
    assert "p95 of 60,000 ms: met without racing." in result.stdout


def test_a_cap_on_spending_names_the_best_p95(table: Path) -> None:
    """In per cent of the calls."""
    result = routeware_tune(table, "--max-extra", 20, "--price", "b=0.002")

    assert result.exit_code == 0, result.output
    assert "At most 20.0% extra attempts: race after" in result.stdout
    assert "$ per" in result.stdout


def test_rows_are_paired_where_a_column_is_named(table: Path) -> None:
    """Four hundred prompts were sent to both."""
    result = routeware_tune(table, "--pair-by", "prompt")

    assert result.exit_code == 0, result.output
    assert "400 pairs of rows belong together" in result.stdout
    assert "rank correlation" not in result.stdout


def test_json_is_alone_on_standard_output(table: Path) -> None:
    """Everything, with null for unknown and for never."""
    result = routeware_tune(table, "--target-p95", 2500, "--json")

    found = json.loads(result.stdout)
    assert found["method"] == "independent"
    assert found["thresholds"][-1]["race_after_ms"] is None
    assert found["choice"]["chosen"]["misses_at_most"] <= 0.05
    assert {"value", "low", "high"} == set(found["thresholds"][0]["p95_ms"])


def test_links_can_be_named_by_provider(table: Path) -> None:
    """The other one is the backup, where there are two."""
    result = routeware_tune(table, "--primary", "b")

    assert result.stdout.startswith("primary  b:m")
    assert "\nbackup   a:m" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--primary", "c"), "no link is 'c'; there are a:m, b:m"),
        (("--primary", "a", "--backup", "a"), "a:m cannot be raced against itself"),
        (("--pair-by", "colour"), "no column 'colour'"),
        (("--price", "b"), "a price is LINK=USD, not 'b'"),
        (("--price", "b=-1"), "a price is LINK=USD, not 'b=-1'"),
        (("--price", "b=much"), "a price is LINK=USD, not 'b=much'"),
    ],
)
def test_what_the_data_do_not_answer_is_said_in_one_line(table: Path, arguments: tuple[str, ...], problem: str) -> None:
    """On standard error, with exit code 2."""
    result = routeware_tune(table, *arguments)

    assert result.exit_code == 2
    assert problem in result.stderr
    assert result.stderr.count("\n") == 1


def test_of_three_links_two_have_to_be_named(tmp_path: Path) -> None:
    """Which is which is not for a table to say."""
    file = tmp_path / "three.csv"
    file.write_text("link,latency_ms\na,100\nb,200\nc,300\n")

    for arguments in ((), ("--primary", "a"), ("--backup", "c")):
        result = routeware_tune(file, *arguments)
        assert result.exit_code == 2
        assert "say which --primary and --backup; there are a, b, c" in result.stderr
    assert routeware_tune(file, "--primary", "a", "--backup", "c").exit_code == 0


def test_one_link_cannot_race(tmp_path: Path) -> None:
    """There is nobody to race with."""
    file = tmp_path / "one.csv"
    file.write_text("link,latency_ms\na,1\n")

    assert "a race needs two links, and there is a" in routeware_tune(file).stderr


def test_spans_of_other_programs_have_no_latencies(tmp_path: Path) -> None:
    """It is said in these words, not as a link that is missing."""
    others = Traced()
    others.other()
    file = tmp_path / "spans.json"
    file.write_text(json.dumps(jaeger(others.spans())))

    result = routeware_tune(file)

    assert result.exit_code == 2
    assert "no latencies: neither rows nor calls of routeware's" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--target-p95", "5", "--max-extra", "5"),
        ("--target-p95", "5", "--target-p99", "5"),
        ("--by", "prompt"),
        ("--correlation", "1.5"),
        ("--unit", "h"),
        ("--write-policy", "policy.toml"),
        ("--plot", "picture.gif"),
        ("--target-p95", "0"),
    ],
)
def test_wrong_arguments_leave_with_2(table: Path, arguments: tuple[str, ...]) -> None:
    """Two goals at once, a policy without a goal, a picture that is none."""
    assert routeware_tune(table, *arguments).exit_code == 2


def test_a_missing_file_is_said() -> None:
    """Whatever its name looks like."""
    result = routeware_tune("nowhere.csv")

    assert result.exit_code == 2
    assert "nowhere.csv: No such file" in result.stderr


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_it_draws_a_picture(table: Path, tmp_path: Path, ending: str) -> None:
    """With the target, the chosen point and the intervals."""
    pytest.importorskip("matplotlib")
    file = tmp_path / f"frontier.{ending}"

    assert routeware_tune(table, "--target-p95", 2500, "--plot", file).exit_code == 0
    assert file.stat().st_size > 5_000


def test_it_reads_spans(tmp_path: Path) -> None:
    """The file says what it is; spans have no columns to pair by."""
    traced = Traced()
    for place in range(40):
        call = traced.call(at_ms=1000.0 * place)
        call.attempt("a:m", 0.0, 300.0 + place, "race_lost" if place % 4 == 0 else "succeeded")
        call.attempt("b:m", 200.0, 290.0 + place).end(500.0)
    file = tmp_path / "spans"
    file.write_text(json.dumps(jaeger(traced.spans())))

    result = routeware_tune(file)

    assert result.exit_code == 0, result.output
    assert "primary  a:m: 30 answers, 10 cut off" in result.stdout
    assert routeware_tune(file, "--pair-by", "prompt").exit_code == 2


def test_it_asks_a_jaeger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One service, or all of them."""
    traced = Traced()
    for place in range(20):
        call = traced.call(at_ms=1000.0 * place)
        call.attempt("a:m", 0.0, 300.0 + place).attempt("b:m", 200.0, 290.0 + place).end(500.0)
    file = tmp_path / "spans"
    file.write_text(json.dumps(jaeger(traced.spans())))
    asked: list[tuple[str, int]] = []

    def recent(_address: QueryAddress, service: str, limit: int) -> Iterator[Span]:
        asked.append((service, limit))
        return read_file(file)

    monkeypatch.setattr(QueryAddress, "recent", recent)
    monkeypatch.setattr(QueryAddress, "services", lambda _address: ["shop", "till"])

    result = routeware_tune("http://localhost:16686", "--service", "shop", "--limit", 50)
    assert result.exit_code == 0, result.output
    assert "primary  a:m: 20 answers" in result.stdout
    routeware_tune("http://localhost:16686")
    assert asked == [("shop", 50), ("shop", 1500), ("till", 1500)]


def test_rows_that_are_left_out_are_said(tmp_path: Path) -> None:
    """By the reason; in JSON all of them in one number."""
    file = tmp_path / "latencies.jsonl"
    rows: list[object] = [
        {"link": link, "latency_ms": 100 + place, "status": "ok"} for place in range(60) for link in "ab"
    ]
    rows += [{"link": "a", "status": "ok"}, "started", 5]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    shown, told = routeware_tune(file), routeware_tune(file, "--json")

    assert "- 1 answered row has no latency and was left out." in shown.stdout
    assert "- 2 rows have an unexpected shape and were left out." in shown.stdout
    assert json.loads(told.stdout)["left_out"] == 3


def test_one_row_that_is_left_out_is_one(tmp_path: Path) -> None:
    """A short row of Locust's CSV, say."""
    file = tmp_path / "latencies.jsonl"
    rows: list[object] = [
        {"link": link, "latency_ms": 100 + place, "status": "ok"} for place in range(60) for link in "ab"
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in [*rows, 5]))

    assert "- 1 row has an unexpected shape and was left out." in routeware_tune(file).stdout


def test_a_binary_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """A codec's own message says nothing to whoever gave the wrong file."""
    file = tmp_path / "picture"
    file.write_bytes(b"\x89PNG\x81")

    result = routeware_tune(file)

    assert result.exit_code == 2
    assert result.stderr.endswith(
        "picture: this is not text in UTF-8, UTF-16 or Windows-1252: give a table (CSV, JSON lines) or spans, saved as"
        " UTF-8\n"
    )


def test_a_bar_shows_what_takes_longer_than_a_second(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard error; a pipe gets the result alone."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    moments = itertools.count()
    monkeypatch.setattr("routeware.cli.tune.time.monotonic", lambda: float(next(moments)))

    result = routeware_tune(table, "--json")

    assert "computing" in result.stderr
    assert "computing" not in result.stdout


def test_a_file_that_cannot_be_written_is_said(table: Path, tmp_path: Path) -> None:
    """Picture or policy."""
    pytest.importorskip("matplotlib")
    nowhere = tmp_path / "missing"

    for arguments in (("--plot", nowhere / "a.png"), ("--write-policy", nowhere / "policy.toml")):
        result = routeware_tune(table, "--target-p95", 2500, *arguments)
        assert result.exit_code == 2
        assert f"cannot write {nowhere}" in " ".join(result.stderr.split())


POLICY = """\
# the shop's
chain = ["a:m", "b:m"]   # in this order

[latency]  # racing
deadline_ms = 9_000
race_after_ms = 700  # guessed
[budget]
per_call_usd = 1
"""


def test_it_puts_the_threshold_into_a_policy(table: Path, tmp_path: Path) -> None:
    """And leaves comments, order and everything else as they were."""
    file = tmp_path / "policy.toml"
    file.write_text(POLICY)

    result = routeware_tune(table, "--target-p95", 2500, "--write-policy", file)

    assert result.exit_code == 0, result.output
    after_ms = RoutingPolicy.from_toml(file).latency.race_after_ms
    assert after_ms is not None
    assert f"{after_ms:,.0f} ms" in result.stdout
    dated = f"# guessed; set by routeware tune on {datetime.now(UTC).date()}: p95 of 2,500 ms"
    assert file.read_text() == POLICY.replace("= 700  # guessed", f"= {after_ms:.0f}  {dated}")
    assert "latency.target_p95_ms = 2500 re-estimates it" in " ".join(result.stderr.split())


def test_without_a_threshold_the_policy_stays(table: Path, tmp_path: Path) -> None:
    """Where none is found, and where none is needed."""
    file = tmp_path / "policy.toml"
    file.write_text(POLICY)

    for target in (300, 60_000):
        result = routeware_tune(table, "--target-p95", target, "--write-policy", file)
        assert "the policy stays as it is" in result.stderr
    assert file.read_text() == POLICY


DATED = "# set by routeware tune on 2026-07-01: p95 of 900 ms"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('chain = ["a:m", "b:m"]\n', 'chain = ["a:m", "b:m"]\n\n[latency]\nrace_after_ms = 250  DATED\n'),
        ('chain = ["a:m", "b:m"]', 'chain = ["a:m", "b:m"]\n\n[latency]\nrace_after_ms = 250  DATED\n'),
        (
            'chain = ["a:m", "b:m"]\n[latency]\nrace_width = 2\n',
            'chain = ["a:m", "b:m"]\n[latency]\nrace_width = 2\nrace_after_ms = 250  DATED\n',
        ),
        ('chain = ["a:m", "b:m"]\n[latency]\n', 'chain = ["a:m", "b:m"]\n[latency]\nrace_after_ms = 250  DATED\n'),
        (
            '"chain" = ["a:m", "b:m"]\n["latency"]\n"race_after_ms" = 1 # why\n\n[budget]\nper_call_usd = 1\n',
            '"chain" = ["a:m", "b:m"]\n["latency"]\n"race_after_ms" = 250 '
            + DATED.replace("# ", "# why; ")
            + "\n\n[budget]\nper_call_usd = 1\n",
        ),
        (
            'chain = ["a:m", "b:m"]\nlatency = { race_after_ms = 5 }\n',
            'chain = ["a:m", "b:m"]\nlatency = { race_after_ms = 250 }  DATED\n',
        ),
        (
            'chain = ["a:m", "b:m"]\nlatency.race_after_ms = 5\n',
            'chain = ["a:m", "b:m"]\nlatency.race_after_ms = 250  DATED\n',
        ),
        (
            'chain = ["a:m", "b:m"]\n[latency]\nrace_after_ms = 5  # set by routeware tune on 2025-01-01: p95\n',
            'chain = ["a:m", "b:m"]\n[latency]\nrace_after_ms = 250  DATED\n',
        ),
    ],
)
def test_the_threshold_finds_its_place(tmp_path: Path, before: str, after: str) -> None:
    """However the latency rules are written, and with the date; what stood there before stays."""
    file = tmp_path / "policy.toml"
    file.write_text(before)

    write_threshold(file, 250.4, reason="p95 of 900 ms", today=date(2026, 7, 1))

    assert file.read_text() == after.replace("DATED", DATED)
    assert list(tmp_path.iterdir()) == [file]
    assert RoutingPolicy.from_toml(file).latency.race_after_ms == 250


def test_the_threshold_finds_its_place_in_a_table_of_a_larger_file(tmp_path: Path) -> None:
    """The latency rules of another table are left alone."""
    file = tmp_path / "service.toml"
    file.write_text(
        '[one.latency]\nrace_after_ms = 1\n[two]\nchain = ["a:m", "b:m"]\n[two.latency]\nrace_after_ms = 2\n'
    )

    write_threshold(file, 250, table="two")

    assert "[one.latency]\nrace_after_ms = 1\n" in file.read_text()
    assert RoutingPolicy.from_toml(file, table="two").latency.race_after_ms == 250


def test_what_is_no_policy_is_not_written_into(table: Path, tmp_path: Path) -> None:
    """Before anything is changed."""
    file = tmp_path / "policy.toml"
    file.write_text("chain = []\n")

    result = routeware_tune(table, "--target-p95", 2500, "--write-policy", file)

    assert result.exit_code == 2
    assert "chain" in result.stderr
    assert file.read_text() == "chain = []\n"
