"""Draw the order of links that share a place in the chain, by weight.

Neighbours with the same ``spread`` are one place: their order is drawn at each call, and the rest of the chain follows.
With a key the order is the key's own, the same in every process, so that a provider's prompt cache stays warm.

Both ways give each link an exponential draw divided by its weight, and sort: drawing without replacement by weight
(Efraimidis & Spirakis 2006), and with draws made from a hash, weighted rendezvous hashing (Thaler & Ravishankar 1998).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from routeware.policy.checks import refusal
from routeware.policy.parts import Link

__all__ = ["check_spreads", "drawn_order", "spread_places"]

_STEPS = 2**53
"""Draws are multiples of 1 / 2 ** 53, as ``random.random`` gives them."""


def spread_places(chain: Sequence[Link]) -> tuple[tuple[int, int], ...]:
    """Return the places of a chain that hold two links or more, as (first, after the last)."""
    places: list[tuple[int, int]] = []
    start = 0
    for at in range(1, len(chain) + 1):
        if at == len(chain) or chain[at].spread is None or chain[at].spread != chain[start].spread:
            if at - start > 1:
                places.append((start, at))
            start = at
    return tuple(places)


def drawn_order(
    chain: Sequence[Link],
    places: Sequence[tuple[int, int]],
    key: str | None,
    draw: Callable[[], float] = random.random,
) -> list[int]:
    """Return the indices of the links in the order of one call.

    Args:
        chain: the links.
        places: the result of :func:`spread_places` for them.
        key: whose order it is; ``None`` draws a new one.
        draw: where chance comes from: draws from 0 to 1, 1 excluded.
    """
    order = list(range(len(chain)))
    for start, end in places:
        waits = {
            at: -math.log(1 - (draw() if key is None else _hashed(key, chain[at].label))) / chain[at].weight
            for at in range(start, end)
        }
        order[start:end] = sorted(waits, key=waits.__getitem__)
    return order


def _hashed(key: str, label: str) -> float:
    """Return a number from 0 to 1, 1 excluded, that every process makes of a key and a label."""
    # The length keeps ("ab", "c") and ("a", "bc") apart; surrogates are kept, for a key may be any text.
    text = f"{len(key)}:{key}{label}".encode("utf-8", "surrogatepass")
    import hashlib  # noqa: PLC0415  # loads OpenSSL, for those who spread calls by a key only

    return (int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 11) / _STEPS


def check_spreads(chain: Sequence[Link], targeted: str | None) -> None:
    """Refuse a chain whose spreads cannot mean anything.

    Args:
        chain: the links.
        targeted: the latency target that is set, such as ``target_p95_ms``; it learns the order of the first two links.

    Raises:
        PolicyError: a spread is torn apart, two links in one have the same label, or a target stands over one of the
            first two links.
    """
    seen: dict[str, int] = {}
    labels: dict[tuple[str, str], int] = {}
    for at, link in enumerate(chain):
        if link.spread is None:
            continue
        key, last = f"chain[{at}].spread", seen.get(link.spread)
        if last is not None and last != at - 1:
            raise refusal(key, "next to the other links of its spread", link.spread, f"chain[{last}] has it, too")
        twin = labels.setdefault((link.spread, link.label), at)
        if twin != at:
            raise refusal(key, "a spread of links with different labels", link.spread, f"chain[{twin}] has the same")
        if targeted is not None and at < 2:
            raise refusal(key, f"left out where {targeted} is set", link.spread, "a target learns one fixed order")
        seen[link.spread] = at
