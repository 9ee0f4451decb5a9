"""The notes to a frontier: what to know before believing it, in plain sentences."""

from __future__ import annotations

from routeware.lab.tune_facts import Assumption, Threshold
from routeware.lab.tune_samples import CENSORED, FAILED, Sample

__all__ = ["notes"]

_FEW_BEYOND = 5
"""Answers beyond a quantile, below which it rests on chance."""


def notes(
    primary: Sample, backup: Sample, pairs: int | None, assumed: Assumption | None, points: tuple[Threshold, ...]
) -> tuple[str, ...]:
    """Return what to know of the samples, of how they were put together, and of what they do not reach."""
    lines = [*_together(primary, backup, pairs, assumed), *_small(primary, backup, pairs)]
    for sample in (primary, backup):
        lines += _cut(sample)
    if any(point.p99_ms.value is None or point.p95_ms.value is None for point in points):
        lines.append(
            "Unknown is what the data do not reach: the longest observations were cut off. Nothing is extrapolated."
        )
    return tuple(lines)


def _together(primary: Sample, backup: Sample, pairs: int | None, assumed: Assumption | None) -> list[str]:
    if pairs is not None:
        left = len(primary) + len(backup) - 2 * pairs
        lines = [f"{pairs:,} pairs of rows belong together; {left:,} rows have no partner and were left out."]
        if any((sample.kinds == CENSORED).any() for sample in (primary, backup)):
            lines.append("In pairs, an attempt that was cut off counts as one that never answers.")
        return lines
    assert assumed is not None
    judged = f"{primary.label} and {backup.label} are judged at a rank correlation of {assumed.spearman:.2g}"
    remedy = "If the same requests went to both, --pair-by COLUMN measures it."
    lines = [f"No pairs: {judged} ({_source(assumed)}). {remedy}"]
    if primary.ordered and backup.ordered:
        lines.append("The intervals are drawn in blocks, because the order is known.")
    return lines


def _source(assumed: Assumption) -> str:
    return {
        "given": "--correlation",
        "raced": f"learned from {assumed.raced_calls:,} calls that raced",
        "assumed": "assumed; --correlation changes it",
    }[assumed.source]


def _small(primary: Sample, backup: Sample, pairs: int | None) -> list[str]:
    count = min(len(primary), len(backup)) if pairs is None else pairs
    lines = []
    for name, beyond in (("p95", 0.05), ("p99", 0.01)):
        if count * beyond < _FEW_BEYOND:
            slowest = max(1, int(count * beyond))
            lines.append(f"{count:,} requests do not make a {name}: it rests on the slowest {slowest} of them.")
    return lines


def _cut(sample: Sample) -> list[str]:
    cut, failed = int((sample.kinds == CENSORED).sum()), int((sample.kinds == FAILED).sum())
    lines = []
    if cut:
        lines.append(
            f"{cut:,} of {len(sample):,} attempts at {sample.label} were cut off; they count as longer than that."
        )
    if failed:
        lines.append(
            f"{failed:,} of {len(sample):,} attempts at {sample.label} failed; a failure is followed by the other link."
        )
    if failed and (sample.elapsed_ms[sample.kinds == FAILED] == 0).all():
        lines.append(f"How long failures of {sample.label} took is not in the data: they count as immediate.")
    return lines
