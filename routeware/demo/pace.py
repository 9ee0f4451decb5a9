"""Measure whether this machine kept up.

The demo runs faster than its providers did, so its own delays look ten times as long as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import attrs

from routeware.demo.compare import quantile

__all__ = ["MOST_LAG_MS", "Pace", "measured_lag"]

MOST_LAG_MS = 150.0
"""How late this machine may be, in the providers' time, before its times are not worth showing."""

_EVERY_S = 0.005
_TYPICAL = 0.95


@attrs.frozen(kw_only=True)
class Pace:
    """The lateness of this machine, in the providers' own time: the 95th percentile of each.

    Attributes:
        loop_lag_ms: how late the event loop woke up.
        overhead_ms: how much longer bare requests took than their provider meant them to.
    """

    loop_lag_ms: float
    overhead_ms: float

    @property
    def busy(self) -> bool:
        """True if the times are not to be believed."""
        return max(self.loop_lag_ms, self.overhead_ms) > MOST_LAG_MS

    @classmethod
    def of(cls, lags_s: Sequence[float], overheads_ms: Sequence[float], speed_up: float) -> Pace:
        """Sum up what was measured: the loop's in seconds of this machine, the requests' in the providers' time."""
        lag_s = quantile(lags_s, _TYPICAL) or 0.0
        return cls(loop_lag_ms=lag_s * 1000 * speed_up, overhead_ms=quantile(overheads_ms, _TYPICAL) or 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {**attrs.asdict(self), "busy": self.busy}


@asynccontextmanager
async def measured_lag() -> AsyncGenerator[list[float]]:
    """Yield a list that fills with how late, in seconds, a timer of this loop rings, again and again."""
    lags: list[float] = []
    ticking = asyncio.create_task(_tick(lags))
    try:
        yield lags
    finally:
        ticking.cancel()
        await asyncio.wait([ticking])


async def _tick(lags: list[float]) -> None:
    while True:
        due = perf_counter() + _EVERY_S
        await asyncio.sleep(_EVERY_S)
        lags.append(max(perf_counter() - due, 0.0))
