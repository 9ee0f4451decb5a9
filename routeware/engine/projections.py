"""Projections in nano-dollars: by the ``estimate`` hook, or by the arguments of a call and the link."""

from __future__ import annotations

import logging

from routeware.engine.cost_warnings import warn
from routeware.engine.prepared import PreparedLink
from routeware.engine.registrations import Request
from routeware.money import MOST_COUNT, Usage, amount_usd, nanos, plain_usage
from routeware.observers import FOREIGN
from routeware.pricing import MINIMUM_OUTPUT_TOKENS, merged_usage

__all__ = ["project", "project_to_book"]

logger = logging.getLogger("routeware")


def project(link: PreparedLink, request: Request, *, may_warn: bool) -> int | None:
    """Project an attempt; ``None`` without a price and a hook.

    Args:
        link: the link.
        request: what is asked of it.
        may_warn: log it once where the size of the answer has to be guessed.

    Raises:
        Exception: what the hook raised; PolicyError where its answer is no amount.
    """
    if request.registrations.estimate is None:
        return _built_in(link, request, may_warn=may_warn)
    return _estimated(link, request)


def project_to_book(link: PreparedLink, request: Request) -> int | None:
    """Project an attempt that was made: a hook's failure must not lose its cost."""
    try:
        return project(link, request, may_warn=False)
    except FOREIGN as error:
        logger.warning("the estimate hook failed (%s); the built-in projection is booked", type(error).__qualname__)
        return _built_in(link, request, may_warn=False)


def _built_in(link: PreparedLink, request: Request, *, may_warn: bool) -> int | None:
    """Project it by the text in its arguments, and by what bounds its output."""
    if link.tariff is None:
        return None
    tokens = _tokens(link, request, may_warn=may_warn)
    return link.cost(plain_usage(*tokens)) if link.plain_cost is None else link.plain_cost(*tokens)


def _estimated(link: PreparedLink, request: Request) -> int | None:
    """Project it by the hook; counts that it leaves out are those of the built-in projection."""
    estimate = request.registrations.estimate
    assert estimate is not None
    answer = estimate(link.link, *request.args, **request.kwargs)
    if not isinstance(answer, Usage):
        return nanos(amount_usd(answer, "estimate"))
    if answer.input_tokens is None or answer.output_tokens is None:
        answer = merged_usage(plain_usage(*_tokens(link, request, may_warn=False)), answer) or answer
    return link.cost(answer)


def _tokens(link: PreparedLink, request: Request, *, may_warn: bool) -> tuple[int, int]:
    sent, output = request.tokens
    output = output or link.link.max_output_tokens
    if not output:
        output = link.stats.outputs.tokens
        if may_warn and not link.is_flat:
            warn(link, "guess", MINIMUM_OUTPUT_TOKENS)
    return min(sent, MOST_COUNT), min(output, MOST_COUNT)
