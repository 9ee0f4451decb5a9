"""The facts about the demo's providers, read from the packaged file.

The file holds quantiles, shares and correlations with their sources, and says which of them were recorded together,
which were combined, and which are assumed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import attrs

__all__ = ["Curve", "Facts", "packaged_facts"]


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
