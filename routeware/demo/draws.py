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
from typing import Any, assert_never

import attrs

__all__ = ["Curve", "Draw", "Draws", "Facts", "Fault", "Incident", "packaged_facts"]


@attrs.frozen
class Curve:
    """A quantile function: linear between its points, flat beyond them.

    Attributes:
        q: the points, ascending, each 0..1.
        values: what the quantity is at each point.
    """

    q: tuple[float, ...]
    values: tuple[float, ...]

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


@attrs.frozen(kw_only=True)
class Facts:
    """The providers, in the order of the demo's chain.

    Attributes:
        models: provider to model.
        latency: provider to latency, in milliseconds.
        spearman: rank correlation of two providers' latencies for one request, by pair, both ways round.
        rate_limited: share of requests that are answered 429.
        dropped: share of requests whose connection drops.
        server_error: share of requests that are answered 500.
        stalled: share of requests that stall at a provider that stalls.
        paused: share of its streams that stall in the middle.
        pause: how long they do, in medians of the provider.
        stalls: how long they take, in medians of the provider.
        input_tokens: of every request.
        output_tokens: of an answer.
        sources: one line each: which figures come from where.
        assumed: one line each: what was not recorded.
    """

    models: Mapping[str, str]
    latency: Mapping[str, Curve]
    spearman: Mapping[tuple[str, str], float]
    rate_limited: float
    dropped: float
    server_error: float
    stalled: float
    paused: float
    pause: float
    stalls: Curve
    input_tokens: int
    output_tokens: Curve
    sources: tuple[str, ...]
    assumed: tuple[str, ...]

    @property
    def providers(self) -> tuple[str, ...]:
        """Their names, the first of the chain first."""
        return tuple(self.models)


@cache
def packaged_facts() -> Facts:
    """Return the facts that come with routeware."""
    text = resources.files(__package__).joinpath("facts.toml").read_text(encoding="utf-8")
    return _facts(tomllib.loads(text))


def _facts(table: Mapping[str, Any]) -> Facts:
    latency, tokens, shares = table["latency"], table["tokens"], table["shares"]
    pairs = {tuple(pair.split("/")): float(value) for pair, value in table["spearman"].items()}
    return Facts(
        models=table["models"],
        latency={provider: _curve(latency["q"], latency[provider]) for provider in table["models"]},
        spearman={(a, b): value for (x, y), value in pairs.items() for a, b in ((x, y), (y, x))},
        rate_limited=shares["rate_limited"],
        dropped=shares["dropped"],
        server_error=shares["server_error"],
        stalled=table["stalls"]["share"],
        paused=table["stalls"]["in_the_middle"],
        pause=table["stalls"]["pause"],
        stalls=_curve((0, 1), (table["stalls"]["from"], table["stalls"]["to"])),
        input_tokens=tokens["input"],
        output_tokens=_curve(tokens["q"], tokens["output"]),
        sources=tuple(_source(source) for source in table["sources"].values()),
        assumed=tuple(table["assumed"]),
    )


def _curve(q: Sequence[float], values: Sequence[float]) -> Curve:
    return Curve(tuple(map(float, q)), tuple(map(float, values)))


def _source(source: Mapping[str, Any]) -> str:
    return f"{source['gives']} ({source['repository']}, {source['requests']:,} requests of {source['date']})"


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
