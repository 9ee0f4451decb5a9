"""One request's fate at each provider: drawn from the facts, the same for the same seed and number.

The bare run and the routed run send the same requests, so each finds the same fate, whatever the order of arrival.
The latencies of one request are correlated across providers by a Gaussian copula: what is slow at one tends to be slow
at the others, and drawing them independently would flatter racing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from enum import Enum, StrEnum
from statistics import NormalDist
from typing import assert_never

import attrs

from routeware.demo.facts import Curve, Facts

__all__ = ["Draw", "Draws", "Fault", "Incident"]

_NORMAL = NormalDist()
# How long a refusal takes was not recorded: assume the time of the provider's fastest answers.
_QUICK = 0.01
# The slowest twentieth of a provider that stalls is replaced by the stalls of its incident.
_BODY = 0.95


class Fault(Enum):
    """A way in which a request fails at a provider."""

    RATE_LIMITED = "rate_limited"
    DROPPED = "dropped"
    SERVER_ERROR = "server_error"
    OUT = "out"


class Incident(StrEnum):
    """A fault that a provider may have for a while."""

    STALLS = "stalls"
    """Some requests, whichever, take several times the median; some streams stop for a while in the middle."""
    OUTAGE = "outage"
    """All requests are answered 503."""


@attrs.frozen(kw_only=True)
class Draw:
    """The answer of one provider to one request, as it was drawn.

    Attributes:
        after_ms: when it does so, in the provider's own time.
        fault: how it fails; ``None`` if it answers.
        output_tokens: of its answer.
        pause_ms: how long it stalls in the middle of its answer, if that is a stream.
    """

    after_ms: float
    fault: Fault | None
    output_tokens: int
    pause_ms: float = 0.0


class Draws:
    """Every request's fate under one seed.

    Args:
        facts: what the providers are like.
        seed: what is drawn.
    """

    def __init__(self, facts: Facts, seed: int) -> None:
        self._facts = facts
        self._seed = seed
        self._factor = _factor(facts)

    def of(self, request: int, incident: Incident | None = None) -> Mapping[str, Draw]:
        """Return what each provider does with the request of this number.

        Args:
            request: its number.
            incident: what befalls each of them then.
        """
        dice = random.Random(f"routeware demo {self._seed} {request}")
        plain = [dice.gauss(0, 1) for _ in self._facts.providers]
        together = [sum(share * value for share, value in zip(row, plain, strict=True)) for row in self._factor]
        tokens = round(self._facts.output_tokens.at(dice.random()))
        drawn = {
            provider: self._draw(provider, _NORMAL.cdf(value), dice.random(), tokens)
            for provider, value in zip(self._facts.providers, together, strict=True)
        }
        match incident:
            case None:
                return drawn
            case Incident.STALLS:
                return {
                    provider: self._stalling(provider, draw, _NORMAL.cdf(value), dice)
                    for (provider, draw), value in zip(drawn.items(), together, strict=True)
                }
            case Incident.OUTAGE:
                return {provider: self._out(provider, draw) for provider, draw in drawn.items()}
            case other:
                assert_never(other)

    def _draw(self, provider: str, slowness: float, luck: float, tokens: int) -> Draw:
        fault = self._fault(luck)
        after_ms = _after_ms(self._facts.latency[provider], slowness, fault)
        return Draw(after_ms=after_ms, fault=fault, output_tokens=tokens)

    def _stalling(self, provider: str, draw: Draw, slowness: float, dice: random.Random) -> Draw:
        stalled, place, paused = dice.random() < self._facts.stalled, dice.random(), dice.random() < self._facts.paused
        if draw.fault is not None:
            return draw
        latency = self._facts.latency[provider]
        stall_ms = latency.at(0.5) * self._facts.stalls.at(place)
        return attrs.evolve(
            draw,
            after_ms=stall_ms if stalled else latency.at(_BODY * slowness),
            pause_ms=self._facts.pause * latency.at(0.5) if paused else 0.0,
        )

    def _out(self, provider: str, draw: Draw) -> Draw:
        return attrs.evolve(draw, after_ms=self._facts.latency[provider].at(0.5), fault=Fault.OUT)

    def _fault(self, luck: float) -> Fault | None:
        shares = (
            (Fault.RATE_LIMITED, self._facts.rate_limited),
            (Fault.DROPPED, self._facts.dropped),
            (Fault.SERVER_ERROR, self._facts.server_error),
        )
        for fault, share in shares:
            if luck < share:
                return fault
            luck -= share
        return None


def _after_ms(latency: Curve, slowness: float, fault: Fault | None) -> float:
    match fault:
        case None:
            return latency.at(slowness)
        case Fault.DROPPED:
            return latency.at(slowness) / 2
        case _:
            return latency.at(_QUICK)


def _factor(facts: Facts) -> Sequence[Sequence[float]]:
    """Return the Cholesky factor of the copula's correlations: independent normals in, correlated ones out.

    Quantities joined by a Gaussian copula whose Spearman correlation is s have rho = 2 sin(pi s / 6) (Pearson 1907).
    """
    names = facts.providers
    factor: list[list[float]] = []
    for i, name in enumerate(names):
        row: list[float] = []
        for j in range(i):
            rho = 2 * math.sin(math.pi * facts.spearman[name, names[j]] / 6)
            explained = sum(a * b for a, b in zip(row, factor[j], strict=False))
            row.append((rho - explained) / factor[j][j])
        row.append(math.sqrt(1 - sum(value * value for value in row)))
        factor.append(row + [0.0] * (len(names) - i - 1))
    return factor
