"""The observations of each link, whatever its source: a table of latencies, or the spans of calls.

An observation is an answer, a failure, or an attempt that was cut off. Of the last it is known only that it would have
taken longer. Those are the slow ones, so they are kept apart and not left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs
import numpy as np
import numpy.typing as npt

from routeware.lab.calls import AttemptBar, CallTree
from routeware.records import AttemptStatus, AttemptTrigger

__all__ = ["ANSWERED", "CENSORED", "FAILED", "Observed", "RacedCalls", "Sample", "mean_tokens", "observed_calls"]

Floats = npt.NDArray[np.float64]
Kinds = npt.NDArray[np.uint8]

ANSWERED, CENSORED, FAILED = 0, 1, 2


@attrs.frozen(eq=False)
class Sample:
    """The observations of one link.

    Attributes:
        elapsed_ms: how long each attempt lasted; 0 for a failure whose time was not recorded.
        kinds: for each ``ANSWERED``, ``CENSORED`` or ``FAILED``.
        keys: for each the value to pair it by; empty without pairs.
        ordered: whether the observations are in the order in which they were made.
        sizes: for each its size, where sizes were asked for; ``None`` is an unknown one.
        cost_usd: the mean of what an answer cost.
        tokens: the means of input and output tokens of an answer.
    """

    label: str
    elapsed_ms: Floats
    kinds: Kinds
    keys: tuple[str, ...] = ()
    ordered: bool = False
    sizes: tuple[float | str | None, ...] = ()
    cost_usd: float | None = None
    tokens: tuple[float, float] | None = None

    def __len__(self) -> int:
        return len(self.elapsed_ms)


@attrs.frozen(eq=False)
class RacedCalls:
    """Calls in which one link was raced against another: when the backup was started, and when the answer came.

    A call without an answer has an infinite latency.
    """

    after_ms: Floats
    latency_ms: Floats

    def __len__(self) -> int:
        return len(self.after_ms)


@attrs.frozen(kw_only=True)
class Observed:
    """The facts that one file or address gives.

    Attributes:
        samples: the observations by label, in the order of their first appearance.
        raced: the calls that raced, by the labels of primary and backup; spans only.
        latency: the column of the latencies; ``None`` for spans.
        unit_given: whether the user or the file's format says what the unit is, and is to be believed.
        left_out: how many answered rows had no latency.
        malformed: how many rows were no objects of the expected shape.
    """

    samples: dict[str, Sample]
    raced: dict[tuple[str, str], RacedCalls] = attrs.field(factory=dict)
    latency: str | None = None
    unit: str = "ms"
    unit_given: bool = False
    left_out: int = 0
    malformed: int = 0


def observed_calls(calls: Iterable[CallTree]) -> Observed:
    """Return the observations per link from the attempts of calls, and the calls that raced.

    A lost race, a time-out and a cancellation were cut off; an answered error and a rejected answer are failures. They
    cannot be paired: of the two attempts of a race, one was always cut off.
    """
    seen: dict[str, list[tuple[float | None, int, AttemptBar]]] = {}
    raced: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for call in calls:
        for bar in call.attempts:
            kind = _kind_of(bar)
            if kind is not None:
                began_ms = None if call.started_at_ms is None else call.started_at_ms + bar.started_ms
                seen.setdefault(bar.label, []).append((began_ms, kind, bar))
        if (race := _race_of(call)) is not None:
            raced.setdefault(race[0], []).append(race[1:])
    return Observed(
        samples={label: _in_order(label, attempts) for label, attempts in seen.items()},
        raced={labels: RacedCalls(*np.array(found, dtype=np.float64).T) for labels, found in raced.items()},
    )


def _in_order(label: str, attempts: list[tuple[float | None, int, AttemptBar]]) -> Sample:
    dated = all(began_ms is not None for began_ms, _, _ in attempts)
    if dated:
        attempts = sorted(attempts, key=lambda each: each[0] or 0.0)
    answers = [bar for _, kind, bar in attempts if kind == ANSWERED]
    costs = [bar.cost_usd for bar in answers if bar.cost_usd is not None and not bar.uncertain]
    return Sample(
        label,
        np.array([bar.answer_ms for _, _, bar in attempts]),
        np.array([kind for _, kind, _ in attempts], dtype=np.uint8),
        ordered=dated,
        cost_usd=float(np.mean(costs)) if costs else None,
        tokens=mean_tokens([(bar.input_tokens, bar.output_tokens) for bar in answers]),
    )


def mean_tokens(pairs: Iterable[tuple[float | None, float | None]]) -> tuple[float, float] | None:
    """Return the means of input and output tokens over the pairs that have both; ``None`` without any."""
    known = [(sent, received) for sent, received in pairs if sent is not None and received is not None]
    if not known:
        return None
    means = np.array(known, dtype=np.float64).mean(axis=0)
    return float(means[0]), float(means[1])


def _race_of(call: CallTree) -> tuple[tuple[str, str], float, float] | None:
    """Return the two links of a call that raced, when the race began and when its answer came."""
    primary = next((bar for bar in call.attempts if bar.trigger is AttemptTrigger.INITIAL), None)
    backup = next((bar for bar in call.attempts if bar.trigger is AttemptTrigger.RACE), None)
    if primary is None or backup is None or primary.label == backup.label:
        return None
    # A stream has answered with its first item, whatever becomes of it.
    answers = [
        bar
        for bar in call.attempts
        if bar.first_item_ms is not None or (bar.selected and bar.status is AttemptStatus.SUCCEEDED)
    ]
    answered_ms = min((bar.started_ms + bar.answer_ms - primary.started_ms for bar in answers), default=float("inf"))
    return (primary.label, backup.label), backup.started_ms - primary.started_ms, answered_ms


_KINDS: Mapping[AttemptStatus | None, int] = {
    AttemptStatus.SUCCEEDED: ANSWERED,
    AttemptStatus.FAILED: FAILED,
    AttemptStatus.REJECTED: FAILED,
    AttemptStatus.RACE_LOST: CENSORED,
    AttemptStatus.CANCELLED: CENSORED,
}


def _kind_of(attempt: AttemptBar) -> int | None:
    """Return what an attempt says about its link; ``None`` for a skipped one, and one whose end is not known.

    A time-out that the provider answered (408) is its failure; one of our own cut the attempt off. A stream has
    answered with its first item: what breaks or cancels it later says nothing about that time.
    """
    if attempt.first_item_ms is not None and attempt.status is not AttemptStatus.REJECTED:
        return ANSWERED
    if attempt.status is AttemptStatus.FAILED and attempt.error_category == "timeout" and attempt.error_status is None:
        return CENSORED
    return _KINDS.get(attempt.status)
