"""The frontier and the choice: against what can be worked out by hand, and against the latencies themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("numpy")

from routeware.lab.tune import tune
from routeware.lab.tune_curves import resampled_counts
from routeware.lab.tune_facts import Threshold, Tuning
from routeware.lab.tune_frontier import wilson
from routeware.lab.tune_race import pairs_of
from routeware.lab.tune_samples import ANSWERED, CENSORED, FAILED, Sample

pytestmark = pytest.mark.slow


def sample(
    label: str,
    answered: Sequence[float] = (),
    *,
    cut: Sequence[float] = (),
    failed: Sequence[float] = (),
    keys: Sequence[object] = (),
    ordered: bool = False,
) -> Sample:
    """A link's latencies in milliseconds, by how they ended."""
    kinds = [ANSWERED] * len(answered) + [CENSORED] * len(cut) + [FAILED] * len(failed)
    elapsed = np.array([*answered, *cut, *failed], dtype=float)
    return Sample(label, elapsed, np.array(kinds, dtype=np.uint8), tuple(map(str, keys)), ordered)


def lognormal(seed: int, count: int, median_ms: float = 1000.0) -> np.ndarray:
    """Latencies as hosted models have them."""
    return median_ms * np.exp(0.65 * np.random.default_rng(seed).standard_normal(count))


def nearest(tuning: Tuning, race_after_ms: float) -> Threshold:
    """The point of a frontier that is closest to a threshold."""
    timed = [each for each in tuning.thresholds if each.race_after_ms is not None]
    return min(timed, key=lambda each: abs((each.race_after_ms or 0.0) - race_after_ms))


def test_never_racing_gives_the_primarys_own_latencies() -> None:
    """The last point of a frontier is what there is without it, and costs nothing extra."""
    x = lognormal(1, 2000)
    never = tune(sample("a", x), sample("b", lognormal(2, 2000))).thresholds[-1]

    assert never.race_after_ms is None
    assert never.p50_ms.value == pytest.approx(np.quantile(x, 0.5), rel=0.01)
    assert never.p95_ms.value == pytest.approx(np.quantile(x, 0.95), rel=0.02)
    assert never.mean_ms.value == pytest.approx(x.mean(), rel=0.01)
    assert (never.extra.value, never.extra.low, never.extra.high) == (0.0, 0.0, 0.0)


def test_racing_is_the_smaller_of_the_two_latencies() -> None:
    """Two million pairs of draws say the same as the curves."""
    tuning = tune(
        sample("a", lognormal(1, 20_000)), sample("b", lognormal(2, 20_000)), target_p95_ms=2000, correlation=0.0
    )
    point = nearest(tuning, 800)

    raced = np.minimum(lognormal(3, 2_000_000), (point.race_after_ms or 0.0) + lognormal(4, 2_000_000))
    assert point.p50_ms.value == pytest.approx(np.quantile(raced, 0.5), rel=0.02)
    assert point.p95_ms.value == pytest.approx(np.quantile(raced, 0.95), rel=0.02)
    assert point.p99_ms.value == pytest.approx(np.quantile(raced, 0.99), rel=0.04)
    assert point.misses is not None
    assert point.misses.value == pytest.approx((raced > 2000).mean(), abs=0.004)


def test_pairs_see_what_independence_does_not() -> None:
    """The same request is slow on both: racing saves nothing, and curves alone promise that it does."""
    x, keys = lognormal(1, 2000), range(2000)
    a, b = sample("a", x, keys=keys), sample("b", x + 1.0, keys=keys)

    assert tune(a, b, paired=True).thresholds[0].p95_ms.value == pytest.approx(np.quantile(x, 0.95), rel=0.02)
    assert (tune(a, b, correlation=0.0).thresholds[0].p95_ms.value or 0.0) < 0.8 * np.quantile(x, 0.95)


def test_the_nth_row_of_a_key_is_paired_with_the_nth() -> None:
    """A prompt that was sent twice is two pairs; rows without a partner stay alone."""
    ours, theirs = pairs_of(sample("a", [1] * 4, keys="xyxz"), sample("b", [1] * 4, keys="qxxy"))

    assert list(zip(ours.tolist(), theirs.tolist(), strict=True)) == [(0, 1), (1, 3), (2, 2)]


def test_nothing_to_pair_is_an_error() -> None:
    """It names both."""
    with pytest.raises(ValueError, match=r"no row of a has a partner among those of b"):
        tune(sample("a", [1.0], keys="x"), sample("b", [1.0], keys="y"), paired=True)


def test_cut_off_attempts_count_as_longer() -> None:
    """Time-outs at 1.5 s leave the quantiles below it where they were, and above it nothing is known."""
    x = lognormal(1, 4000)
    kept, cut = x[x <= 1500], np.full((x > 1500).sum(), 1500.0)

    never = tune(sample("a", kept, cut=cut), sample("b", lognormal(2, 4000))).thresholds[-1]

    assert never.p50_ms.value == pytest.approx(np.quantile(x, 0.5), rel=0.01)
    assert (never.p95_ms.value, never.p99_ms.value, never.mean_ms.value) == (None, None, None)


def test_racing_can_reach_what_the_primary_alone_does_not_show() -> None:
    """A seventh was cut off at 2 s: alone no 95th percentile is known, raced at once a fiftieth is left."""
    x = lognormal(1, 4000)
    kept, cut = x[x <= 2000], np.full((x > 2000).sum(), 2000.0)

    tuning = tune(sample("a", kept, cut=cut), sample("b", lognormal(2, 4000)), correlation=0.0)

    assert tuning.thresholds[-1].p95_ms.value is None
    assert tuning.thresholds[0].p95_ms.value is not None


def test_failures_are_followed_by_the_other_link() -> None:
    """A primary that fails at 100 ms leaves the wait and the backup's latency."""
    primary = sample("a", [50.0], failed=[100.0] * 999)
    never = tune(primary, sample("b", [300.0] * 1000)).thresholds[-1]

    assert never.p50_ms.value == pytest.approx(400, rel=0.02)
    assert never.failed == 0.0


def test_where_both_fail_there_is_no_answer() -> None:
    """A tenth of a tenth: a share of its own, and no latency."""
    primary = sample("a", [100.0] * 900, failed=[10.0] * 100)
    backup = sample("b", [100.0] * 900, failed=[10.0] * 100)

    for paired in (False, True):
        keys = range(1000)
        a = Sample("a", primary.elapsed_ms, primary.kinds, tuple(map(str, keys)))
        b = Sample("b", backup.elapsed_ms, backup.kinds, tuple(str((key * 7) % 1000) for key in keys))
        never = tune(a, b, paired=paired).thresholds[-1]
        assert never.failed == pytest.approx(0.01, abs=0.005)
        assert never.p95_ms.value == pytest.approx(110, rel=0.03)


def test_the_cheapest_threshold_that_meets_the_target_is_chosen_with_confidence() -> None:
    """It races earlier than the estimate alone would, because that is wrong half the time."""
    tuning = tune(sample("a", lognormal(1, 2000)), sample("b", lognormal(2, 2000)), target_p95_ms=2300)

    choice = tuning.choice
    assert choice is not None
    assert choice.chosen is not None
    assert choice.by_the_point is not None
    assert choice.chosen.misses_at_most is not None
    assert choice.chosen.misses_at_most <= 0.05
    assert (choice.chosen.race_after_ms or 0.0) < (choice.by_the_point.race_after_ms or 0.0)
    assert not choice.unraced


def test_a_target_that_is_met_anyway_is_met_without_racing() -> None:
    """Never is a threshold like any other, and the cheapest."""
    choice = tune(sample("a", [100.0] * 500), sample("b", [100.0] * 500), target_p95_ms=200).choice

    assert choice is not None
    assert choice.unraced
    assert choice.chosen is not None
    assert choice.chosen.race_after_ms is None


def test_where_no_threshold_meets_the_target_the_best_possible_is_named() -> None:
    """And nothing is chosen."""
    choice = tune(sample("a", lognormal(1, 500)), sample("b", lognormal(2, 500)), target_p95_ms=500).choice

    assert choice is not None
    assert choice.chosen is None
    assert choice.best is not None
    assert choice.best.race_after_ms == 0.0


def test_a_cap_on_spending_names_the_best_95th_percentile_below_it() -> None:
    """No more backups per call than that, and of equals the cheapest."""
    tuning = tune(sample("a", lognormal(1, 2000)), sample("b", lognormal(2, 2000)), max_extra=0.2)

    assert tuning.choice is not None
    chosen = tuning.choice.chosen
    assert chosen is not None
    assert (chosen.extra.value or 1.0) <= 0.2
    cheaper = [each.p95_ms.value for each in tuning.thresholds if (each.extra.value or 0.0) <= 0.2]
    assert chosen.p95_ms.value == min(value for value in cheaper if value is not None)


def test_extra_dollars_are_extra_attempts_times_their_price() -> None:
    """Per call, with the same interval."""
    tuning = tune(sample("a", lognormal(1, 500)), sample("b", lognormal(2, 500)), usd_per_attempt=0.002)

    for point in tuning.thresholds:
        assert point.extra_usd is not None
        assert point.extra_usd.value == pytest.approx(0.002 * (point.extra.value or 0.0))


def test_a_link_without_an_answer_has_no_frontier() -> None:
    """It is named."""
    with pytest.raises(ValueError, match="b has no answer"):
        tune(sample("a", [1.0]), sample("b", failed=[1.0]))


def test_what_a_reader_has_to_know_is_said() -> None:
    """Independence, small samples, cuts, failures, unknown ends."""
    tuning = tune(sample("a", [100.0] * 140, cut=[200.0] * 10), sample("b", [100.0] * 145, failed=[0.0] * 5))

    told = "\n".join(tuning.notes)
    for words in (
        "No pairs: a and b are judged at a rank correlation of 0.5 (assumed",
        "150 requests do not make a p99",
        "10 of 150 attempts at a were cut off",
        "5 of 150 attempts at b failed",
        "they count as immediate",
        "Nothing is extrapolated",
    ):
        assert words in told


def test_pairs_with_cuts_say_how_they_count() -> None:
    """As attempts that never answer: cautious, and said."""
    tuning = tune(sample("a", [1.0], cut=[2.0], keys="xy"), sample("b", [1.0, 9.0], keys="xy"), paired=True)

    assert "In pairs, an attempt that was cut off counts as one that never answers." in tuning.notes
    assert tuning.thresholds[-1].failed == 0.5


def test_blocks_are_said() -> None:
    """A reader knows where the intervals come from."""
    a, b = sample("a", [1.0] * 9, ordered=True), sample("b", [1.0] * 9, ordered=True)

    assert "The intervals are drawn in blocks, because the order is known." in tune(a, b).notes


def test_latencies_of_nothing_at_all_are_a_frontier_too() -> None:
    """A cache answers in no time, and nothing divides by it."""
    assert tune(sample("a", [0.0] * 9), sample("b", [0.0] * 9)).thresholds[-1].p99_ms.value == 0.0


def test_enough_requests_are_not_warned_about() -> None:
    """Six hundred of each make a p99 of six."""
    told = "\n".join(tune(sample("a", lognormal(1, 600)), sample("b", lognormal(2, 600))).notes)

    assert "do not make" not in told


def test_blocks_are_drawn_where_the_order_is_known() -> None:
    """Slow spells stay together, so the interval is as wide as they make it."""
    bins = np.repeat([0, 1], 500)
    random = np.random.default_rng(0)

    apart = resampled_counts(bins, 2, 400, ordered=False, random=random)[1:, 0]
    blocks = resampled_counts(bins, 2, 400, ordered=True, random=random)[1:, 0]

    assert blocks.std() > 2 * apart.std()
    assert blocks.mean() == pytest.approx(500, rel=0.05)


def test_wilsons_interval_is_that_of_the_tables() -> None:
    """Ten of a hundred at 95 %: 5.5 % to 17.4 %; and none of a hundred is no more than 3.7 %."""
    random = np.random.default_rng(0)
    drawn = np.concatenate([[0.1], random.binomial(100, 0.1, 200_000) / 100])
    none = np.zeros(200_001)

    low, high = wilson(np.stack([drawn, none], axis=1), 1.959964, 100)

    assert (low[0], high[0]) == pytest.approx((0.0552, 0.1744), abs=0.001)
    assert (low[1], high[1]) == pytest.approx((0.0, 0.0370), abs=0.001)


def test_the_same_data_give_the_same_answer() -> None:
    """The resamples are seeded."""
    a, b = sample("a", lognormal(1, 300)), sample("b", lognormal(2, 300))

    assert tune(a, b, target_p95_ms=2000).to_dict() == tune(a, b, target_p95_ms=2000).to_dict()


def test_pairs_choose_a_threshold_by_what_they_have_seen() -> None:
    """Where the backup is slow exactly when the primary is, no threshold meets a target that curves alone promise."""
    x, keys = lognormal(1, 2000), range(2000)
    a, b = sample("a", x, keys=keys), sample("b", x + 1.0, keys=keys)
    target_ms = 0.9 * float(np.quantile(x, 0.95))

    paired = tune(a, b, paired=True, target_p95_ms=target_ms).choice
    independent = tune(a, b, correlation=0.0, target_p95_ms=target_ms).choice

    assert paired is not None
    assert independent is not None
    assert paired.chosen is None
    assert independent.chosen is not None
