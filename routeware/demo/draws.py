"""One request's fate at each provider: drawn from recorded facts, the same for the same seed and number.

The packaged file holds quantiles, shares and correlations with their sources, and says which of them were recorded
together, which were combined, and which are assumed.

The bare run and the routed run send the same requests, so each finds the same fate, whatever the order of arrival.
The latencies of one request are correlated across providers by a Gaussian copula: what is slow at one tends to be slow
at the others, and drawing them independently would flatter racing.
"""

from __future__ import annotations

import math
import random
import tomllib
from collections.abc import Mapping, Sequence
from enum import Enum, StrEnum
from functools import cache
from importlib import resources
from statistics import NormalDist
from typing import assert_never

import attrs

__all__ = ["Curve", "Draw", "Draws", "Facts", "Fault", "Incident", "packaged_facts"]

_NORMAL = NormalDist()
# How long a refusal takes was not recorded: assume the time of the provider's fastest answers.
_QUICK = 0.01
# The slowest twentieth of a provider that stalls is replaced by the stalls of its incident.
_BODY = 0.95


@attrs.frozen
class Curve:
    """A quantile function: linear between its points ``q``, each 0..1 and ascending, flat beyond them."""

    q: Sequence[float]
    values: Sequence[float]

    def at(self, q: float) -> float:
        """Return the value at ``q``."""
        if q <= self.q[0]:
            return self.values[0]
        for right in range(1, len(self.q)):
            if q <= self.q[right]:
                span = self.q[right] - self.q[right - 1]
                share = (q - self.q[right - 1]) / span
                return self.values[right - 1] + share * (self.values[right] - self.values[right - 1])
        return self.values[-1]


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
class Facts:
    """The providers, in the order of the demo's chain, as the packaged file has them.

    Models, latencies in milliseconds and their rank correlations are by provider, or pair of them; shares by the way in
    which a request fails. Stalls last so many medians of their provider.
    """

    models: Mapping[str, str]
    latency: Mapping[str, Curve]
    spearman: Mapping[frozenset[str], float]
    shares: Mapping[Fault, float]
    stalls: Mapping[str, float]
    input_tokens: int
    output_tokens: Curve
    sources: Sequence[str]
    assumed: Sequence[str]

    @property
    def providers(self) -> tuple[str, ...]:
        """Their names, the first of the chain first."""
        return tuple(self.models)


@cache
def packaged_facts() -> Facts:
    """Return the facts that come with routeware."""
    table = tomllib.loads(resources.files(__package__).joinpath("facts.toml").read_text(encoding="utf-8"))
    latency, tokens = table["latency"], table["tokens"]
    return Facts(
        models=table["models"],
        latency={provider: Curve(latency["q"], latency[provider]) for provider in table["models"]},
        spearman={frozenset(pair.split("/")): value for pair, value in table["spearman"].items()},
        shares={Fault(fault): share for fault, share in table["shares"].items()},
        stalls=table["stalls"],
        input_tokens=tokens["input"],
        output_tokens=Curve(tokens["q"], tokens["output"]),
        sources=[
            f"{source['gives']} ({source['repository']}, {source['requests']:,} requests of {source['date']})"
            for source in table["sources"].values()
        ],
        assumed=table["assumed"],
    )


@attrs.frozen(kw_only=True)
class Draw:
    """The answer of one provider to one request, in its own time; a stream pauses in the middle."""

    after_ms: float
    fault: Fault | None
    output_tokens: int
    pause_ms: float = 0.0


class Draws:
    """Every request's fate under one seed."""

    def __init__(self, facts: Facts, seed: int) -> None:
        self._facts = facts
        self._seed = seed
        self._factor = _factor(facts)

    def of(self, request: int, incident: Incident | None = None) -> Mapping[str, Draw]:
        """Return what each provider does with the request of this number, if ``incident`` befalls them all."""
        facts, dice = self._facts, random.Random(f"routeware demo {self._seed} {request}")
        plain = [dice.gauss(0, 1) for _ in facts.providers]
        together = (sum(share * value for share, value in zip(row, plain, strict=True)) for row in self._factor)
        slowness = dict(zip(facts.providers, map(_NORMAL.cdf, together), strict=True))
        tokens = round(facts.output_tokens.at(dice.random()))
        drawn = {provider: self._draw(provider, slow, dice.random(), tokens) for provider, slow in slowness.items()}
        return {
            provider: self._met(incident, provider, drawn[provider], slowness[provider], dice) for provider in drawn
        }

    def _draw(self, provider: str, slowness: float, luck: float, tokens: int) -> Draw:
        fault, latency = self._fault(luck), self._facts.latency[provider]
        match fault:
            case None:
                after_ms = latency.at(slowness)
            case Fault.DROPPED:
                after_ms = latency.at(slowness) / 2
            case _:
                after_ms = latency.at(_QUICK)
        return Draw(after_ms=after_ms, fault=fault, output_tokens=tokens)

    def _fault(self, luck: float) -> Fault | None:
        for fault, share in self._facts.shares.items():
            if luck < share:
                return fault
            luck -= share
        return None

    def _met(self, incident: Incident | None, provider: str, draw: Draw, slowness: float, dice: random.Random) -> Draw:
        latency, stalls = self._facts.latency[provider], self._facts.stalls
        match incident:
            case None:
                return draw
            case Incident.OUTAGE:
                return attrs.evolve(draw, after_ms=latency.at(0.5), fault=Fault.OUT)
            case Incident.STALLS:
                # Drawn for a failure, too: the next provider's fate does not depend on this one's.
                stalled, place = dice.random() < stalls["share"], dice.random()
                paused = dice.random() < stalls["in_the_middle"]
                if draw.fault is not None:
                    return draw
                medians = stalls["from"] + place * (stalls["to"] - stalls["from"])
                return attrs.evolve(
                    draw,
                    after_ms=latency.at(0.5) * medians if stalled else latency.at(_BODY * slowness),
                    pause_ms=stalls["pause"] * latency.at(0.5) if paused else 0.0,
                )
            case other:
                assert_never(other)


def _factor(facts: Facts) -> Sequence[Sequence[float]]:
    """Return the Cholesky factor of the copula's correlations: independent normals in, correlated ones out.

    Quantities joined by a Gaussian copula whose Spearman correlation is s have rho = 2 sin(pi s / 6) (Pearson 1907).
    """
    names = facts.providers
    factor: list[list[float]] = []
    for i, name in enumerate(names):
        row: list[float] = []
        for j in range(i):
            rho = 2 * math.sin(math.pi * facts.spearman[frozenset((name, names[j]))] / 6)
            explained = sum(a * b for a, b in zip(row, factor[j], strict=False))
            row.append((rho - explained) / factor[j][j])
        row.append(math.sqrt(1 - sum(value * value for value in row)))
        factor.append(row + [0.0] * (len(names) - i - 1))
    return factor
