"""Warnings about the money of a link: each once per link, with the remedy.

A link that goes wrong does so at every call, and a warning per call would hide all others.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from routeware.engine.prepared import PreparedLink
from routeware.money import usd
from routeware.pricing import MINIMUM_OUTPUT_TOKENS

__all__ = ["warn_dropped", "warn_exceeded", "warn_guessing", "warn_unpriced", "warn_unreadable"]

logger = logging.getLogger("routeware")


def warn_dropped(link: PreparedLink, names: Sequence[str]) -> None:
    """Warn of counts and costs of a reply that can't be any, and were left out."""
    if link.stats.first_time("dropped"):
        logger.warning(
            "%s: %s of a reply can't be what was used, and is left out: counts are whole numbers from 0 to 2^53,"
            " costs at most 10^12 dollars",
            link.label,
            ", ".join(names),
        )


def warn_unpriced(link: PreparedLink, names: Sequence[str]) -> None:
    """Warn of what was counted and has no price."""
    if link.stats.first_time("unpriced"):
        logger.warning(
            "%s: %s was counted and has no price, so its cost is not in any figure. Give the link's price what is"
            " missing, or call attempt.report_cost()",
            link.label,
            ", ".join(names),
        )


def warn_unreadable(link: PreparedLink, result: object, *, partly: bool) -> None:
    """Warn of an answer whose usage can't be read, or only in part."""
    if link.stats.first_time("unreadable"):
        logger.warning(
            "%s answered with %s, in which %s can be read: it is booked at its projection, as uncertain. Hand the"
            " provider's own reply to attempt.report(), or call attempt.report_usage() or attempt.report_cost()",
            link.label,
            type(result).__qualname__,
            "not all usage" if partly else "no usage",
        )


def warn_guessing(link: PreparedLink) -> None:
    """Warn of a capped link if nothing says how much it may answer."""
    if link.stats.first_time("guess"):
        logger.warning(
            "%s is capped, and nothing says how much it may answer: projecting with the largest answer so far, at least"
            " %d tokens. Give the link max_output_tokens, or pass max_tokens",
            link.label,
            MINIMUM_OUTPUT_TOKENS,
        )


def warn_exceeded(link: PreparedLink, settled: int, held: int) -> None:
    """Warn of an attempt that cost more than was set aside."""
    if link.stats.first_time("exceeded"):
        logger.warning(
            "%s cost $%.9f, and was projected at $%.9f: it is settled at what it cost. Give the function an"
            " @estimate, or the link max_output_tokens",
            link.label,
            usd(settled),
            usd(held),
        )
