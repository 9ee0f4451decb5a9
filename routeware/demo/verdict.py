"""The meaning of a scene, in words: whether racing was worth it, and whether it is more than chance."""

from __future__ import annotations

from collections.abc import Sequence

from routeware.demo.run import Result
from routeware.threshold import RaceSource

__all__ = ["pace_of", "verdict"]

# A learner's first hundred calls and those that were in flight with them.
_LEARNING = 120


def verdict(result: Result) -> str:
    """Return the scene in a few sentences; nothing about times where the machine was too busy to take them."""
    told = [_incident(result), _target(result), _stalled(result)]
    return " ".join(each for each in told if each)


def pace_of(result: Result) -> str:
    """Return what is to be said of the machine's pace: nothing where it kept up."""
    pace = result.pace
    if not pace.busy:
        return ""
    return (
        f"This machine was too busy to time this: its event loop woke up {pace.loop_lag_ms:,.0f} ms late and requests "
        f"took {pace.overhead_ms:,.0f} ms longer than their provider (95th percentiles, in the providers' time). No "
        "times are shown. Run it again on an idle machine, or slower: --speed-up 3."
    )


def _incident(result: Result) -> str:
    requests, scene = result.routed.requests, result.scene
    during = scene.during(requests)
    if scene.begins == 0.0 or not during:
        return ""
    missing = f"{result.bare.requests - result.bare.answered:,} of {requests:,} bare requests had no answer"
    passed = "; cooldown spared the others that" if result.met_incident < len(during) else ""
    routed = f"{result.routed.requests - result.routed.answered:,} of the routed ones"
    return (
        f"{scene.provider} was out for requests {during.start + 1:,} to {during.stop:,}: {missing}, and {routed}. "
        f"{result.met_incident:,} of the {len(during):,} routed calls of that time asked {scene.provider} "
        f"and waited for its error{passed}."
    )


def _target(result: Result) -> str:
    report, target_ms = result.report, result.scene.policy.latency.target_ms
    if report is None or target_ms is None:
        return ""
    first = result.scene.policy.chain[0].label
    if report.source is RaceSource.NONE:
        return (
            f"Racing is not worth it here: {first} meets the target alone. The target found that out: {_races(result)}."
        )
    worth = f"{result.routed.raced / result.routed.requests:.0%} of the calls started a backup"
    if result.pace.busy:
        return f"{worth}."
    change = result.changes["p95"]
    if change.value is None or change.noise:
        return f"{worth}. What that does to p95 cannot be told from chance with {result.routed.requests:,} requests."
    what = "the p95 of the time to the first item" if result.scene.streams else "p95"
    return f"{worth}, and {what} is {_percent(change.value)}."


def _stalled(result: Result) -> str:
    idle_ms = result.scene.policy.failover.idle_timeout_ms
    if not result.scene.streams or idle_ms is None:
        return ""
    told = (
        f"Bare, {result.bare.stalled:,} streams stalled in the middle for more than {idle_ms / 1000:g} s, and their "
        f"readers waited. Routed, idle_timeout_ms cut {result.routed.stalled:,} off: a reader got what had come, and "
        "an error."
    )
    if result.routed.wasted_usd is None:
        return told
    return f"{told} Losers and failed attempts cost ${result.routed.wasted_usd:.4f} at most."


def _races(result: Result) -> str:
    raced: Sequence[int] = result.raced_at
    if not raced:
        return "no call started a backup"
    learning = sum(number < _LEARNING for number in raced)
    return f"{len(raced):,} calls started a backup, {learning:,} of them in the first {_LEARNING} requests"


def _percent(change: float) -> str:
    return f"{-change:.0%} lower" if change < 0 else f"{change:.0%} higher"
