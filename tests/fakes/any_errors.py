"""Strategies for errors: any attributes, causes and leaves."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.fakes.failing import Answering, Lying, RaisingMapping, Untrue

ATTRIBUTES = [
    "status_code",
    "status",
    "response",
    "raw_response",
    "code",
    "error_code",
    "type",
    "body",
    "details",
    "headers",
    "retry_after",
    "retry_after_ms",
    "message",
    "reason",
]
plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from([429, 400, 503, 10**400, "rate_limit_error", "insufficient_quota", "3", "HTTP 429"])
    | st.builds(Untrue)
    | st.builds(Answering)
    | st.builds(Lying)
    | st.builds(RaisingMapping)
)
keys = st.sampled_from(["error", "code", "type", "details", "Error", "Code", "ResponseMetadata", "HTTPStatusCode"])
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)
bases = st.sampled_from(
    [Exception, ValueError, OSError, TimeoutError, ConnectionResetError, RuntimeError, BaseException]
)


@st.composite
def errors(draw: st.DrawFn) -> BaseException:
    """Any error with any attributes, causes and leaves, circles included."""
    chain = draw(st.lists(st.builds(_made, bases, st.dictionaries(st.sampled_from(ATTRIBUTES), values)), min_size=1))
    for error in chain:
        error.__cause__ = draw(st.sampled_from([None, *chain]))
        error.__context__ = draw(st.sampled_from([None, *chain]))
    return draw(st.sampled_from([chain[0], BaseExceptionGroup("x", chain)]))


def _made(base: type[BaseException], attributes: dict[str, object]) -> BaseException:
    error: BaseException = type("MadeError", (base,), {"__module__": __name__})()
    vars(error).update(attributes)
    return error
