"""Usage readers: how many tokens a reply says that it took, and what it says that it cost.

Every API counts in its own words, and the same word does not mean the same: Anthropic's and Bedrock's input leaves out
what went through a cache, OpenAI's and Google's includes it; Google's output leaves out what the model thought,
OpenAI's includes it. Here each shape is met once and becomes a :class:`~routeware.money.Usage`, which counts every
token once. ``counts`` reads single numbers, ``shapes`` has a row for each shape of counts, and ``reply`` knows where a
reply keeps its counts.

A shape is recognised by the names of its counts, never by a class, so no SDK is imported. Zero is a number; what is
missing, or is not a count, is unknown.
"""

from routeware.pricing.readers.reading import NO_READING, Reading, joined, merged_usage
from routeware.pricing.readers.reply import (
    PlainCounts,
    is_no_reply,
    plain_counts,
    read_error,
    read_reply,
    read_report,
    reading_of,
)

__all__ = [
    "NO_READING",
    "PlainCounts",
    "Reading",
    "is_no_reply",
    "joined",
    "merged_usage",
    "plain_counts",
    "read_error",
    "read_reply",
    "read_report",
    "reading_of",
]
