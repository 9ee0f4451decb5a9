"""A call drawn as a picture: what must be seen in it, that anything may be in the trace, and the command that draws."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from routeware.cli.app import app
from routeware.lab.calls import AttemptBar, CallEvent, CallTree, calls
from routeware.lab.reading import read_file
from routeware.lab.waterfall_svg import svg
from routeware.records import AttemptStatus, AttemptTrigger
from tests.fakes.exported import Traced, jaeger

ROOT = Path(__file__).parent.parent.parent
IMAGES = ROOT / "docs" / "images"
SVG = "{http://www.w3.org/2000/svg}"

FAILED = AttemptBar(
    number=1,
    label="openai:gpt-4o",
    status=AttemptStatus.FAILED,
    trigger=AttemptTrigger.INITIAL,
    started_ms=0,
    duration_ms=100,
    cost_usd=0.0,
    error_category="rate_limit",
    error_status=429,
)
LOST = AttemptBar(
    number=2,
    label="mistral:large",
    status=AttemptStatus.RACE_LOST,
    trigger=AttemptTrigger.FAILOVER,
    started_ms=100,
    duration_ms=900,
    cost_usd=0.0036,
    cost_source="estimated",
)
WON = AttemptBar(
    number=3,
    label="anthropic:claude",
    status=AttemptStatus.SUCCEEDED,
    trigger=AttemptTrigger.RACE,
    selected=True,
    started_ms=500,
    duration_ms=500,
    cost_usd=0.0042,
    cost_source="priced",
)
CALL = CallTree(
    name="ask",
    policy="chat",
    outcome="succeeded",
    selected="anthropic:claude",
    cost_usd=0.0042,
    uncertain_usd=0.0036,
    wasted_usd=0.0036,
    race_after_ms=400,
    race_source="fixed",
    session_name="tenant-7",
    duration_ms=1000,
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    attempts=(FAILED, LOST, WON),
)


def texts(root: ET.Element) -> list[str]:
    """The texts that are drawn, in order."""
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def bars(root: ET.Element) -> list[tuple[str, float, float]]:
    """Every bar: its class, where it begins and where it ends."""
    kinds = {"good", "bad", "cut", "none"}
    found = [rect.attrib for rect in root.iter(f"{SVG}rect") if rect.get("class") in kinds]
    return [(rect["class"], float(rect["x"]), float(rect["x"]) + float(rect["width"])) for rect in found]


def drawn(call: CallTree) -> ET.Element:
    """The picture, parsed."""
    return ET.fromstring(svg(call))


def test_it_says_who_was_tried_what_became_of_each_and_what_it_cost() -> None:
    """In words, so nothing depends on a colour."""
    shown = texts(drawn(CALL))

    assert shown[:3] == [
        "ask · succeeded after 1 s",
        "policy chat · session tenant-7 · race after 400 ms (fixed)",
        "trace 4bf92f3577b34da6a3ce929d0e0e4736 · $0.0036 wasted",
    ]
    rows = [
        ["openai:gpt-4o", "429 rate_limit", "first", "after 100 ms", "$0"],
        ["mistral:large", "lost the race", "failover at 100 ms", "after 900 ms", "≤ $0.0036", "may be billed"],
        ["anthropic:claude", "answered", "race at 500 ms", "after 500 ms", "$0.0042"],
    ]
    assert shown[-1 - sum(map(len, rows)) : -1] == [text for row in rows for text in row]
    assert shown[-1] == "$0.0042 spent, at most $0.0036 more"


def test_bars_lie_on_one_clock() -> None:
    """The backup begins where the race does, and loser and winner end together."""
    (_, first, failed), (_, second, lost), (_, third, won) = bars(drawn(CALL))

    assert failed == second
    assert lost == won
    assert (third - first) / (won - first) == pytest.approx(0.5)


def test_a_loser_is_striped_and_lines_lead_to_what_was_started_for_it() -> None:
    """One line for the failover, a dotted one for the race."""
    root = drawn(CALL)

    assert [kind for kind, *_ in bars(root)] == ["bad", "cut", "good"]
    assert [path.get("class") for path in root.iter(f"{SVG}path") if "from" in path.get("class", "")] == [
        "from",
        "from race",
    ]


def test_a_stream_shows_its_first_item() -> None:
    """A mark in its bar, and the time."""
    root = drawn(attrs.evolve(CALL, attempts=(FAILED, LOST, attrs.evolve(WON, first_item_ms=250))))
    (mark,) = [path.get("d", "") for path in root.iter(f"{SVG}path") if path.get("class") == "item"]
    (_, begin, end) = bars(root)[-1]

    assert float(mark.removeprefix("M").split()[0]) == pytest.approx((begin + end) / 2, abs=0.1)
    assert "first item 250 ms, 500 ms" in texts(root)


def test_a_screen_reader_gets_the_call_in_words() -> None:
    """By the names that the picture refers to."""
    root = drawn(CALL)

    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title desc"
    named = {element.get("id"): element.text for element in root}
    assert named["title"] == "ask · succeeded after 1 s"
    assert (named["desc"] or "").startswith("openai:gpt-4o answered 429 after 100 ms; mistral:large lost the race")


def test_it_is_light_or_dark_as_the_screen_is_and_asks_for_nothing() -> None:
    """It may be put on any page: no script, no font, no address but the name of the format."""
    text = svg(CALL)

    assert "@media (prefers-color-scheme: dark)" in text
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert not re.findall(r"<script|href|@import|@font-face", text)


def test_a_skipped_link_has_no_bar() -> None:
    """It took no time and cost nothing; why is below."""
    skipped = attrs.evolve(FAILED, status=AttemptStatus.SKIPPED)
    event = CallEvent(name="race_skipped", at_ms=5, attributes={"link": "openai:o3", "reason": "budget"})

    root = drawn(attrs.evolve(CALL, attempts=(skipped,), events=(event,)))

    assert bars(root) == []
    assert texts(root)[-2:] == ["at 5 ms openai:o3 was not raced (budget)", "$0.0042 spent, at most $0.0036 more"]


def test_a_call_of_which_little_is_known_is_drawn_as_far_as_it_goes() -> None:
    """No attempts, no price, no time; a race whose rival was lost has no line."""
    bare = CallTree(name="ask", outcome=None, duration_ms=0, attempts=())
    unpriced = attrs.evolve(WON, number=1, cost_usd=None, duration_ms=0, started_ms=0, status=None)
    root = drawn(attrs.evolve(bare, attempts=(unpriced,)))

    assert texts(drawn(bare)) == ["ask · not known after 0 ms", "what it cost is not known"]
    assert "$?" in texts(root)
    assert [kind for kind, *_ in bars(root)] == ["none"]
    assert [path for path in root.iter(f"{SVG}path") if "from" in path.get("class", "")] == []


def test_long_texts_are_cut_before_the_next_column() -> None:
    """The whole is in the title of the row."""
    label = "openai:" + "gpt" * 30
    root = drawn(attrs.evolve(CALL, attempts=(attrs.evolve(FAILED, label=label, error_category="long" * 20),)))

    shown = [text for text in texts(root) if text.endswith("…")]
    assert [len(text) for text in shown] == [38, 21]
    assert label.startswith(shown[0][:-1])
    assert any(label in (title.text or "") for title in root.iter(f"{SVG}title"))


def test_wide_characters_count_twice() -> None:
    """The scripts of East Asia would run into the next column."""
    root = drawn(attrs.evolve(CALL, attempts=(attrs.evolve(FAILED, label="模" * 30),)))

    assert "模" * 18 + "…" in texts(root)


@given(
    name=st.text(st.characters(codec=None), max_size=300),
    times=st.lists(st.tuples(st.floats(-10, 1e7), st.floats(0, 1e7)), max_size=4),
    length=st.floats(0, 1e7),
    triggers=st.lists(st.sampled_from(AttemptTrigger), min_size=4, max_size=4),
    statuses=st.lists(st.sampled_from([*AttemptStatus, None]), min_size=4, max_size=4),
)
def test_any_trace_gives_a_picture_that_parses_and_stays_in_its_columns(
    name: str,
    times: Sequence[tuple[float, float]],
    length: float,
    triggers: Sequence[AttemptTrigger],
    statuses: Sequence[AttemptStatus | None],
) -> None:
    """Markup, control characters and lone surrogates come from outside; times may be any."""
    attempts = tuple(
        attrs.evolve(FAILED, number=number, label=name, status=status, trigger=trigger, started_ms=at, duration_ms=took)
        for number, ((at, took), trigger, status) in enumerate(zip(times, triggers, statuses, strict=False), 1)
    )
    call = attrs.evolve(CALL, name=name, policy=name, session_name=name, duration_ms=length, attempts=attempts)

    root = ET.fromstring(svg(call).encode())

    for _, begin, end in bars(root):
        assert 300 <= begin < end <= 692
    assert all(len(text) <= 130 for text in texts(root))


def run(*arguments: str | Path) -> tuple[int, str, str]:
    """``routeware trace``: its exit code, what it prints, and what it complains of."""
    result = CliRunner().invoke(app, ["trace", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Two calls in a file; the first is the one that did not simply succeed."""
    traced = Traced()
    traced.call("first").attempt("a:b", 0, 10, "failed").attempt("c:d", 10, 20).end(20, routeware__call__selected="c:d")
    traced.call("second", at_ms=1000).attempt("a:b", 0, 10).end(10, routeware__call__selected="a:b")
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(jaeger(traced.spans())), encoding="utf-8")
    return path


def test_the_command_draws_the_call_that_is_worth_a_look(trace: Path, tmp_path: Path) -> None:
    """One call a picture; it says how to choose another."""
    picture = tmp_path / "call.svg"

    code, printed, said = run(trace, "--svg", picture)

    assert (code, printed) == (0, "")
    assert said == f"Drew first as {picture}; a trace id chooses another of 2 calls.\n"
    assert texts(ET.parse(picture).getroot())[0] == "first · succeeded after 20 ms"


def test_a_trace_id_chooses_the_call(trace: Path, tmp_path: Path) -> None:
    """As in the terminal."""
    picture = tmp_path / "call.svg"
    second = next(call.trace_id for call in calls(read_file(str(trace))) if call.name == "second")

    code, _, said = run(trace, second or "", "--svg", picture)

    assert (code, said) == (0, f"Drew second as {picture}.\n")


def test_a_picture_that_cannot_be_written_is_told_in_one_line(trace: Path, tmp_path: Path) -> None:
    """With the exit code of a wrong argument."""
    picture = tmp_path / "nowhere" / "call.svg"

    assert run(trace, "--svg", picture) == (2, "", f"routeware: cannot write {picture}: No such file or directory\n")


def test_the_picture_in_the_readme_is_what_the_command_draws() -> None:
    """From the trace beside it, so the picture and the code cannot diverge."""
    (call,) = calls(read_file(str(IMAGES / "call.json")))

    assert (IMAGES / "call.svg").read_text(encoding="utf-8") == svg(call)
    assert {attempt.status for attempt in call.attempts} == {
        AttemptStatus.FAILED,
        AttemptStatus.RACE_LOST,
        AttemptStatus.SUCCEEDED,
    }


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs a chromium")
@pytest.mark.parametrize(("scheme", "background"), [("1", (255, 255, 255)), ("0", (13, 17, 23))])
def test_a_browser_draws_it_light_and_dark(tmp_path: Path, scheme: str, background: tuple[int, int, int]) -> None:
    """The page's colour follows what the reader prefers."""
    image = pytest.importorskip("PIL.Image")
    picture = tmp_path / "call.svg"
    picture.write_text(svg(CALL), encoding="utf-8")

    shot = tmp_path / "shot.png"
    browser = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--screenshot={shot}"]
    options = [f"--blink-settings=preferredColorScheme={scheme}", f"--user-data-dir={tmp_path}/profile"]
    subprocess.run([*browser, *options, picture.as_uri()], capture_output=True, timeout=100, check=True)

    with image.open(shot) as drawn_page:
        assert drawn_page.convert("RGB").getpixel((12, 12)) == background
