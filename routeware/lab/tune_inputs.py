"""From what was read to what is tuned: which two links, what an attempt costs, and whether the unit can be right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from routeware.lab.sources import Source
from routeware.lab.spans import TraceError
from routeware.lab.tune_links import Prices
from routeware.lab.tune_samples import ANSWERED, RacedCalls, Sample
from routeware.money import Usage
from routeware.policy import RoutingPolicy

__all__ = ["check_unit", "left_out", "links_of", "parsed_prices", "prices_of", "raced_of"]

_SLOWEST_SECONDS = 5.0
_FARTHEST_TARGET = 50.0


def links_of(sources: Sequence[Source], primary: str | None, backup: str | None) -> tuple[Sample, Sample]:
    """Return the two links to race; of exactly two, the one that comes first is the primary.

    Raises:
        ValueError: it is not clear which.
    """
    samples = {label: sample for source in sources for label, sample in source.samples.items()}
    if not samples:
        raise ValueError("no latencies: neither rows nor calls of routeware's")
    if len(samples) < 2:
        raise ValueError(f"a race needs two links, and there is {', '.join(samples)}")
    if primary is None and backup is None and len(samples) > 2:
        raise ValueError(f"say which --primary and --backup; there are {', '.join(samples)}")
    first = _named(samples, primary) if primary is not None else None
    second = _named(samples, backup) if backup is not None else None
    if first is None or second is None:
        rest = [label for label in samples if label not in (first, second)]
        if len(rest) > (2 if first is second is None else 1):
            raise ValueError(f"say which --primary and --backup; there are {', '.join(samples)}")
        first = first or (rest.pop(0) if rest else second)
        second = second or (rest.pop(0) if rest else first)
    if first is None or second is None or first == second:
        raise ValueError(f"{first} cannot be raced against itself")
    return samples[first], samples[second]


def _named(samples: Mapping[str, Sample], name: str) -> str:
    fitting = [label for label in samples if label == name] or [
        label for label in samples if label.partition(":")[0] == name
    ]
    if len(fitting) != 1:
        raise ValueError(f"{'no' if not fitting else 'more than one'} link is {name!r}; there are {', '.join(samples)}")
    return fitting[0]


def raced_of(sources: Sequence[Source], primary: Sample, backup: Sample) -> RacedCalls | None:
    """Return the calls in which these two raced in this order; ``None`` if there are none."""
    found = [source.raced[key] for source in sources if (key := (primary.label, backup.label)) in source.raced]
    if not found:
        return None
    after, latency = (np.concatenate([getattr(each, name) for each in found]) for name in ("after_ms", "latency_ms"))
    return RacedCalls(after, latency)


def left_out(sources: Sequence[Source]) -> int:
    """Return how many answered rows had no latency."""
    return sum(source.table.left_out for source in sources if source.table is not None)


def check_unit(names: Sequence[str], sources: Sequence[Source], target_ms: float | None) -> None:
    """Refuse seconds that were taken for milliseconds, unless the user has said what the unit is.

    Raises:
        TraceError: the latencies are too short for milliseconds, or the target is far beyond them.
    """
    for name, source in zip(names, sources, strict=True):
        if source.table is None or source.table.unit_given or source.table.unit != "ms":
            continue
        answers = [sample.elapsed_ms[sample.kinds == ANSWERED] for sample in source.samples.values()]
        every = np.concatenate(answers) if answers else np.zeros(0)
        if not len(every):
            continue
        median, p95 = float(np.median(every)), float(np.quantile(every, 0.95))
        column = source.table.latency
        if median < _SLOWEST_SECONDS:
            raise TraceError(
                name, f"the median of {column} is {median:.3g}: are these seconds? Say --unit s, or --unit ms if not"
            )
        if target_ms is not None and p95 > 0 and target_ms > _FARTHEST_TARGET * p95:
            raise TraceError(
                name,
                f"the target of {target_ms:g} ms is {target_ms / p95:.0f} times the 95th percentile of {column}: are "
                "these seconds? Say --unit s, or --unit ms if not",
            )


def parsed_prices(given: Sequence[str]) -> dict[str, float]:
    """Return dollars per attempt, by label or provider.

    Raises:
        ValueError: one is no ``LINK=USD``.
    """
    found = {}
    for text in given:
        label, equals, amount = text.rpartition("=")
        try:
            found[label] = float(amount)
        except ValueError:
            equals = ""
        if not equals or not label or not 0 <= found.get(label, -1.0) < float("inf"):
            raise ValueError(f"a price is LINK=USD, not {text!r}")
    return found


def prices_of(primary: Sample, backup: Sample, given: Mapping[str, float], policy: RoutingPolicy | None) -> Prices:
    """Return what an attempt at each link costs: as given, by the policy's price of the tokens, or as spans say."""
    return Prices(*(_price_of(sample, given, policy) for sample in (primary, backup)))


def _price_of(sample: Sample, given: Mapping[str, float], policy: RoutingPolicy | None) -> float | None:
    named = given.get(sample.label, given.get(sample.label.partition(":")[0]))
    if named is not None:
        return named
    if policy is not None and sample.tokens is not None:
        for link in policy.chain:
            if link.price is not None and sample.label in (link.label, link.provider):
                usage = Usage(input_tokens=round(sample.tokens[0]), output_tokens=round(sample.tokens[1]))
                return link.price.cost_usd(usage, datetime.now(UTC))
    return sample.cost_usd
