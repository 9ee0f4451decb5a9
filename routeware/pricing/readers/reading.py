"""The reading of one reply, and several reports of one attempt joined into one."""

from __future__ import annotations

import attrs

from routeware.money import Usage, usage_with
from routeware.pricing.readers.counts import plus

__all__ = ["COUNT_NAMES", "NO_READING", "Reading", "joined", "merged_usage"]

COUNT_NAMES = tuple(field.name for field in attrs.fields(Usage))


@attrs.define  # never changed; made with every attempt, and freezing it would take three times as long
class Reading:
    """The facts that a reply tells about itself; each part ``None`` where it says nothing.

    Attributes:
        usage: Its counts.
        response_model: The model that answered.
        cost_nanos: The cost that it states, in nano-dollars.
        deduced_output: True if its output was deduced from a total. A deduced count is not learned from at once.
        plain_input: True if its input leaves out the parts that went through a cache and that it does not name. An
            earlier report may have named them.
        dropped: The names of counts and costs that were there and were none.
    """

    usage: Usage | None = None
    response_model: str | None = None
    cost_nanos: int | None = None
    deduced_output: bool = attrs.field(default=False, eq=False)
    plain_input: bool = attrs.field(default=False, eq=False)
    dropped: tuple[str, ...] = attrs.field(default=(), eq=False)


NO_READING = Reading()
"""The reading of an attempt that has reported nothing."""


def joined(earlier: Reading, later: Reading, *, on_purpose: bool) -> Reading:
    """Join two readings of one attempt; the usage of the later one counts.

    Args:
        earlier: The reading so far.
        later: The new reading.
        on_purpose: True if it was reported, and so outranks what is known. What is found in a result does not.
    """
    first, second = (later, earlier) if on_purpose else (earlier, later)
    return Reading(
        merged_usage(earlier.usage, later.usage, plain_input=later.plain_input),
        second.response_model if first.response_model is None else first.response_model,
        second.cost_nanos if first.cost_nanos is None else first.cost_nanos,
        deduced_output=(earlier if later.usage is None else later).deduced_output,
    )


def merged_usage(earlier: Usage | None, later: Usage | None, *, plain_input: bool = False) -> Usage | None:
    """Merge a later report into an earlier one: it replaces what it says, and keeps what it does not say.

    Args:
        earlier: The reading so far.
        later: The new report.
        plain_input: True if the input of ``later`` leaves out cached parts that it does not name. Anthropic names
            them when a stream begins, and may repeat the input without them when it ends.
    """
    if earlier is None or later is None:
        return later if earlier is None else earlier
    merged = usage_with(earlier, {name: value for name in COUNT_NAMES if (value := getattr(later, name)) is not None})
    if not plain_input:
        return merged
    plain = _plain_input(earlier if later.input_tokens is None else later)
    return usage_with(merged, {"input_tokens": plus(plain, merged.cached_input_tokens, merged.cache_write_tokens)})


def _plain_input(usage: Usage) -> int | None:
    if usage.input_tokens is None:
        return None
    return max(0, usage.input_tokens - (usage.cached_input_tokens or 0) - (usage.cache_write_tokens or 0))
