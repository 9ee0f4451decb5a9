"""The test that yesterday's threshold holds today: the second half of the data, served by the first half's threshold.

Providers change within weeks: a threshold from July met its target in August for 9 % of the pairs of hosted models.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import numpy as np

from routeware.lab.summary import duration
from routeware.lab.tune_facts import Choice, Drift, Threshold
from routeware.lab.tune_samples import ANSWERED, Sample

__all__ = ["FEWEST", "drift"]

FEWEST = 100
"""Rows per link from which halves are compared."""

_BY_CHANCE = 0.01


def drift(
    primary: Sample,
    backup: Sample,
    choose: Callable[[Sample, Sample], Choice],
    serve: Callable[[Sample, Sample, float], Threshold],
) -> Drift | None:
    """Return how the first half's threshold does on the second half; ``None`` where no order or too few rows are known.

    Args:
        primary: the link that is tried first.
        backup: the other link.
        choose: finds a threshold.
        serve: computes what a call looks like at a threshold.
    """
    links = (primary, backup)
    if any(not link.ordered or len(link) < FEWEST for link in links):
        return None
    earlier, later = ([_half(link, late=late) for link in links] for late in (False, True))
    if any(not (half.kinds == ANSWERED).any() for half in (*earlier, *later)):
        return None
    choice = choose(earlier[0], earlier[1])
    chosen = choice.chosen or choice.best
    if chosen is None:
        return None
    after_ms = math.inf if chosen.race_after_ms is None else chosen.race_after_ms
    there = serve(later[0], later[1], after_ms)
    changed = tuple(link.label for link, old, new in zip(links, earlier, later, strict=True) if _differ(old, new))
    return Drift(
        race_after_ms=chosen.race_after_ms,
        found=choice.chosen is not None,
        misses=None if there.misses is None else there.misses.value,
        p95_ms=there.p95_ms.value,
        changed=changed,
        sentence=_sentence(choice, chosen, there, changed),
    )


def _half(sample: Sample, *, late: bool) -> Sample:
    middle = len(sample) // 2
    rows = slice(middle, None) if late else slice(None, middle)
    keys = sample.keys[rows] if sample.keys else ()
    return attrs.evolve(sample, elapsed_ms=sample.elapsed_ms[rows], kinds=sample.kinds[rows], keys=keys)


def _differ(first: Sample, second: Sample) -> bool:
    """Return True if the answers' latencies differ by more than chance (Kolmogorov 1933, Smirnov 1948)."""
    a, b = (np.sort(half.elapsed_ms[half.kinds == ANSWERED]) for half in (first, second))
    both = np.concatenate([a, b])
    distance = np.abs(
        np.searchsorted(a, both, side="right") / len(a) - np.searchsorted(b, both, side="right") / len(b)
    ).max()
    scaled = float(distance) * math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    return 2.0 * math.exp(-2.0 * scaled**2) < _BY_CHANCE


def _sentence(choice: Choice, chosen: Threshold, there: Threshold, changed: tuple[str, ...]) -> str:
    after = "never racing" if chosen.race_after_ms is None else f"racing after {chosen.race_after_ms:,.0f} ms"
    source = "the first half's threshold" if choice.chosen is not None else "the first half's nearest threshold"
    parts = [f"In the second half of the data, {source} ({after}) gives a p95 of {_ms(there.p95_ms.value)}"]
    if there.misses is not None and there.misses.value is not None:
        parts.append(f"and {there.misses.value:.1%} of the calls take longer than {duration(choice.bound)}")
    text = f"{', '.join(parts)}."
    if changed:
        text += (
            f" The halves of {' and of '.join(changed)} differ by more than chance: expect a fixed threshold to age."
        )
    return text


def _ms(amount: float | None) -> str:
    return "unknown length" if amount is None else duration(amount)
