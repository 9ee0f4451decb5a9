"""Two columns of the same requests, and how much of their difference is chance.

A request that was not answered is late, however quickly it failed: counting answered requests alone, a provider that
refuses its slow ones would look fast. Intervals come from resampled requests (Efron 1979), both columns of a request
together, for the two met the same fate.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

__all__ = ["Change", "changes", "quantile"]

_RESAMPLES = 300
_LOW, _HIGH = 0.05, 0.95
# Half of a percent is what the output rounds away.
_NOTHING = 0.005


@attrs.frozen(kw_only=True)
class Change:
    """The change of a quantile, as a share of what it was: -0.5 is half.

    Attributes:
        value: the change; ``None`` if either is not known.
        low: the lower end of its 90 % interval; ``None`` if it is not known.
        high: the upper end; ``None`` if it is not known.
    """

    value: float | None
    low: float | None
    high: float | None

    @property
    def noise(self) -> bool:
        """True if chance alone may have made it: the interval holds 0, or has no ends."""
        return self.low is None or self.high is None or (self.low <= _NOTHING and self.high >= -_NOTHING)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {**attrs.asdict(self), "noise": self.noise}


def changes(
    before: Sequence[float], after: Sequence[float], quantiles: Mapping[str, float], *, seed: int
) -> dict[str, Change]:
    """Return the change of each quantile, with its 90 % interval.

    Args:
        before: how long each request took; infinite where it was not answered.
        after: the same requests in the other column.
        quantiles: 0 to 1, by name.
        seed: of the resamples.
    """
    dice, pairs = random.Random(seed), list(zip(before, after, strict=True))
    drawn: dict[str, list[float | None]] = {name: [] for name in quantiles}
    for _ in range(_RESAMPLES):
        sample = dice.choices(pairs, k=len(pairs))
        first, second = (sorted(pair[column] for pair in sample) for column in (0, 1))
        for name, q in quantiles.items():
            drawn[name].append(_change(_at(first, q), _at(second, q)))
    return {
        name: _with_interval(_change(quantile(before, q), quantile(after, q)), drawn[name])
        for name, q in quantiles.items()
    }


def quantile(values: Sequence[float], q: float) -> float | None:
    """Return a quantile, linear between the two nearest ranks (Hyndman and Fan 1996, type 7).

    ``None`` without values, and where it is one that was not answered.
    """
    return _at(sorted(values), q)


def _at(ordered: Sequence[float], q: float) -> float | None:
    if not ordered:
        return None
    place = q * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    if math.isinf(high):
        return None
    return low + (place - math.floor(place)) * (high - low)


def _with_interval(value: float | None, drawn: Sequence[float | None]) -> Change:
    known = sorted(each for each in drawn if each is not None)
    # In a resample without the quantile the change is unknown, and so is an end of the interval.
    whole = len(known) == len(drawn)
    return Change(value=value, low=_at(known, _LOW) if whole else None, high=_at(known, _HIGH) if whole else None)


def _change(before: float | None, after: float | None) -> float | None:
    return None if not before or after is None else after / before - 1.0
