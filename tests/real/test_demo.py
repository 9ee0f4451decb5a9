"""The demo as a whole, on real sockets with few requests: what it shows, what it leaves, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import attrs
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typer.testing import CliRunner

from routeware import AttemptStatus, RoutingPolicy
from routeware.cli.app import app
from routeware.demo.run import Result, Stage, run
from routeware.demo.scenes import Scene, own_scene, packaged_scenes
from routeware.lab.calls import calls
from routeware.lab.reading import read_file

SEED = 5
POLICY = RoutingPolicy.from_dict(
    {
        "label": "demo",
        "chain": [
            {"provider": "openai", "model": "gpt-4o-2024-05-13", "max_output_tokens": 256},
            {"provider": "anthropic", "model": "claude-3-5-sonnet-20240620", "max_output_tokens": 256},
            {"provider": "google", "model": "gemini-1.5-flash-preview-0514", "max_output_tokens": 256},
        ],
        "failover": {"on_error_kinds": ["default", "auth", "not_found"], "on_timeout_ms": 20_000},
        "latency": {"race_after_ms": 1_500},
    }
)
FEW = 60


def routeware(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, its output in pipes."""
    command = [sys.executable, "-m", "routeware", *map(str, arguments)]
    surroundings = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200, env=surroundings)


async def ran(scene: Scene | RoutingPolicy, requests: int = FEW, seed: int = SEED, speed_up: float = 10.0) -> Result:
    """A run that nobody watches."""
    one = own_scene(scene) if isinstance(scene, RoutingPolicy) else scene
    (result,) = await run([one], requests=requests, seed=seed, on_done=lambda _scene, _stage: None, speed_up=speed_up)
    return result


def packaged(name: str) -> Scene:
    """A scene that comes with the demo."""
    return next(scene for scene in packaged_scenes() if scene.name == name)


class Collector:
    """Takes spans over OTLP/HTTP, or turns them down with another status."""

    def __init__(self, status: int = 200) -> None:
        self.paths: list[str] = []
        self.spans: list[Any] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quietly."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, path: str, body: bytes) -> None:
        self.paths.append(path)
        sent = ExportTraceServiceRequest.FromString(body)
        self.spans += [
            span for resource in sent.resource_spans for scope in resource.scope_spans for span in scope.spans
        ]

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def collector() -> Generator[Collector]:
    """One that takes everything."""
    with Collector() as one:
        yield one


async def test_a_race_is_worth_it_where_a_provider_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The promise: more requests are answered within the target, for a backup now and then."""
    # At half of the providers' own speed: what a busy machine needs for itself counts little.
    monkeypatch.setattr("routeware.demo.run.CONCURRENCY", 100)
    result = await ran(packaged("stalls"), requests=300, speed_up=1.5)

    assert result.bare.on_time is not None
    assert result.routed.on_time is not None
    assert result.routed.on_time > result.bare.on_time
    assert 5 < result.routed.raced < 150


async def test_streams_begin_in_time_and_end_where_they_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Racing brings first items; the idle time-out ends what stops later; and the money adds up."""
    monkeypatch.setattr("routeware.demo.run.CONCURRENCY", 40)
    result = await ran(packaged("streams"), requests=200, speed_up=3.0)

    assert result.bare.on_time is not None
    assert result.routed.on_time is not None
    assert result.routed.on_time > result.bare.on_time
    assert result.bare.stalled > 0
    assert result.routed.stalled > 0
    assert result.money.adds_up


async def test_an_even_provider_is_not_raced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target finds out that it is met anyway."""
    monkeypatch.setattr("routeware.demo.run.CONCURRENCY", 60)
    result = await ran(packaged("even"), requests=300, speed_up=1.5)

    assert result.report is not None
    assert result.report.source == "none"
    assert result.routed.raced < 30


async def test_in_an_outage_all_routed_requests_are_answered() -> None:
    """A third of the bare ones are not."""
    result = await ran(packaged("outage"))

    assert result.bare.answered <= FEW * 2 // 3
    assert result.routed.answered == FEW
    assert result.bare.p95_ms is None
    assert 0 < result.met_incident <= FEW // 3 + 1


async def test_the_money_adds_up_to_the_last_digit() -> None:
    """The records of all calls beside the session's books; losers and lost connections are uncertain, not free."""
    result = await ran(POLICY)

    assert result.money.adds_up
    assert result.money.session_settled > 0
    assert result.money.session_uncertain > 0


async def test_it_adds_up_when_the_budget_ends_before_the_requests() -> None:
    """Refused calls are not answered, cost nothing, and stop nobody else."""
    policy = RoutingPolicy.from_dict({**POLICY.to_dict(), "budget": {"session_usd": 0.1}})

    result = await ran(policy)

    assert 0 < result.routed.answered < FEW
    assert result.money.adds_up
    assert result.routed.spent_usd + (result.routed.uncertain_usd or 0) <= 0.1


async def test_every_request_is_counted_and_told_in_both_runs() -> None:
    """The bars reach their ends."""
    told: list[tuple[str, Stage]] = []
    scene = own_scene(POLICY)

    (result,) = await run(
        [scene], requests=30, seed=SEED, speed_up=10.0, on_done=lambda scene, stage: told.append((scene.name, stage))
    )

    assert told == [("own", Stage.BARE)] * 30 + [("own", Stage.ROUTED)] * 30
    assert (result.bare.requests, result.routed.requests) == (30, 30)
    assert result.routed.attempts >= 30


async def test_the_drawn_call_failed_over_or_raced_and_its_spans_are_there() -> None:
    """One for the call, one for each attempt, in the providers' own time."""
    result = await ran(POLICY)

    assert result.call is not None
    assert {attempt.status for attempt in result.call.attempts} > {AttemptStatus.SUCCEEDED}
    assert len(result.spans_of_call()) == 1 + len(result.call.attempts)
    (root,) = (span for span in result.spans_of_call() if span.parent is None)
    assert root.start_time is not None
    assert root.end_time is not None
    assert (root.end_time - root.start_time) / 1e6 == pytest.approx(result.call.duration_ms, rel=0.5)


def test_a_person_sees_four_scenes_the_sums_and_a_waterfall() -> None:
    """In a pipe without colours or bars, in 80 columns."""
    done = routeware("demo", "--requests", FEW, "--seed", SEED)

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for words in ("bare", "routed", "answered", "spent", "uncertain", "wasted", "adds up", "most telling"):
        assert words in done.stdout
    for title in ("1  An even provider", "2  A provider with stalls", "3  An outage", "4  Streams that stall"):
        assert title in done.stdout
    assert "openai:gpt-4o-2024-05-13" in done.stdout
    assert "\x1b" not in done.stdout
    assert max(len(line.rstrip()) for line in done.stdout.splitlines()) <= 80


def test_a_script_gets_json_and_nothing_else() -> None:
    """All that the tables say, and the call's record."""
    done = routeware("demo", "--requests", FEW, "--seed", SEED, "--json")
    told = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (0, "")
    assert told["seed"] == SEED
    assert [scene["scene"] for scene in told["scenes"]] == ["even", "stalls", "outage", "streams"]
    for scene in told["scenes"]:
        assert scene["requests"] == FEW
        assert scene["routed"]["answered"] >= scene["bare"]["answered"]
        assert scene["money"]["adds_up"] is True
        assert set(scene["changes"]) == {"p50", "p95", "p99"}
        assert set(scene["pace"]) == {"loop_lag_ms", "overhead_ms", "busy"}
        assert RoutingPolicy.from_dict(scene["policy"]) == packaged(scene["scene"]).policy
    assert told["call"]["attempts"]


def test_one_scene_can_be_shown() -> None:
    """By its name; one that there is not is an error with those that there are."""
    done = routeware("demo", "--scene", "outage", "--requests", 20, "--json")
    wrong = CliRunner().invoke(app, ["demo", "--scene", "storm"])

    assert [scene["scene"] for scene in json.loads(done.stdout)["scenes"]] == ["outage"]
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert wrong.stderr == "routeware: there is no scene 'storm'; there are even, stalls, outage, streams\n"


def test_spans_reach_a_collector(collector: Collector) -> None:
    """A call and its attempts each, where OTLP/HTTP wants them."""
    done = routeware("demo", "--scene", "outage", "--requests", FEW, "--otlp", collector.url, "--json")
    (told,) = json.loads(done.stdout)["scenes"]

    assert done.returncode == 0, done.stderr
    assert set(collector.paths) == {"/v1/traces"}
    assert len(collector.spans) == FEW + told["routed"]["attempts"]
    assert done.stderr == f"Exported {len(collector.spans)} spans to {collector.url}/v1/traces.\n"


def test_a_collector_that_turns_spans_down_is_told_in_one_line() -> None:
    """After the result, which is not lost for it."""
    with Collector(status=400) as collector:
        done = routeware("demo", "--scene", "even", "--requests", 5, "--otlp", collector.url)

    assert done.returncode == 1
    assert "An even provider" in done.stdout
    assert done.stderr.startswith(f"routeware: {collector.url}/v1/traces did not take the spans: ")
    assert done.stderr.count("\n") == 1


def test_a_saved_trace_is_one_that_trace_draws(tmp_path: Path) -> None:
    """The call that was drawn, in Jaeger's form."""
    file = tmp_path / "trace.json"

    done = routeware("demo", "--scene", "stalls", "--requests", FEW, "--save", file, "--json")
    (call,) = calls(read_file(file))
    told = json.loads(done.stdout)["call"]

    assert done.returncode == 0, done.stderr
    assert done.stderr == f"Saved that call's trace as {file}.\n"
    assert call.trace_id == told["trace_id"]
    assert [bar.status for bar in call.attempts] == [attempt["status"] for attempt in told["attempts"]]
    assert call.duration_ms == pytest.approx(told["duration_ms"], rel=0.5)


def test_without_tracing_there_is_no_waterfall_and_nothing_to_save(tmp_path: Path) -> None:
    """OpenTelemetry can be switched off by its own variable; the table is there all the same."""
    file = tmp_path / "trace.json"

    done = routeware("demo", "--scene", "even", "--requests", 5, "--save", file, OTEL_SDK_DISABLED="true")

    assert done.returncode == 1
    assert "attempts" in done.stdout
    assert "most telling" not in done.stdout
    assert done.stderr == "routeware: no trace to save: OpenTelemetry is switched off (OTEL_SDK_DISABLED)\n"
    assert not file.exists()


async def test_money_that_does_not_add_up_is_said_and_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo checks itself; a check that cannot fail is none."""
    result = await ran(POLICY, requests=5)
    wrong = attrs.evolve(result.money, records_settled=result.money.records_settled + 1)
    monkeypatch.setattr("routeware.cli.demo._run", lambda *_: (attrs.evolve(result, money=wrong),))

    done = CliRunner().invoke(app, ["demo"])

    assert done.exit_code == 1
    assert "The money of own does not add up: the records say $" in done.stdout
    assert done.stderr == "routeware: the money does not add up\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
async def test_a_file_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The result has been shown by then."""
    result = await ran(POLICY, requests=5)
    monkeypatch.setattr("routeware.cli.demo._run", lambda *_: (result,))

    done = CliRunner().invoke(app, ["demo", "--save", "/dev/full"])

    assert done.exit_code == 1
    assert done.stderr == "routeware: cannot write /dev/full: No space left on device\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--otlp", "http://127.0.0.1:9"], "nothing listens at http://127.0.0.1:9/v1/traces"),
        (["--otlp", "localhost:4318"], "is not an address like http://localhost:4318"),
        (["--save", "/no/such/folder/trace.json"], "its folder is not there"),
        (["--save", "/"], "this is a folder"),
        (["--policy", "/no/such/policy.toml"], "/no/such/policy.toml: No such file"),
        (["--policy", "/no/such/policy.toml", "--scene", "even"], "give --scene or --policy"),
    ],
)
def test_what_cannot_succeed_fails_before_the_run(arguments: list[str], words: str) -> None:
    """In one line, with exit code 2, and at once."""
    done = CliRunner().invoke(app, ["demo", *arguments])

    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('chain = ["groq:x"]', "the demo has no provider 'groq'"),
        ('chain = ["openai:x"]\n[latency]\nrace_after_ms = "soon"', "latency.race_after_ms"),
    ],
)
def test_a_policy_that_does_not_fit_is_told_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    """Like any wrong argument."""
    file = tmp_path / "policy.toml"
    file.write_text(text)

    done = CliRunner().invoke(app, ["demo", "--policy", str(file)])

    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_another_policy_is_used_and_priced(tmp_path: Path) -> None:
    """Other order, no prices of its own: the providers' list prices serve."""
    file = tmp_path / "policy.toml"
    file.write_text('label = "mine"\nchain = ["google:x", "openai:y"]\n')

    (told,) = json.loads(routeware("demo", "--requests", 20, "--policy", file, "--json").stdout)["scenes"]

    assert told["policy"]["label"] == "mine"
    assert told["bare"]["spent_usd"] > 0
    assert told["routed"]["spent_usd"] > 0


def children(pid: int) -> list[int]:
    """The processes that this one has started."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def within_a_minute(condition: Any) -> bool:
    """Whether it comes true in that time."""
    until = time.monotonic() + 60
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return bool(condition())


@pytest.fixture
def heard_interrupts() -> Iterator[None]:
    """Let a child process hear Ctrl-C, though this process may have inherited SIGINT as ignored.

    A shell starts background jobs that way. An ignored signal stays ignored across an exec; a handled one is reset.
    """
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard_interrupts")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the providers' process in /proc")
@pytest.mark.parametrize("after_s", [0.0, 1.5])
def test_ctrl_c_ends_it_cleanly(after_s: float) -> None:
    """Starting or running: one line, exit code 130, no traceback, and the providers are gone."""
    command = [sys.executable, "-m", "routeware", "demo", "--requests", "20000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert within_a_minute(lambda: children(demo.pid))
        (servers,) = children(demo.pid)
        time.sleep(after_s)

        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=100)

    assert (demo.returncode, out, err) == (130, "", "routeware: interrupted\n")
    with pytest.raises(ProcessLookupError):
        os.kill(servers, 0)
