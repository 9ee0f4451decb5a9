"""Which dependence of the two latencies to go by, where no pairs show it: assumed, given, or learned from raced calls.

Calls that raced show how often both links were late. The curves of the links and a rank correlation predict that share,
so the correlation that predicts what happened is the one to go by. It also makes up for what the curves get wrong: in
production a backup is only ever seen on slow requests.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from routeware.lab.tune_copula import ASSUMED, RANGE
from routeware.lab.tune_curves import Curves
from routeware.lab.tune_facts import Assumption
from routeware.lab.tune_race import Unpaired
from routeware.lab.tune_samples import RacedCalls

__all__ = ["FEWEST_RACED", "assumption", "spearmans"]

Floats = npt.NDArray[np.float64]

FEWEST_RACED = 200
"""Raced calls from which they correct the assumption: 5 % of fewer are a matter of chance."""

_TRIED = np.linspace(-0.6, 0.95, 63)
_STARTS = 25
_DEVIATIONS = 1.645


def assumption(
    given: float | None, raced: RacedCalls | None, curves: tuple[Curves, Curves], grid: Floats, target_ms: float | None
) -> Assumption:
    """Return the rank correlation to go by, and the range in which nine in ten would lie.

    Args:
        given: what the user says; then nothing else is asked, and nothing is taken to be uncertain.
        raced: calls that raced, if there are any.
        curves: of the two links.
        grid: of the curves.
        target_ms: the latency to keep, at which raced calls are compared; their 90th percentile without one.
    """
    if given is not None:
        return Assumption(given, given, given, "given", 0)
    count = 0 if raced is None else len(raced)
    if raced is None or count < FEWEST_RACED:
        return Assumption(ASSUMED, *RANGE, "assumed", count)
    found = _matching(raced, curves, grid, target_ms)
    return Assumption(*found, "raced", count)


def spearmans(assumed: Assumption, repeats: int, random: np.random.Generator) -> Floats:
    """Return the rank correlation for the sample and for each resample: an uncertain one differs between them."""
    deviations = random.standard_normal(repeats) / _DEVIATIONS
    below, above = assumed.spearman - assumed.low, assumed.high - assumed.spearman
    drawn = assumed.spearman + deviations * np.where(deviations < 0.0, below, above)
    return np.asarray(np.clip(np.concatenate([[assumed.spearman], drawn]), -0.95, 0.95))


def _matching(
    raced: RacedCalls, curves: tuple[Curves, Curves], grid: Floats, target_ms: float | None
) -> tuple[float, float, float]:
    """Return the correlation under which raced calls would be late as often as they were, with its range."""
    at_ms = target_ms if target_ms is not None else float(np.quantile(raced.latency_ms, 0.9, method="lower"))
    late = float((raced.latency_ms > at_ms).mean())
    error = _DEVIATIONS * np.sqrt(max(late * (1.0 - late), 1.0 / len(raced)) / len(raced))
    starts = np.quantile(raced.after_ms, (np.arange(_STARTS) + 0.5) / _STARTS)
    predicted = np.array([_predicted(curves, grid, starts, at_ms, tried) for tried in _TRIED])
    low, middle, high = (float(np.interp(share, predicted, _TRIED)) for share in (late - error, late, late + error))
    return middle, low, high


def _predicted(curves: tuple[Curves, Curves], grid: Floats, starts: Floats, at_ms: float, spearman: float) -> float:
    """Return the share of raced calls that would be late, over the thresholds at which they raced."""
    race = Unpaired(curves[0].alone(), curves[1].alone(), grid, np.array([spearman]))
    shares = [race.misses(start, at_ms)[0] / max(race.at(start).extra[0], 1e-9) for start in starts.tolist()]
    return float(np.mean(shares))
