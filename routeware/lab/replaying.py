"""Replays past traffic under another policy: what would the calls have taken, cost and failed?"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from routeware.lab.calls import CallTree
from routeware.lab.tune_facts import Estimate
from routeware.policy import RoutingPolicy
from routeware.records import CallRecord

if TYPE_CHECKING:
    from routeware.lab.replay_fates import PastCall

__all__ = ["Estimate", "Replayed", "recorded", "replay"]

_CONFIDENCE_TAIL = 0.05
_DEVIATIONS = 1.94
"""Student's, of 90 % at six degrees of freedom: so many models there are for 200 resamples."""
_RESAMPLES_PER_MODEL = 32
_SOME_CALLS = 800
_LATEST_UNIX_S = 10_000_000_000
"""The year 2286. Later starts are milliseconds that were taken for seconds."""
_LONGEST_MS = 100_000_000_000
"""Three years."""


@attrs.frozen(kw_only=True)
class Replayed:
    """The outcomes of past calls under a policy.

    Attributes:
        calls: how many there were.
        measured_share: the share of attempts that were as they had been; the others were drawn.
        seed: of the draws.
        correlation: the rank correlation of the latencies of one request at two links that the draws assume.
        succeeded: the share of calls that succeeded, 0 to 1.
        p50_ms: the median latency of the calls that succeeded.
        p95_ms: the 95th percentile of it.
        p99_ms: the 99th percentile of it.
        cost_usd: dollars settled, over all calls; unknown if those of one call are.
        uncertain_usd: dollars that may have been spent on top, over all calls.
        attempts_per_call: attempts started per call.
    """

    calls: int
    measured_share: float
    seed: int
    correlation: float
    succeeded: Estimate
    p50_ms: Estimate
    p95_ms: Estimate
    p99_ms: Estimate
    cost_usd: Estimate
    uncertain_usd: Estimate
    attempts_per_call: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return attrs.asdict(self)


def replay(
    calls: Iterable[CallRecord | CallTree],
    policy: RoutingPolicy,
    *,
    seed: int = 0,
    correlation: float = 0.0,
    resamples: int = 200,
) -> Replayed:
    """Run past calls again under ``policy``, by the real engine on a clock that jumps, in a thread of its own.

    An attempt that was seen to its end is as it was. One that was cut off is drawn from what its link does after that
    time, and one that was never made is drawn from its link.

    Args:
        calls: records of calls, or calls read from traces.
        policy: the policy to serve them under. Prices in it and ``session_usd`` do not count: dollars are the past's.
        seed: of the draws.
        correlation: the rank correlation of the latencies of one request at two links, for what is drawn.
        resamples: how often the calls are resampled for the intervals.

    Raises:
        ValueError: there are no calls, no call has seen a link of the policy to its end, or a call has a time that
            cannot be; says which.
    """
    from routeware.lab.replay_fates import Fates, past_calls
    from routeware.lab.replay_run import serve

    past = _some(calls)
    if not -0.95 <= correlation <= 0.95:
        raise ValueError(f"a correlation is from -0.95 to 0.95, not {correlation:g}")
    _require_times(past)
    ended = _ended(past)
    for link in policy.chain:
        if link.label not in ended:
            raise ValueError(f"no call has seen {link.label} to its end: there is nothing to draw it from")
    records, share = serve(past, Fates(past, correlation, seed), policy, seed)
    others = _by_other_models(past, policy, correlation, seed, resamples // _RESAMPLES_PER_MODEL)
    return _replayed(past_calls(records), share, seed, correlation, resamples, others)


def recorded(calls: Iterable[CallRecord | CallTree], *, seed: int = 0, resamples: int = 200) -> Replayed:
    """Return the same figures of the calls as they were; a ``ValueError`` if there are none."""
    return _replayed(_some(calls), 1.0, seed, 0.0, resamples)


def _some(calls: Iterable[CallRecord | CallTree]) -> list[PastCall]:
    from routeware.lab.replay_fates import past_calls

    past = past_calls(calls)
    if not past:
        raise ValueError("there are no calls to replay")
    return past


def _require_times(past: Sequence[PastCall]) -> None:
    """Refuse times that the clock of the replay would take hours to pass, or could not tell apart."""
    for number, call in enumerate(past, 1):
        start = call.started_unix_s
        if start is not None and not 0 <= start <= _LATEST_UNIX_S:
            raise ValueError(f"call {number} cannot have started at {start:.14g} s since 1970; is that milliseconds?")
        for ms in (call.duration_ms, *(attempt.duration_ms for attempt in call.attempts)):
            if not 0 <= ms <= _LONGEST_MS:
                raise ValueError(f"call {number} cannot have taken {ms:.14g} ms")


def _ended(past: Sequence[PastCall]) -> set[str]:
    return {attempt.label for call in past for attempt in call.attempts if attempt.ending != "cut"}


def _by_other_models(
    past: Sequence[PastCall], policy: RoutingPolicy, correlation: float, seed: int, count: int
) -> list[list[PastCall]]:
    """Serve some of the calls by the links as they are known, and by links as ``count`` resamples would know them.

    A link that few calls have tried is known badly, and every drawn attempt shares that error: resampling the calls
    that were served does not show it.
    """
    from routeware.lab.replay_fates import Fates, past_calls
    from routeware.lab.replay_run import serve

    if not count:
        return []
    some, dice = past[:: -(-len(past) // _SOME_CALLS)], random.Random(f"{seed} models")
    ended, found = _ended(past), []
    for number in range(count + 1):
        learned = dice.choices(past, k=len(past)) if number else past
        fates = Fates(some, correlation, seed, learned)
        if ended == {label for label, model in fates.models.items() if model.answers or model.failures}:
            found.append(past_calls(serve(some, fates, policy, seed)[0]))
    return found


def _replayed(
    calls: Sequence[PastCall],
    share: float,
    seed: int,
    correlation: float,
    resamples: int,
    others: Sequence[Sequence[PastCall]] = (),
) -> Replayed:
    import numpy as np

    random, count = np.random.default_rng(seed), len(calls)
    # How often each call is in a resample; the first row is the calls themselves.
    drawn = (np.bincount(random.integers(0, count, count), minlength=count) for _ in range(resamples))
    values = _statistics(calls, np.vstack([np.ones(count), *drawn]))
    known_by = [_statistics(each, np.ones((1, len(each)))) for each in others]
    estimates = {
        name: _estimate(found, [each[name][0] - known_by[0][name][0] for each in known_by[1:]])
        for name, found in values.items()
    }
    return Replayed(calls=count, measured_share=share, seed=seed, correlation=correlation, **estimates)


def _statistics(calls: Sequence[PastCall], weights: Any) -> dict[str, Any]:
    """Return each figure for each row of weights; NaN where it is unknown."""
    import numpy as np

    count = len(calls)
    succeeded = np.array([each.outcome == "succeeded" for each in calls])
    durations = np.array([each.duration_ms for each in calls])
    order = np.flatnonzero(succeeded)[np.argsort(durations[succeeded], kind="stable")]
    below = np.cumsum(weights[:, order], axis=1)

    def quantile(share: float) -> Any:
        if not len(order):
            return np.full(len(weights), np.nan)
        places = np.array([np.searchsorted(row, share * row[-1] - 1e-9) for row in below])
        return np.where(below[:, -1] > 0, durations[order][np.minimum(places, len(order) - 1)], np.nan)

    def total(amounts: list[float | None]) -> Any:
        return weights @ np.array([np.nan if amount is None else amount for amount in amounts])

    return {
        "succeeded": weights @ succeeded / count,
        "p50_ms": quantile(0.5),
        "p95_ms": quantile(0.95),
        "p99_ms": quantile(0.99),
        "cost_usd": total([each.cost_usd for each in calls]),
        "uncertain_usd": total([each.uncertain_usd for each in calls]),
        "attempts_per_call": weights @ np.array([len(each.attempts) for each in calls]) / count,
    }


def _estimate(values: Any, errors: Sequence[float]) -> Estimate:
    """Return a figure with its interval: what chance did to the calls and what it did to the models, as squares."""
    import numpy as np

    value, known = values[0], values[1:][~np.isnan(values[1:])]
    if np.isnan(value) or not len(known):
        return Estimate(None, None, None)
    low, high = np.quantile(known, [_CONFIDENCE_TAIL, 1.0 - _CONFIDENCE_TAIL])
    of_models = [each for each in errors if not np.isnan(each)]
    spread = _DEVIATIONS * float(np.sqrt(np.mean(np.square(of_models)))) if of_models else 0.0
    down, up = math.hypot(max(value - low, 0.0), spread), math.hypot(max(high - value, 0.0), spread)
    return Estimate(float(value), max(0.0, float(value - down)), float(value + up))
