"""What a reader of a frontier has to know before believing it, in plain sentences."""

from __future__ import annotations

from routeware.lab.tune_facts import Threshold
from routeware.lab.tune_samples import CENSORED, FAILED, Sample

__all__ = ["notes"]

_FEW_BEYOND = 5
"""Answers beyond a quantile, below which it rests on chance."""

_IF_NOT = (
    "Where the same request is slow on both, racing gains less; rows that belong together can be paired by a column."
)


def notes(primary: Sample, backup: Sample, pairs: int | None, points: tuple[Threshold, ...]) -> tuple[str, ...]:
    """What to know of the samples, of the way in which they were put together, and of what they do not reach."""
    told = [*_assumption(primary, backup, pairs), *_small(primary, backup, pairs)]
    for sample in (primary, backup):
        told += _cut(sample)
    if any(point.p99_ms.value is None or point.p95_ms.value is None for point in points):
        told.append(
            "Unknown is what the data do not reach: the longest observations were cut off. Nothing is extrapolated."
        )
    return tuple(told)


def _assumption(primary: Sample, backup: Sample, pairs: int | None) -> list[str]:
    if pairs is None:
        assumed = f"{primary.label} and {backup.label} are taken to be independent."
        told = [f"{assumed} {_IF_NOT}"]
    else:
        left = len(primary) + len(backup) - 2 * pairs
        told = [f"{pairs:,} pairs of rows belong together; {left:,} rows have no partner and were left out."]
        if any((sample.kinds == CENSORED).any() for sample in (primary, backup)):
            told.append("In pairs, an attempt that was cut off counts as one that never answers.")
    if primary.ordered and backup.ordered and pairs is None:
        told.append("The intervals are drawn in blocks, because the order is known.")
    return told


def _small(primary: Sample, backup: Sample, pairs: int | None) -> list[str]:
    count = min(len(primary), len(backup)) if pairs is None else pairs
    told = []
    for name, beyond in (("p95", 0.05), ("p99", 0.01)):
        if count * beyond < _FEW_BEYOND:
            slowest = max(1, int(count * beyond))
            told.append(f"{count:,} requests do not make a {name}: it rests on the slowest {slowest} of them.")
    return told


def _cut(sample: Sample) -> list[str]:
    cut, failed = int((sample.kinds == CENSORED).sum()), int((sample.kinds == FAILED).sum())
    told = []
    if cut:
        told.append(
            f"{cut:,} of {len(sample):,} attempts at {sample.label} were cut off; they count as longer than that."
        )
    if failed:
        told.append(
            f"{failed:,} of {len(sample):,} attempts at {sample.label} failed; a failure is followed by the other link."
        )
    if failed and (sample.elapsed_ms[sample.kinds == FAILED] == 0).all():
        told.append(f"How long failures of {sample.label} took is not in the data: they count as immediate.")
    return told
