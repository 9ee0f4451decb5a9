"""What else one could do about slow calls, against the same worlds: fixed delays, percentiles, another scheduler.

The other scheduler is hedge-python's own (``pip install hedge-python``), unchanged but for its clock, which is the
loop's: it runs on one that jumps. It takes the winner's latency for the primary's, and cuts its losers off unseen.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from threshold_world import World, fixed

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.fakes.clock import run_jumping

try:
    import hedge
    from hedge.budget import _token_bucket
    from hedge.transport import _base
except ImportError:
    hedge = None

__all__ = ["calibrated", "hedged", "own_percentile", "same_spend"]


def calibrated(calibration: World, drawn: World) -> tuple[float, float]:
    """The latest delay that meets the target on the calibration half, and what it gives on the other: misses, extra."""
    for after_s in np.linspace(drawn.target_s, 0.0, 401):
        if fixed(calibration, float(after_s))[0] <= 0.05:
            return fixed(drawn, float(after_s))
    return fixed(drawn, 0.0)


def same_spend(calibration: World, drawn: World, spent: float) -> tuple[float, float]:
    """A fixed delay that spends ``spent`` on the calibration half; misses and extra calls on the other."""
    return fixed(drawn, float(np.quantile(calibration.primary, 1.0 - spent)))


def own_percentile(drawn: World, share: float) -> tuple[float, float]:
    """Racing at the primary's own percentile, known in hindsight: misses, extra calls."""
    return fixed(drawn, float(np.quantile(drawn.primary, share)))


def hedged(calibration: World, drawn: World, spent: float) -> tuple[float, float] | None:
    """hedge-python at the percentile that spends ``spent`` on the calibration half: misses, extra calls on the other.

    Its budget is left open, so that the percentile alone decides; ``None`` where it is not installed.
    """
    if hedge is None:
        return None
    low, high = 0.0, 1.0
    for _ in range(6):
        middle = (low + high) / 2
        low, high = (middle, high) if _hedged(calibration, middle)[1] > spent else (low, middle)
    return _hedged(drawn, (low + high) / 2)


def _hedged(drawn: World, percentile: float) -> tuple[float, float]:
    every_s = 10.0 * drawn.target_s
    # It remembers 200 to 400 calls, about as many as a learner does.
    config = hedge.HedgeConfig(
        percentile=percentile,
        budget_percent=100.0,
        estimated_rps=100.0,
        window_duration=200.0 * every_s,
        warmup_delay=float(np.quantile(drawn.primary[:20], percentile)),
    )

    async def run() -> tuple[float, float]:
        clock = SimpleNamespace(monotonic=asyncio.get_running_loop().time)
        _base.time = _token_bucket.time = clock
        scheduler = _base.HedgeScheduler(config)
        sketch = scheduler.sketch_for("primary")
        missed = 0
        for primary_s, backup_s in zip(drawn.primary.tolist(), drawn.backup.tolist(), strict=True):
            began = clock.monotonic()
            await scheduler.execute_with_hedge(
                key="primary",
                primary_func=lambda lasts=primary_s: asyncio.sleep(lasts),
                hedge_func=lambda lasts=backup_s: asyncio.sleep(lasts),
                record_latency=lambda _result, elapsed: sketch.add(elapsed),
            )
            elapsed = clock.monotonic() - began
            missed += elapsed > drawn.target_s + 1e-9
            await asyncio.sleep(max(0.0, every_s - elapsed))
        extra = scheduler.stats.snapshot().hedged_requests
        await scheduler.close()
        await asyncio.sleep(0)
        return missed / len(drawn.primary), extra / len(drawn.primary)

    return run_jumping(run())
