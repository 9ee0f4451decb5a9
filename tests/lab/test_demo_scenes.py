"""What the demo says about its own figures: late or not, chance or not, and whether the machine kept up."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import AsyncIterator
from math import inf
from typing import Any

import attrs
import pytest
from rich.console import Console

from routeware import Attempt, Price, RoutingPolicy, routed
from routeware.cli import demo_screen
from routeware.cli.demo_screen import pace_of, verdict
from routeware.demo.draws import Incident
from routeware.demo.run import Reply, Result, ask_bare, most_telling
from routeware.demo.scenes import Scene, in_own_time, own_scene, packaged_scenes
from routeware.demo.tally import (
    MOST_LAG_MS,
    Answer,
    Change,
    Pace,
    changes,
    measured_lag,
    money,
    quantile,
    tally,
)
from routeware.threshold import LatencyReport, RaceSource

EVEN, STALLS, OUTAGE, STREAMS = packaged_scenes()
ON_TIME = Pace(loop_lag_ms=20.0, overhead_ms=60.0)
LATE = Pace(loop_lag_ms=20.0, overhead_ms=MOST_LAG_MS + 1.0)


def change(before: list[float], after: list[float], q: float, *, seed: int) -> Change:
    """The change of one quantile."""
    return changes(before, after, {"q": q}, seed=seed)["q"]


def lasting(seed: int, requests: int = 400) -> list[float]:
    """Latencies in milliseconds; one in thirty is not answered."""
    drawn = random.Random(seed)
    return [inf if drawn.random() < 1 / 30 else 1000 * drawn.lognormvariate(0, 0.6) for _ in range(requests)]


def test_a_quantile_that_was_not_answered_is_not_known() -> None:
    """A twentieth of the requests had no answer: their 99th percentile is no time at all."""
    values = [*map(float, range(95)), *[inf] * 5]

    assert quantile(values, 0.5) == pytest.approx(49.5)
    assert quantile(values, 0.99) is None
    assert quantile([], 0.5) is None


def test_a_change_that_chance_makes_is_called_noise() -> None:
    """The same latencies in another order differ by nothing; half of them differ for sure."""
    before = [min(each, 9000.0) for each in lasting(1)]

    same = change(before, random.Random(3).sample(before, len(before)), 0.95, seed=1)
    half = change(before, [each / 2 for each in before], 0.95, seed=1)

    assert same.noise
    assert half.value == pytest.approx(-0.5)
    assert half.low == pytest.approx(-0.5)
    assert not half.noise


def test_the_interval_holds_the_truth_in_nine_of_ten_runs() -> None:
    """Two providers with the same distribution: 90 of 100 intervals hold 0, give or take what chance does to that."""
    held = 0
    for seed in range(60):
        found = change(lasting(seed), lasting(1000 + seed), 0.9, seed=seed)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0 <= found.high

    assert 48 <= held <= 60


def test_an_interval_with_an_end_that_nobody_knows_has_none() -> None:
    """Where some resamples have no such quantile, how bad it may be is not known."""
    values = [*[100.0] * 94, *[inf] * 6]

    found = change(values, [100.0] * 100, 0.93, seed=1)

    assert (found.value, found.low, found.high, found.noise) == (0.0, None, None, True)
    assert change([inf], [1.0], 0.5, seed=1) == Change(value=None, low=None, high=None)


async def test_a_loop_that_is_held_up_is_noticed() -> None:
    """Its timers ring late."""
    async with measured_lag() as lags:
        await asyncio.sleep(0.1)

    assert len(lags) >= 10
    pace = Pace.of([*lags, 0.05, 0.05], [10.0], speed_up=10.0)
    assert pace.busy
    assert pace.loop_lag_ms > MOST_LAG_MS
    assert not Pace.of([0.001], [10.0], speed_up=10.0).busy
    assert Pace.of([], [], speed_up=10.0) == Pace(loop_lag_ms=0.0, overhead_ms=0.0)


def test_an_incident_befalls_the_requests_of_its_time() -> None:
    """The outage is in the second third, the stalls are all the time, and nothing befalls the even provider."""
    assert (EVEN.during(300), STALLS.during(300), OUTAGE.during(300)) == (range(0), range(300), range(100, 200))
    assert own_scene(OUTAGE.policy).during(300) == range(0)


def answers(waited: list[float], raced: int = 0) -> list[Answer]:
    """What came of requests that waited so long; the first of them raced."""
    return [
        Answer(took_ms=min(each, 1e6), answered=each < inf, cost_nanos=1000, raced=number < raced)
        for number, each in enumerate(waited)
    ]


def report(source: RaceSource) -> LatencyReport:
    """What a target has led to."""
    return LatencyReport(
        target_ms=2600,
        race_after_ms=None,
        race_share=0.0,
        source=source,
        swapped=False,
        allowed_share=0.05,
        best_miss_share=0.0,
        links=(),
    )


def result(scene: Scene, before: list[float], after: list[float], **settings: Any) -> Result:
    """A scene's result, from what its requests waited."""
    bare, routed = answers(before), answers(after, raced=settings.pop("raced", 0))
    target_ms = scene.policy.latency.target_ms
    given: dict[str, Any] = {"pace": ON_TIME, "report": None, **settings}
    return Result(
        scene=scene,
        seed=1,
        speed_up=10.0,
        bare=tally(bare, target_ms),
        routed=tally(routed, target_ms),
        changes={name: change(before, after, q, seed=1) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))},
        money=money(routed, 0.0, 0.0, 1.0),
        raced_at=tuple(number for number, each in enumerate(routed) if each.raced),
        met_incident=given.pop("met_incident", 0),
        call=None,
        spans=(),
        **given,
    )


def test_an_even_provider_is_said_not_to_be_worth_racing() -> None:
    """With what it took to find out."""
    found = result(EVEN, lasting(1), lasting(1), report=report(RaceSource.NONE), raced=7)
    none = result(EVEN, lasting(1), lasting(1), report=report(RaceSource.NONE))

    assert "Racing is not worth it here" in verdict(found)
    assert "7 calls started a backup, 7 of them in the first 120 requests" in verdict(found)
    assert "no call started a backup" in verdict(none)


def test_a_race_is_said_to_be_worth_it_where_chance_does_not_do_as_much() -> None:
    """With the share of calls that raced; where chance does, that is said."""
    before = [each if each < inf else 9000.0 for each in lasting(1)]
    better = result(STALLS, before, [each / 2 for each in before], report=report(RaceSource.FITTED), raced=40)
    worse = result(STALLS, before, [each * 2 for each in before], report=report(RaceSource.FITTED), raced=40)
    same = result(STALLS, before, random.Random(3).sample(before, 400), report=report(RaceSource.FITTED), raced=40)

    assert verdict(better) == "10% of the calls started a backup, and p95 is 50% lower."
    assert verdict(worse).endswith("p95 is 100% higher.")
    assert "cannot be told from chance with 400 requests" in verdict(same)


def test_a_busy_machine_is_told_instead_of_its_times() -> None:
    """No table of nonsense: the counts and the money stand, the times do not."""
    found = result(STALLS, lasting(1), lasting(2), report=report(RaceSource.FITTED), raced=40, pace=LATE)

    assert "too busy to time this" in pace_of(found)
    assert verdict(found) == "10% of the calls started a backup."
    assert demo_screen._time_rows(found) == []
    assert pace_of(result(STALLS, lasting(1), lasting(2))) == ""


def test_an_outage_is_told_with_who_was_answered() -> None:
    """And what each call still pays for."""
    before = [inf if 100 <= number < 200 else 900.0 for number in range(300)]

    spared = verdict(result(OUTAGE, before, [900.0] * 300, met_incident=25))
    all_of_them = verdict(result(OUTAGE, before, [900.0] * 300, met_incident=100))

    assert "openai was out for requests 101 to 200: 100 of 300 bare requests had no answer, and 0" in spared
    assert "25 of the 100 routed calls of that time asked openai and waited for its error; cooldown" in spared
    assert all_of_them.endswith("100 of the 100 routed calls of that time asked openai and waited for its error.")


def test_streams_are_told_with_their_first_items_and_those_that_stalled_in_the_middle() -> None:
    """With what losers of races may have cost; nothing of it where that is not known."""
    before = [each if each < inf else 9000.0 for each in lasting(1)]
    found = result(STREAMS, before, [each / 2 for each in before], report=report(RaceSource.FITTED), raced=40)
    bare, routed = attrs.evolve(found.bare, stalled=9), attrs.evolve(found.routed, stalled=7, wasted_usd=0.0312)

    told = verdict(attrs.evolve(found, bare=bare, routed=routed))
    unknown = verdict(attrs.evolve(found, bare=bare, routed=attrs.evolve(routed, wasted_usd=None)))

    assert "and the p95 of the time to the first item is 50% lower." in told
    assert "Bare, 9 streams stalled in the middle for more than 4 s, and their readers waited." in told
    assert "idle_timeout_ms cut 7 off" in told
    assert told.endswith("Losers and failed attempts cost $0.0312 at most.")
    assert unknown.endswith("and an error.")


async def test_a_bare_stream_is_timed_to_its_first_item_and_waits_a_stall_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an idle time-out nothing counts as a stall; usage comes with the last event."""
    monkeypatch.setattr("routeware.demo.run.perf_counter", asyncio.get_running_loop().time)

    async def stream(_number: int) -> AsyncIterator[Reply]:
        await asyncio.sleep(0.01)
        yield {"choices": []}
        await asyncio.sleep(0.05)
        yield {"choices": [], "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0}}

    price = Price(input_usd_per_mtok=2.0)
    patient, watched = [await ask_bare(stream, price, 1, 1.0, idle_ms) for idle_ms in (None, 20.0)]

    assert (patient.stalled, watched.stalled) == (False, True)
    assert patient.took_ms == pytest.approx(10)
    assert patient.cost_nanos == 2_000_000_000
    assert tally([patient, watched]).stalled == 1


async def test_a_stream_in_its_providers_time_has_its_first_item_there() -> None:
    """Ten times as late as it was here."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(_attempt: Attempt) -> AsyncIterator[str]:
        yield "item"

    call = (await ask.outcome()).record

    slow = in_own_time(call, 10.0)

    assert call.first_item_ms is not None
    assert slow.first_item_ms == pytest.approx(10 * call.first_item_ms)
    assert slow.attempts[0].first_item_ms == pytest.approx(10 * (call.attempts[0].first_item_ms or 0.0))


def test_intervals_stand_in_the_table() -> None:
    """A change is shown with its interval, noise by its name, and what is not known without a figure."""
    before = [each if each < inf else 9000.0 for each in lasting(1)]
    rows = {row[0]: row[1:] for row in demo_screen._time_rows(result(STALLS, before, [each / 2 for each in before]))}

    assert set(rows) == {"within 2,600 ms", "p50", "p95", "p99"}
    assert rows["p95"][2:] == ("-50%", "(-50% to -50%)")
    assert demo_screen._changed(Change(value=0.01, low=-0.1, high=0.1)) == ("+1%", "(-10% to +10%), noise")
    assert demo_screen._changed(Change(value=0.01, low=None, high=None)) == ("+1%", "(interval not known)")
    assert demo_screen._changed(Change(value=None, low=None, high=None)) == ("", "")


@pytest.mark.parametrize("width", [40, 60, 80])
def test_the_table_is_whole_in_a_narrow_terminal(width: int) -> None:
    """Words wrap, and a change's interval goes below it; nothing is cut."""
    before = [each if each < inf else 9000.0 for each in lasting(1)]
    found = result(STREAMS, before, [each / 2 for each in before])
    console = Console(width=width, file=io.StringIO())

    console.print(demo_screen._table(found, width))

    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    words = set(shown.split())
    assert {"first", "item", "within", "2,600", "stalled", "uncertain", "400", "(100.0%)", "-50%", "$0.0004"} <= words


def test_the_scene_whose_call_shows_most_is_drawn() -> None:
    """Without any call, the first scene."""
    first, second = result(EVEN, [1.0], [1.0]), result(STALLS, [1.0], [1.0])

    assert most_telling([first, second]) is first
    assert demo_screen.document([first, second])["call"] is None


def test_a_policy_of_ones_own_is_a_scene_without_incident() -> None:
    """Its providers are as they were recorded."""
    scene = own_scene(RoutingPolicy(chain=["openai:x"]))

    assert (scene.name, scene.provider, scene.incident) == ("own", "openai", None)
    assert attrs.evolve(scene, incident=Incident.STALLS).during(10) == range(10)
