"""The learner: from attempts as they end to what the next call does. Time and chance are the test's own."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from routeware import LatencyRules
from routeware.threshold import Decision, Ended, Learner, LinkHistory, RaceSource
from routeware.threshold.watch import Steady

USUAL = 0.999
"""A draw that no rare choice falls on."""


class Scene:
    """A learner, what it remembers, and calls that end as the test says."""

    def __init__(self, draw: Callable[[], float] = lambda: USUAL, **settings: float | bool) -> None:
        self.rules = LatencyRules(**{"target_p95_ms": 1000, "race_after_ms": 1000, **settings})
        self.first, self.second = LinkHistory("a:1"), LinkHistory("b:1")
        self.now = 0.0
        self.learner = Learner(self.rules, [self.first, self.second], draw)
        self.told: list[object] = []

    def call(self, primary_s: float | None, backup_s: float = 0.3) -> Decision:
        """Play one call; a primary of ``None`` hangs."""
        self.now += 1.0
        decision = self.learner.decide()
        lasts = [60.0 if primary_s is None else primary_s, backup_s]
        first, second = self.first, self.second
        if decision.swap:
            first, second = second, first
            lasts.reverse()
        after_s = decision.race_after_s
        ends = lasts[0] if after_s is None else min(lasts[0], after_s + lasts[1])
        first.as_primary.add(ends, Ended.ANSWERED if ends == lasts[0] else Ended.CENSORED, self.now)
        if after_s is not None and lasts[0] > after_s:
            won = after_s + lasts[1] <= lasts[0]
            second.as_backup.add(
                lasts[1] if won else ends - after_s, Ended.ANSWERED if won else Ended.CENSORED, self.now
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
    """Backups answer in 0.3 s, so 0.7 s is early enough for a target of 1 s."""
    scene = Scene()
    scene.calls(200, one_in(5, 5.0))

    assert scene.learner.decide() == Decision(pytest.approx(0.7), RaceSource.FITTED)


def test_a_start_moves_part_of_the_way_from_fit_to_fit() -> None:
    """Three hundred attempts leave much to chance: the mean of the first fits, then a quarter of the way."""
    steady = Steady()

    assert [steady.toward(found) for found in (1.0, 0.0, 0.5, 0.5)] == pytest.approx([1.0, 0.5, 0.5, 0.5])
    assert steady.toward(1.5) == pytest.approx(0.75)

    steady.forget()
    assert steady.toward(0.1) == pytest.approx(0.1)


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


@pytest.mark.parametrize(("backups", "after_s"), [(19, 0.9), (20, 0.7)])
def test_fewer_than_20_backups_are_not_believed(backups: int, after_s: float) -> None:
    """Until then the primary's own latencies stand in: half of them take 0.1 s, and half is what it needs."""
    first, second = LinkHistory("a:1"), LinkHistory("b:1")
    for call in range(300):
        first.as_primary.add(5.0 if call % 10 == 0 else 0.1, Ended.ANSWERED, now=0.0)
    for _ in range(backups):
        second.as_backup.add(0.3, Ended.ANSWERED, now=0.0)

    learner = Learner(LatencyRules(target_p95_ms=1000, race_after_ms=1000), [first, second], lambda: USUAL)

    assert learner.decide() == Decision(pytest.approx(after_s), RaceSource.FITTED)


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


def test_old_backups_are_forgotten_and_the_primary_stands_in() -> None:
    """What a backup was like an hour ago says little, and there are few newer attempts to push it out."""
    scene = Scene()
    scene.calls(200, one_in(5, 5.0))
    assert len(scene.second.as_backup) > 20

    scene.now += 4000
    scene.calls(64, one_in(1000, 5.0))

    assert len(scene.second.as_backup) < 5


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
