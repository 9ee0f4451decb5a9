"""The learner: from attempts as they end to what the next call does. Time and chance are the test's own."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routeware import LatencyRules
from routeware.threshold import (
    Decision,
    LatencyReport,
    Learner,
    LinkHistory,
    Observation,
    RaceSource,
    Window,
    target_event,
)
from routeware.threshold.feedback import has_slowed

USUAL = 0.999
"""A draw that no rare choice falls on."""


class Scene:
    """A learner, what it remembers, and calls that end as the test says."""

    def __init__(self, draw: Callable[[], float] = lambda: USUAL, **settings: float | bool | None) -> None:
        self.rules = LatencyRules(**{"target_p95_ms": 1000, "race_after_ms": 1000, **settings})
        self.first, self.second = LinkHistory("a:1"), LinkHistory("b:1")
        self.now = 0.0
        self.learner = Learner(self.rules, [self.first, self.second], draw, by_size=self.rules.by_size)
        self.told: list[object] = []

    def call(self, primary_s: float | None, backup_s: float = 0.3, size: float | None = None) -> Decision:
        """Play one call; a primary of ``None`` hangs."""
        self.now += 1.0
        decision = self.learner.decide(size)
        lasts = [60.0 if primary_s is None else primary_s, backup_s]
        first, second = self.first, self.second
        if decision.swap:
            first, second = second, first
            lasts.reverse()
        after_s = decision.race_after_s
        ends = lasts[0] if after_s is None else min(lasts[0], after_s + lasts[1])
        first.as_primary.add(ends, Observation.ANSWERED if ends == lasts[0] else Observation.CENSORED, self.now, size)
        if after_s is not None and lasts[0] > after_s:
            won = after_s + lasts[1] <= lasts[0]
            second.as_backup.add(
                lasts[1] if won else ends - after_s,
                Observation.ANSWERED if won else Observation.CENSORED,
                self.now,
                size,
            )
        self.told.append(self.learner.call_ended(decision, ends, answered=True, now=self.now))
        return decision

    def calls(self, count: int, primary_s: Callable[[int], float | None], backup_s: float = 0.3) -> None:
        for call in range(count):
            self.call(primary_s(call), backup_s)


def one_in(times: int, slow_s: float | None) -> Callable[[int], float | None]:
    """Quick, but for every so many calls."""
    return lambda call: slow_s if call % times == times - 1 else 0.1


def test_few_data_leave_it_at_the_policys_own_threshold() -> None:
    """``race_after_ms`` serves until there are 30 samples."""
    scene = Scene(race_after_ms=700)
    scene.calls(29, one_in(5, 5.0))

    assert scene.learner.decide() == Decision(0.7, RaceSource.PRIOR)

    scene.call(0.1)
    assert scene.learner.decide().source is RaceSource.FITTED


def test_the_threshold_is_the_latest_that_meets_the_target() -> None:
    """Backups answer in 0.3 s, so 0.7 s is early enough for a target of 1 s; 16 of the 24 steps to it are."""
    scene = Scene()
    scene.calls(200, one_in(5, 5.0))

    assert scene.learner.decide() == Decision(pytest.approx(16 / 24), RaceSource.FITTED)


def test_race_after_is_the_latest_start_of_a_fitted_threshold() -> None:
    """The policy's threshold stays a bound."""
    scene = Scene(race_after_ms=400)
    scene.calls(200, one_in(5, 5.0))

    assert scene.learner.decide() == Decision(0.4, RaceSource.FITTED)


def test_a_target_that_is_met_anyway_is_not_raced_for() -> None:
    """One call in fifty is late: that is what a 95th percentile allows."""
    scene = Scene()
    scene.calls(200, one_in(50, 5.0))

    assert scene.learner.decide() == Decision(None, RaceSource.NONE)


def test_a_rare_call_races_at_once_to_learn_the_backup() -> None:
    """Before it is needed; the draw decides which."""
    scene = Scene(lambda: 0.001, explore=0.01)

    assert scene.learner.decide() == Decision(0.0, RaceSource.EXPLORED)


def test_without_extra_attempts_nothing_is_explored_and_nothing_raced() -> None:
    """A share of 0 means none, in the beginning too."""
    for draw in (0.0, USUAL):
        scene = Scene(lambda draw=draw: draw, max_extra=0.0)
        scene.calls(100, one_in(5, 5.0))

        assert scene.learner.decide().race_after_s is None


def test_a_backup_that_is_not_known_is_taken_for_the_primary() -> None:
    """Its curve counts as much as twenty attempts: half of the primary's take 0.1 s, and half is what it needs."""
    first, second = LinkHistory("a:1"), LinkHistory("b:1")
    for call in range(300):
        first.as_primary.add(5.0 if call % 10 == 0 else 0.1, Observation.ANSWERED, now=0.0)

    learner = Learner(LatencyRules(target_p95_ms=1000, race_after_ms=1000), [first, second], lambda: USUAL)
    assert learner.decide() == Decision(pytest.approx(21 / 24), RaceSource.FITTED)

    for _ in range(60):
        second.as_backup.add(0.3, Observation.ANSWERED, now=0.0)
    learner = Learner(LatencyRules(target_p95_ms=1000, race_after_ms=1000), [first, second], lambda: USUAL)
    assert learner.decide() == Decision(pytest.approx(16 / 24), RaceSource.FITTED)


def test_an_unreachable_target_is_told_once_with_the_best_share() -> None:
    """Half of the calls hang, and so does every backup."""
    scene = Scene(random.Random(6).random, max_extra=1)
    scene.calls(400, one_in(2, None), backup_s=60.0)

    told = [report for report in scene.told if report is not None]
    assert len(told) == 1
    assert scene.told.index(told[0]) < 100
    report = scene.learner.report()
    assert report.source is RaceSource.INFEASIBLE
    assert report.best_miss_share is not None
    assert report.best_miss_share > 0.3


def test_an_unreachable_target_is_not_bought_at_any_price() -> None:
    """Backups that never answer in time save nothing, so none is started."""
    scene = Scene(random.Random(7).random, max_extra=1, explore=0)
    scene.calls(400, one_in(2, None), backup_s=60.0)

    assert scene.learner.decide() == Decision(None, RaceSource.INFEASIBLE)


def test_misses_move_the_allowed_share_slowly() -> None:
    """Up by 0.00005 for a call in time, down by 0.00095 for a miss."""
    scene = Scene()
    fitted = Decision(0.5, RaceSource.FITTED)

    scene.learner.call_ended(fitted, 0.5, answered=True, now=1.0)
    assert scene.learner.report().allowed_share == pytest.approx(0.05005)

    scene.learner.call_ended(fitted, 1.5, answered=True, now=2.0)
    assert scene.learner.report().allowed_share == pytest.approx(0.0491)


def test_the_allowed_share_stays_within_its_bounds() -> None:
    """2 % to 8 %."""
    scene = Scene()
    fitted = Decision(0.5, RaceSource.FITTED)

    for _ in range(200):
        scene.learner.call_ended(fitted, 1.5, answered=True, now=1.0)
    assert scene.learner.report().allowed_share == 0.02

    for _ in range(2000):
        scene.learner.call_ended(fitted, 0.5, answered=True, now=1.0)
    assert scene.learner.report().allowed_share == 0.08


@pytest.mark.parametrize(
    "decision",
    [
        Decision(None, RaceSource.NONE),
        Decision(0.5, RaceSource.PRIOR),
        Decision(0.5, RaceSource.INFEASIBLE),
        Decision(0.0, RaceSource.EXPLORED),
        Decision(0.5, RaceSource.FITTED, swap=True),
    ],
)
def test_where_the_rule_does_not_race_the_allowed_share_is_frozen(decision: Decision) -> None:
    """In easy times it would wind up, and the next bad hour would miss for thousands of calls."""
    scene = Scene()
    for _ in range(500):
        scene.learner.call_ended(decision, 0.1, answered=True, now=1.0)

    assert scene.learner.report().allowed_share == 0.05


def test_a_call_that_was_given_up_early_says_nothing_about_misses() -> None:
    """It has no result, and was not late either; given up after the target, it was."""
    scene = Scene()
    fitted = Decision(0.5, RaceSource.FITTED)

    scene.learner.call_ended(fitted, 0.9, answered=False, now=1.0)
    assert scene.learner.report().allowed_share == 0.05

    scene.learner.call_ended(fitted, 1.1, answered=False, now=1.0)
    assert scene.learner.report().allowed_share < 0.05


def test_unusual_misses_are_acted_upon_at_once() -> None:
    """A primary that begins to hang is raced within a dozen calls, not after the next 64."""
    scene = Scene()
    scene.calls(300, one_in(1000, None))
    assert scene.learner.decide() == Decision(None, RaceSource.NONE)

    scene.calls(12, lambda _call: None)

    assert scene.learner.decide().race_after_s is not None


def test_a_spell_of_misses_does_not_erase_what_is_known() -> None:
    """Chance makes ten misses in forty calls now and then; only windows that show a change are cut."""
    scene = Scene()
    scene.calls(300, one_in(4, 5.0), backup_s=0.3)
    fitted = scene.learner.decide()
    for _ in range(9):
        scene.learner.call_ended(fitted, 1.1, answered=True, now=scene.now)

    assert len(scene.first.as_primary) == 300


def test_a_change_erases_what_was_before() -> None:
    """A primary that hangs is another world: what it was before says nothing."""
    scene = Scene()
    scene.calls(300, one_in(1000, None))
    scene.calls(25, lambda _call: None)

    assert len(scene.first.as_primary) < 100


def test_a_link_that_only_fails_has_not_become_slow() -> None:
    """Errors are no latencies, so what is known of its answers stays."""
    window = Window()
    for call in range(100):
        window.add(0.1, Observation.ANSWERED if call < 80 else Observation.FAILED, now=float(call))

    assert not has_slowed(window, lambda _size: 0, [1.0], [0.0], least=0.05)


def test_under_a_cap_the_allowed_share_does_not_fall_further() -> None:
    """What the cap forbids is not to be had by aiming lower; a share that is low already may rise again."""
    scene = Scene()
    capped = Decision(0.1, RaceSource.CAPPED)
    for _ in range(100):
        scene.learner.call_ended(capped, 1.5, answered=True, now=1.0)

    assert scene.learner.report().allowed_share == 0.05


def test_under_a_cap_a_share_of_the_calls_races() -> None:
    """The others are marked as capped, too, and wait."""
    chance = random.Random(4).random
    scene = Scene(chance, max_extra=0.1, explore=0)
    scene.calls(1000, one_in(3, 5.0))

    decisions = [scene.learner.decide() for _ in range(1000)]
    raced = [decision for decision in decisions if decision.race_after_s is not None]
    assert {decision.source for decision in decisions} == {RaceSource.CAPPED}
    assert 200 < len(raced) < 400  # a third of these is late: a tenth of all calls


def test_in_an_outage_the_backup_is_asked_first_and_a_tenth_of_the_calls_probes() -> None:
    """Where the policy allows it; and the order comes back when the primary does."""
    chance = random.Random(5).random
    scene = Scene(chance, swap_in_outage=True, max_extra=1)
    scene.calls(300, one_in(10, 5.0))
    scene.calls(200, lambda _call: None)

    assert scene.learner.report().swapped
    swapped = [scene.learner.decide().swap for _ in range(1000)]
    assert 850 < sum(swapped) < 950

    scene.calls(600, lambda _call: 0.1)
    assert not scene.learner.report().swapped
    assert not scene.learner.decide().swap


def test_without_leave_the_order_stays() -> None:
    """Swapping is off by default."""
    scene = Scene(max_extra=1)
    scene.calls(300, lambda _call: None)

    assert not scene.learner.decide().swap


def test_old_backups_are_forgotten_but_for_the_latest() -> None:
    """What a backup was like an hour ago says little; but it says more than nothing, where calls are rare."""
    scene = Scene()
    scene.calls(500, one_in(5, 5.0))
    assert len(scene.second.as_backup) == 100

    scene.now += 4000
    scene.calls(64, one_in(1000, 5.0))

    assert 60 <= len(scene.second.as_backup) < 65


def test_the_report_tells_what_is_believed_of_each_link() -> None:
    """In milliseconds, with ``None`` for what the data do not reach."""
    scene = Scene()
    scene.calls(200, one_in(5, 5.0))

    report = scene.learner.report()
    first, second = report.links
    assert (report.target_ms, report.swapped, report.race_share) == (1000, False, 1.0)
    assert (first.label, first.as_primary.attempts, first.as_primary.p50_ms) == ("a:1", 200, 100)
    assert first.as_primary.p95_ms is None  # a fifth was cut off at 1 s
    assert first.as_primary.late_share == pytest.approx(0.2, abs=0.05)
    assert (second.as_backup.p50_ms, second.as_backup.p95_ms) == (300, 300)
    assert (second.as_primary.attempts, second.as_primary.p50_ms, second.as_primary.late_share) == (0, None, 0.0)


def test_what_was_remembered_before_serves_a_new_learner() -> None:
    """A view under another policy shares the windows, so it need not begin with a guess."""
    scene = Scene()
    scene.calls(200, one_in(5, 5.0))

    heir = Learner(LatencyRules(target_p95_ms=900, race_after_ms=900), [scene.first, scene.second], lambda: USUAL)

    assert heir.decide() == Decision(pytest.approx(0.6), RaceSource.FITTED)


def test_a_learner_needs_a_target_and_a_backup() -> None:
    """There is nothing to learn otherwise."""
    with pytest.raises(ValueError, match="target"):
        Learner(LatencyRules(race_after_ms=5), [LinkHistory("a"), LinkHistory("b")], lambda: USUAL)
    with pytest.raises(ValueError, match="backup"):
        Learner(LatencyRules(race_after_ms=5, target_p95_ms=5), [LinkHistory("a")], lambda: USUAL)


def sized(scene: Scene, calls: int, *, long_s: float = 0.9) -> None:
    """Every other request is long and takes ``long_s``; of the short ones one in five hangs, of the long ones too."""
    for call in range(calls):
        long = call % 2 == 1
        usual_s = long_s if long else 0.1
        scene.call(5.0 if call % 10 in (4, 5) else usual_s, 0.9 if long else 0.2, size=100.0 if long else 10.0)


def test_sizes_have_starts_of_their_own() -> None:
    """Short requests race when they are late for short ones, and not as late as long ones need it."""
    scene = Scene(by_size=True, max_extra=1)
    sized(scene, 400)

    short, long = scene.learner.decide(10.0), scene.learner.decide(100.0)
    assert (short.source, long.source) == (RaceSource.FITTED, RaceSource.FITTED)
    assert short.race_after_s is not None
    assert long.race_after_s is not None
    assert short.race_after_s > long.race_after_s


def test_a_size_that_is_unknown_is_decided_and_counted_too() -> None:
    """It has a bucket of its own, from the first time that it is seen."""
    scene = Scene(by_size=True, max_extra=1)
    sized(scene, 400)
    decision = scene.learner.decide(None)
    for _ in range(64 * 3):
        scene.call(0.1, 0.2, size=None)

    assert decision.source is RaceSource.FITTED
    assert [row.value for row in scene.learner.report().buckets] == [None, None, "unknown"]
    assert scene.learner.report().buckets[2].calls > 128


def test_the_report_has_a_row_for_each_size() -> None:
    """Which sizes, how many calls, when they start, and what is expected of that."""
    scene = Scene(by_size=True, max_extra=1)
    sized(scene, 400)

    report = scene.learner.report()
    short, long = report.buckets
    assert (short.above, short.up_to, long.above, long.up_to) == (None, 10.0, 10.0, None)
    assert (short.calls, long.calls) == (173, 173)  # at call 346, the last fit: after 30, 60, 90 and every 64 calls
    assert short.late_share == pytest.approx(0.2, abs=0.03)
    assert sum(start.share for start in short.starts) == pytest.approx(1.0)
    assert report.expected_miss_share == pytest.approx((short.expected_miss_share + long.expected_miss_share) / 2)
    starts = [start.race_after_ms for row in report.buckets for start in row.starts if start.race_after_ms is not None]
    assert report.race_after_ms == min(starts)


def test_without_sizes_the_report_has_one_row() -> None:
    """All calls, whatever their size; and none while nothing is known."""
    scene = Scene()
    assert scene.learner.report().buckets == ()

    scene.calls(200, one_in(5, 5.0))

    (row,) = scene.learner.report().buckets
    assert (row.above, row.up_to, row.value, row.calls) == (None, None, None, 154)


def test_sizes_are_cut_anew_as_they_change() -> None:
    """Requests that grow tenfold have buckets again some hundred calls later."""
    scene = Scene(by_size=True, max_extra=1)
    for call in range(700):
        scene.call(5.0 if call % 5 == 4 else 0.1, size=float(call % 2))
    for call in range(1200):
        scene.call(5.0 if call % 5 == 4 else 0.1, size=100.0 + call % 2)

    assert [row.up_to for row in scene.learner.report().buckets] == [100.0, None]


def test_a_run_of_long_requests_is_no_change() -> None:
    """Whether a link has slowed is judged by what the sizes of its latest attempts make usual."""
    scene = Scene(by_size=True, max_extra=1)
    for call in range(600):
        long = call % 4 == 3
        scene.call(5.0 if long else 0.1, 5.0, size=100.0 if long else 10.0)
    for _ in range(25):
        scene.call(5.0, 5.0, size=100.0)
    assert len(scene.first.as_primary) == 600

    for _ in range(25):
        scene.call(5.0, 5.0, size=10.0)
    assert len(scene.first.as_primary) < 100


def test_a_99th_percentile_is_a_target_too() -> None:
    """One call in fifty hangs: that is too many for it, and all calls start together."""
    scene = Scene(target_p95_ms=None, target_p99_ms=1000)
    scene.calls(89, one_in(50, 5.0))
    assert scene.learner.decide().source is RaceSource.PRIOR

    scene.calls(500, one_in(50, 5.0))

    report = scene.learner.report()
    assert (report.source, report.race_share) == (RaceSource.FITTED, 1.0)
    assert report.allowed_share < 0.016
    assert scene.learner.decide() == Decision(pytest.approx(16 / 24), RaceSource.FITTED)


def test_a_capped_target_is_told_with_what_would_do() -> None:
    """Once: with the misses to expect, and the ``max_extra`` that would meet the target."""
    scene = Scene(random.Random(3).random, max_extra=0.1, explore=0)
    scene.calls(1000, one_in(3, 5.0))

    (told,) = [report for report in scene.told if report is not None]
    assert isinstance(told, LatencyReport)
    assert told.source is RaceSource.CAPPED
    assert told.expected_miss_share is not None
    assert told.expected_miss_share > 0.2
    assert told.max_extra_needed is not None
    assert 0.3 < told.max_extra_needed < 0.4
    assert scene.told.index(told) < 300
    assert target_event(told) == (
        "target_capped",
        {
            "target_ms": 1000,
            "expected_miss_share": told.expected_miss_share,
            "max_extra_needed": told.max_extra_needed,
        },
    )


def test_a_capped_target_is_told_again_when_it_was_not_and_an_hour_has_passed() -> None:
    """Once per state and hour: near the cap it may come and go every few minutes."""
    scene = Scene(random.Random(3).random, max_extra=0.1, explore=0)
    capped, met = one_in(3, 5.0), one_in(1000, 5.0)
    for spell in range(4):
        scene.calls(1000, capped if spell % 2 == 0 else met)
    told = [report for report in scene.told if report is not None]
    assert len(told) == 1

    scene.now += 3600
    scene.calls(1000, met)
    scene.calls(1000, capped)

    assert len([report for report in scene.told if report is not None]) == 2


def test_what_is_spent_under_a_cap_stays_under_it() -> None:
    """The plan is corrected by what was spent, for the best of many estimates is a lucky one."""
    scene = Scene(random.Random(8).random, max_extra=0.1, explore=0)
    scene.calls(200, one_in(3, 5.0))
    capped = Decision(0.1, RaceSource.CAPPED)
    for _ in range(300):
        scene.learner.call_ended(capped, 0.5, answered=True, now=scene.now, extra=True)
    for _ in range(128):
        scene.learner.call_ended(capped, 0.5, answered=True, now=scene.now, extra=False)

    assert scene.learner.report().buckets[0].expected_extra == pytest.approx(0.06, abs=0.03)
    assert scene.learner.report().buckets[0].expected_extra < 0.09


def test_a_99th_percentile_by_size_begins_again_after_a_change() -> None:
    """Thirty attempts are kept, which are too few for it: the prior serves requests of all sizes meanwhile."""
    scene = Scene(by_size=True, target_p95_ms=None, target_p99_ms=1000, max_extra=1)
    sized(scene, 700)
    assert len(scene.learner.report().buckets) == 2

    for call in range(40):
        scene.call(None, 5.0, size=10.0 + 90.0 * (call % 2))

    assert len(scene.first.as_primary) < 90
    assert {scene.learner.decide(size).source for size in (10.0, 100.0, None)} == {RaceSource.PRIOR}
    assert scene.learner.report().buckets == ()


CALL = st.tuples(
    st.floats(0.01, 5.0), st.floats(0.01, 5.0), st.sampled_from([None, 5.0, 10.0, 80.0, 90.0]), st.booleans()
)


@given(
    st.lists(st.tuples(CALL, st.integers(1, 150)), min_size=1, max_size=8),
    st.sampled_from(["target_p95_ms", "target_p99_ms"]),
    st.booleans(),
    st.sampled_from([0.0, 0.1, 0.35, 1.0]),
    st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_whatever_happens_there_is_a_decision_for_every_size(
    spells: list[tuple[tuple[float, float, float | None, bool], int]],
    target: str,
    swap: bool,
    max_extra: float,
    seed: int,
) -> None:
    """Providers that get slow and quick again, sizes that come and go, outages, caps."""
    rules = {"target_p95_ms": None, target: 1000, "swap_in_outage": swap, "max_extra": max_extra}
    scene = Scene(random.Random(seed).random, by_size=True, **rules)
    for (primary_s, backup_s, size, varied), calls in spells:
        for call in range(calls):
            scene.call(primary_s * (1 + call % 3), backup_s, size=size if not varied else float(call % 7))
        for asked in (None, 5.0, 85.0, 1e9):
            decision = scene.learner.decide(asked)
            assert decision.race_after_s is None or 0.0 <= decision.race_after_s <= 1.0
        report = scene.learner.report()
        assert 0.0 <= report.race_share <= 1.0 + 1e-9
        assert all(sum(start.share for start in row.starts) == pytest.approx(1.0) for row in report.buckets)
