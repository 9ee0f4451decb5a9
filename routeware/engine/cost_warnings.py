"""Warnings about the money of a link: each once per link, with the remedy.

A link that goes wrong does so at every call, and a warning per call would hide all others.
"""

from __future__ import annotations

import logging
from typing import Literal

from routeware.engine.prepared import PreparedLink

__all__ = ["warn"]

logger = logging.getLogger("routeware")

_Kind = Literal["dropped", "unpriced", "unreadable", "guess", "exceeded"]

_TEXTS: dict[_Kind, str] = {
    "dropped": (
        "%s: %s of a reply can't be what was used, and is left out: counts are whole numbers from 0 to 2^53, costs at"
        " most 10^12 dollars"
    ),
    "unpriced": (
        "%s: %s was counted and has no price, so its cost is not in any figure. Give the link's price what is missing,"
        " or call attempt.report_cost()"
    ),
    "unreadable": (
        "%s answered with %s, in which %s can be read: it is booked at its projection, as uncertain. Hand the"
        " provider's own reply to attempt.report(), or call attempt.report_usage() or attempt.report_cost()"
    ),
    "guess": (
        "%s is capped, and nothing says how much it may answer: projecting with the largest answer so far, at least %d"
        " tokens. Give the link max_output_tokens, or pass max_tokens"
    ),
    "exceeded": (
        "%s cost $%.9f, and was projected at $%.9f: it is settled at what it cost. Give the function an @estimate, or"
        " the link max_output_tokens"
    ),
}
"""What is said of a kind of trouble: the link's label comes first, then the figures."""


def warn(link: PreparedLink, kind: _Kind, *figures: str | float) -> None:
    """Warn of a link, once for each kind of trouble."""
    if link.stats.first_time(kind):
        logger.warning(_TEXTS[kind], link.label, *figures)
