"""A call drawn in the terminal and told in words, and the command that does so."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from routeware.cli.trace import trace
from routeware.lab.calls import AttemptBar, CallEvent, CallTree
from routeware.lab.summary import dollars, duration, status_text
from routeware.lab.waterfall import summary
from routeware.records import AttemptStatus, AttemptTrigger
from tests.fakes.drawing import drawn
from tests.fakes.exported import Traced, jaeger, otlp

FAILED = AttemptBar(
    number=1,
    label="openai:gpt-4o",
    status=AttemptStatus.FAILED,
    trigger=AttemptTrigger.INITIAL,
    started_ms=0,
    duration_ms=120,
    cost_usd=0.0,
    error_category="rate_limit",
    error_status=429,
    error_type="openai.RateLimitError",
)
ANSWERED = AttemptBar(
    number=2,
    label="anthropic:claude",
    status=AttemptStatus.SUCCEEDED,
    trigger=AttemptTrigger.FAILOVER,
    selected=True,
    started_ms=120,
    duration_ms=840,
    cost_usd=0.0042,
    cost_source="priced",
)
CALL = CallTree(
    name="ask",
    policy="chat",
    outcome="succeeded",
    selected="anthropic:claude",
    cost_usd=0.0042,
    uncertain_usd=0.0011,
    wasted_usd=0.0011,
    session_name="tenant-7",
    duration_ms=960,
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    attempts=(FAILED, ANSWERED),
)
LOST = attrs.evolve(FAILED, status=AttemptStatus.RACE_LOST, duration_ms=1240, cost_usd=0.0011, cost_source="estimated")
BACKUP = attrs.evolve(ANSWERED, trigger=AttemptTrigger.RACE, started_ms=800, duration_ms=440)
RACE = attrs.evolve(CALL, duration_ms=1240, race_after_ms=800, race_source="fixed", attempts=(LOST, BACKUP))


def test_a_failover_is_told_in_one_line() -> None:
    """Who was tried, what came of it, and what it cost: settled, and at most besides."""
    assert summary(CALL) == (
        "openai:gpt-4o answered 429 after 120 ms; anthropic:claude answered in 840 ms; "
        "$0.0042 spent, at most $0.0011 more"
    )


def test_a_race_is_told_with_who_raced_whom() -> None:
    """The backup was started beside the one that had not answered."""
    assert summary(RACE) == (
        "openai:gpt-4o lost the race and was cut off after 1.24 s; "
        "anthropic:claude, started beside openai:gpt-4o at 800 ms, answered in 440 ms; "
        "$0.0042 spent, at most $0.0011 more"
    )


def test_a_backup_whose_rival_cannot_be_seen_was_started_as_a_race() -> None:
    """Spans get lost."""
    assert summary(attrs.evolve(RACE, attempts=(BACKUP,))).startswith(
        "anthropic:claude, started as a race at 800 ms, answered in 440 ms;"
    )


@pytest.mark.parametrize(
    ("changes", "told", "in_short"),
    [
        ({"retry_after_ms": 2000}, "answered 429 after 120 ms (asked for 2 s)", "429 rate_limit"),
        ({"error_status": None, "error_category": "timeout"}, "timed out after 120 ms", "timeout"),
        (
            {"error_status": None, "error_category": "transient_network", "error_type": "aiohttp.ClientOSError"},
            "failed (transient_network, aiohttp.ClientOSError) after 120 ms",
            "transient_network",
        ),
        (
            {"error_status": None, "error_category": None, "error_type": None},
            "failed after 120 ms",
            "failed",
        ),
        ({"status": AttemptStatus.REJECTED}, "answered in 120 ms, which was not accepted", "not accepted"),
        ({"status": AttemptStatus.SKIPPED}, "was skipped, over the budget", "skipped: budget"),
        ({"status": AttemptStatus.CANCELLED}, "was cancelled after 120 ms", "cancelled"),
        ({"status": AttemptStatus.SUCCEEDED}, "answered in 120 ms, too late for its caller", "answered, unused"),
        ({"status": None}, "ended after 120 ms, how is not known", "not known"),
    ],
)
def test_every_end_of_an_attempt_has_its_words(changes: dict[str, object], told: str, in_short: str) -> None:
    """In the summary, and beside the bar."""
    attempt = attrs.evolve(FAILED, **changes)

    assert summary(attrs.evolve(CALL, attempts=(attempt,))).startswith(f"openai:gpt-4o {told};")
    assert status_text(attempt) == in_short


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ("failed", "the call failed after 960 ms"),
        ("cancelled", "its caller cancelled it after 960 ms"),
        ("budget_exceeded", "the budget ended it after 960 ms"),
        ("deadline_exceeded", "its deadline ended it after 960 ms"),
        ("vanished", "vanished after 960 ms"),
        (None, "how it ended is not known"),
    ],
)
def test_a_call_without_a_result_is_told_by_what_ended_it(outcome: str | None, told: str) -> None:
    """After its attempts, before the money."""
    call = attrs.evolve(CALL, outcome=outcome, attempts=(FAILED,))

    assert summary(call) == f"openai:gpt-4o answered 429 after 120 ms; {told}; $0.0042 spent, at most $0.0011 more"


@pytest.mark.parametrize(
    ("cost_usd", "uncertain_usd", "told"),
    [
        (0.0042, 0.0, "$0.0042 spent"),
        (0.0, 0.0011, "$0 spent, at most $0.0011 more"),
        (0.0042, None, "$0.0042 spent, how much more is not known"),
        (None, 0.0011, "what it cost is not known, at most $0.0011 more"),
        (None, None, "what it cost is not known"),
    ],
)
def test_unknown_money_is_never_told_as_nothing(cost_usd: float | None, uncertain_usd: float | None, told: str) -> None:
    """Nothing spent and nobody knows are two things."""
    assert summary(attrs.evolve(CALL, cost_usd=cost_usd, uncertain_usd=uncertain_usd)).endswith(f"840 ms; {told}")


def test_amounts_and_times_are_short_and_keep_their_digits() -> None:
    """Cents where they matter, and two digits of the smallest fraction of one."""
    assert [dollars(amount) for amount in (0.0, 12.345, 1.5, 0.0042, 0.00042, 0.0000012, -12.345, -0.00042)] == [
        "$0",
        "$12.35",
        "$1.5000",
        "$0.0042",
        "$0.00042",
        "$0.0000012",
        "-$12.35",
        "-$0.00042",
    ]
    assert [duration(ms) for ms in (0, 0.25, 9.96, 840.4, 1240, 65_200, 600_000)] == [
        "0 ms",
        "0.25 ms",
        "10 ms",
        "840 ms",
        "1.24 s",
        "65.2 s",
        "600 s",
    ]


def test_a_waterfall_reads_well_without_colours_at_80_columns() -> None:
    """Bars on the call's clock, an eighth of a cell exact, with what became of each and what it cost."""
    assert drawn(CALL) == (
        "ask · succeeded after 960 ms\n"
        "policy chat · session tenant-7\n"
        "trace 4bf92f3577b34da6a3ce929d0e0e4736 · $0.0011 wasted\n"
        "1 openai:gpt-4o    ███▉                            120 ms 429 rate_limit      $0\n"
        "2 anthropic:claude    ▕███████████████████████████ 840 ms answered       $0.0042\n"
        "                   0                        960 ms\n"
        "openai:gpt-4o answered 429 after 120 ms; anthropic:claude answered in 840 ms;\n"
        "$0.0042 spent, at most $0.0011 more"
    )


def test_a_race_shows_both_bars_side_by_side_and_what_may_have_been_spent() -> None:
    """The loser ends where the winner answered."""
    lines = drawn(RACE).splitlines()

    assert lines[1] == "policy chat · session tenant-7 · race after 800 ms (fixed)"
    assert lines[3] == "1 openai:gpt-4o    ██████████████████████████████ 1.24 s lost the race <=$0.0011"
    assert lines[4] == "2 anthropic:claude                    ███████████ 440 ms answered        $0.0042"


def test_an_encoding_without_blocks_gets_ascii() -> None:
    """Nothing is printed that the terminal cannot show."""
    shown = drawn(attrs.evolve(CALL, attempts=(FAILED, attrs.evolve(ANSWERED, label="x" * 60))), encoding="ascii")

    assert shown.isascii()
    assert shown.splitlines()[0] == "ask - succeeded after 960 ms"
    assert "  " in shown.splitlines()[3]
    assert "#" in shown.splitlines()[3]


def test_long_labels_leave_room_for_the_bars() -> None:
    """They are cut, and the summary has them whole."""
    label = "anthropic:claude-with-a-name-that-does-not-end-anywhere-soon"

    shown = drawn(attrs.evolve(CALL, attempts=(FAILED, attrs.evolve(ANSWERED, label=label))))

    assert all(len(line) <= 80 for line in shown.splitlines())
    assert "anthropic:claude-with-a-n…" in shown
    assert "██████" in shown.splitlines()[4]


def test_a_width_may_be_given() -> None:
    """Whoever draws beside something else says how much room there is."""
    assert max(len(line) for line in drawn(CALL, width=120, columns=60).splitlines()) <= 60


def test_what_the_budget_refused_is_shown_below_the_bars() -> None:
    """It has no bar that could show why nothing more was started."""
    fields = {"link": "openai:o3", "kind": "session", "projected_usd": 0.02, "committed_usd": 0.005, "limit_usd": 0.01}
    events = (
        CallEvent(name="race_started", at_ms=1, attributes={}),
        CallEvent(name="race_skipped", at_ms=5, attributes={"link": "openai:o3", "reason": "budget"}),
        CallEvent(name="budget_exceeded", at_ms=5, attributes={**fields, "on_exceed": "abort"}),
        CallEvent(name="budget_exceeded", at_ms=6, attributes={"kind": "per_call", "on_exceed": "warn"}),
    )
    skipped = attrs.evolve(FAILED, number=3, label="openai:o3", status=AttemptStatus.SKIPPED)

    lines = drawn(attrs.evolve(CALL, events=events, attempts=(FAILED, ANSWERED, skipped)), width=100).splitlines()

    assert lines[5].split() == ["3", "openai:o3", "skipped:", "budget"]
    assert lines[7:10] == [
        "at 5 ms openai:o3 was not raced (budget)",
        "at 5 ms openai:o3 may cost $0.0200, and $0.0050 of the session's $0.0100 are taken",
        "at 6 ms a link may cost ?, and ? of this call's ? are taken",
    ]


def test_a_call_of_which_little_is_known_is_drawn_as_far_as_it_goes() -> None:
    """A span without attempts, a price that nobody knows, a call that took no time."""
    bare = CallTree(name="ask", outcome=None, duration_ms=0, attempts=())
    unpriced = attrs.evolve(FAILED, cost_usd=None, duration_ms=0, status=None)

    assert drawn(bare) == "ask · not known after 0 ms\nhow it ended is not known; what it cost is not known"
    assert "$?" in drawn(attrs.evolve(bare, attempts=(unpriced,)))
    assert "race after 5 ms\n" in drawn(attrs.evolve(bare, race_after_ms=5))


def test_control_characters_from_a_file_do_not_reach_the_terminal() -> None:
    """A label could repaint the screen or say something else than it is."""
    evil = "a\x1b[2Jb\x07\n"
    call = attrs.evolve(
        CALL,
        name=evil,
        policy=evil,
        session_name=evil,
        outcome=evil,
        race_after_ms=1,
        race_source=evil,
        trace_id=None,
        attempts=(attrs.evolve(FAILED, label=evil, error_category=evil, error_type=evil, error_status=None),),
        events=(CallEvent(name="race_skipped", at_ms=0, attributes={"link": evil}),),
    )

    assert not set(drawn(call)) & {"\x1b", "\x07"}
    assert "\n" not in summary(call)


@given(
    times=st.lists(st.tuples(st.floats(0, 5_000), st.floats(0, 5_000)), min_size=1, max_size=4),
    length=st.floats(0, 5_000),
    width=st.integers(60, 200),
    encoding=st.sampled_from(["utf-8", "ascii"]),
)
def test_any_times_fit_any_width_and_leave_a_mark(
    times: list[tuple[float, float]], length: float, width: int, encoding: str
) -> None:
    """A bar is never invisible, never too long, and lines never wrap."""
    attempts = tuple(
        attrs.evolve(FAILED, number=number, started_ms=begin, duration_ms=took)
        for number, (begin, took) in enumerate(times, 1)
    )

    lines = drawn(attrs.evolve(CALL, duration_ms=length, attempts=attempts), width=width, encoding=encoding)

    rows = lines.splitlines()[3 : 3 + len(times)]
    assert all(set(row) & set("█▉▊▋▌▍▎▏▐▕#") for row in rows)
    assert all(len(row) <= width and row.endswith("429 rate_limit $0") for row in rows)


@pytest.mark.parametrize("width", [30, 40, 55])
def test_a_narrow_terminal_gets_three_lines_for_each_attempt(width: int) -> None:
    """Nothing is cut off, and the bar keeps a line for itself; a skipped link has none."""
    skipped = attrs.evolve(FAILED, number=3, status=AttemptStatus.SKIPPED)

    lines = drawn(attrs.evolve(CALL, attempts=(*CALL.attempts, skipped)), width=width).splitlines()

    first = lines.index("1 openai:gpt-4o")
    assert set(lines[first + 1]) <= set(" █▉▊▋▌▍▎▏▐▕")
    assert lines[first + 2] == "  429 rate_limit, 120 ms, $0"
    assert lines[first + 3 : first + 6 : 2] == ["2 anthropic:claude", "  answered, 840 ms, $0.0042"]
    assert lines[first + 6 : first + 8] == ["3 openai:gpt-4o", "  skipped: budget"]
    assert max(map(len, lines)) <= width


APP = typer.Typer()
APP.command()(trace)


def run(*arguments: str | Path) -> tuple[int, str, str]:
    """``routeware trace``: its exit code, what it prints, and what it complains of."""
    result = CliRunner().invoke(APP, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def traced(count: int = 3) -> Traced:
    """Calls that simply succeed, and the first of them that does not."""
    calls = Traced()
    calls.call("first").attempt("a:b", 0, 10, "failed").attempt("c:d", 10, 20).end(20, routeware__call__selected="c:d")
    for number in range(1, count):
        call = calls.call(f"plain-{number}", at_ms=number * 1000).attempt("a:b", 0, 10)
        call.end(10, routeware__call__selected="a:b", routeware__call__cost_usd=0.5, routeware__call__uncertain_usd=0.0)
    return calls


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three calls in a file."""
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(jaeger(traced().spans())), encoding="utf-8")
    return path


def test_the_command_draws_every_call_of_a_small_file_in_time(file: Path) -> None:
    """One after another, as they happened."""
    code, out, err = run(file)

    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines() if "succeeded after" in line] == [
        "first",
        "plain-1",
        "plain-2",
    ]
    assert "of 3 calls" not in out


def test_the_command_shows_first_what_is_worth_a_look(file: Path) -> None:
    """Those that did not simply succeed, then the latest, and says what it left out."""
    code, out, _ = run(file, "--limit", "2")

    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if "succeeded after" in line] == ["first", "plain-2"]
    assert "2 of 3 calls: first those that did not simply succeed, then the latest." in out


def test_the_command_takes_one_trace_by_the_first_digits_of_its_id(file: Path) -> None:
    """People copy ids whole, and type them in part."""
    wanted = traced_id(file, "plain-1")

    for given_id in (wanted, wanted[:12].upper()):
        code, out, _ = run(file, given_id)

        assert code == 0
        assert [line.split()[0] for line in out.splitlines() if "succeeded after" in line] == ["plain-1"]


def traced_id(file: Path, name: str) -> str:
    """The id of the trace with the call ``name``."""
    _, out, _ = run(file, "--json")
    (wanted,) = [call["trace_id"] for call in json.loads(out) if call["name"] == name]
    return str(wanted)


def test_the_command_gives_json(file: Path) -> None:
    """For whoever wants to count, or to draw otherwise."""
    code, out, _ = run(file, "--json")

    first, *plain = json.loads(out)
    assert code == 0
    assert [(call["name"], call["cost_usd"]) for call in plain] == [("plain-1", 0.5), ("plain-2", 0.5)]
    assert [(bar["label"], bar["status"], bar["uncertain"]) for bar in first["attempts"]] == [
        ("a:b", "failed", False),
        ("c:d", "succeeded", False),
    ]


def test_a_file_that_cannot_be_read_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    """With the place: nobody finds a missing comma in a megabyte."""
    path = tmp_path / "trace.json"
    path.write_text('{"data": [\n  {"spans": 3]}', encoding="utf-8")

    assert run(path) == (2, "", f"routeware: {path}, line 2, column 14: not JSON: unexpected ']'\n")


def test_a_trace_without_routewares_spans_says_so(tmp_path: Path) -> None:
    """It was found, so looking for it elsewhere would be in vain."""
    others = Traced()
    others.other()
    others.other()
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(otlp(others.spans())), encoding="utf-8")
    trace_id = f"{others.spans()[0].context.trace_id:032x}"

    assert run(path) == (1, "", f"routeware: {path}: 2 spans, none of routeware's\n")
    assert run(path, trace_id) == (1, "", f"routeware: {path}: trace {trace_id} has 1 span, none of routeware's\n")


def test_a_trace_that_is_not_there_says_so(file: Path, tmp_path: Path) -> None:
    """A wrong id is something else than a trace without calls."""
    empty = tmp_path / "empty.json"
    empty.write_text('{"data": []}', encoding="utf-8")

    assert run(file, "77") == (1, "", f"routeware: {file}: no trace 77\n")
    assert run(empty) == (1, "", f"routeware: {empty}: no spans\n")


@pytest.mark.parametrize("address", ["ftp://localhost/trace", "http:///api", "http://[::1/", "://x"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """Only http and https are asked, and nothing is guessed."""
    code, out, err = run(address)

    assert (code, out) == (2, "")
    assert err.startswith(f"routeware: {address}: not an")
    assert err.count("\n") == 1
