"""Prices and usage: price books, projections, and the usage that a reply reports.

Three questions with nothing in common but the money. ``books``: what does this link cost? ``projection``: how many
tokens may an attempt take, judged by its arguments and the link's answers so far? ``readers``: how many tokens did it
take, judged by its answer? All of it is pure: nothing here waits, logs or imports an SDK.
"""

from routeware.pricing.books import PriceBook, price_book, tariff_of
from routeware.pricing.projection import (
    MINIMUM_OUTPUT_TOKENS,
    LargestOutput,
    OutputArgument,
    output_argument,
    text_tokens,
)
from routeware.pricing.readers import (
    NO_READING,
    PlainCounts,
    Reading,
    is_no_reply,
    joined,
    merged_usage,
    plain_counts,
    read_error,
    read_reply,
    read_report,
    reading_of,
)

__all__ = [
    "MINIMUM_OUTPUT_TOKENS",
    "NO_READING",
    "LargestOutput",
    "OutputArgument",
    "PlainCounts",
    "PriceBook",
    "Reading",
    "is_no_reply",
    "joined",
    "merged_usage",
    "output_argument",
    "plain_counts",
    "price_book",
    "read_error",
    "read_reply",
    "read_report",
    "reading_of",
    "tariff_of",
    "text_tokens",
]
