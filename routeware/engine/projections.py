"""Projections in nano-dollars: by the ``estimate`` hook, or by the arguments of a call and the link."""

from __future__ import annotations

from routeware.engine.cost_warnings import warn
from routeware.engine.prepared import PreparedLink
from routeware.engine.registrations import Request
from routeware.money import MOST_COUNT, Usage, amount_usd, nanos, plain_usage
from routeware.pricing import MINIMUM_OUTPUT_TOKENS, merged_usage

__all__ = ["built_in_projection", "estimated_projection"]


def built_in_projection(link: PreparedLink, request: Request, *, may_warn: bool) -> int | None:
    """Project an attempt by the text in its arguments, and by what bounds its output; ``None`` without a price.

    Args:
        link: the link.
        request: what is asked of it.
        may_warn: log it once where the size of the answer has to be guessed.
    """
    if link.tariff is None:
        return None
    tokens = _tokens(link, request, may_warn=may_warn)
    return link.cost(plain_usage(*tokens)) if link.plain_cost is None else link.plain_cost(*tokens)


def estimated_projection(link: PreparedLink, request: Request) -> int | None:
    """Project an attempt by the hook; counts that it leaves out are those of the built-in projection.

    Raises:
        Exception: what the hook raised; PolicyError where its answer is no amount.
    """
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
