"""What an attempt may cost, and what it did: price books, projections, and the usage that a reply reports.

Three questions with nothing in common but the money. ``books``: what does this link cost? ``projection``: how many
tokens may an attempt take, judged by its arguments? ``readers``: how many did it take, judged by its answer? All of
it is pure: nothing here waits, keeps a state or imports an SDK.
"""

from routeware.pricing.books import PriceBook, price_book, tariff_of
from routeware.pricing.projection import MINIMUM_OUTPUT_TOKENS, OutputArgument, output_argument, text_tokens
from routeware.pricing.readers import Reading, read_error, read_reply

__all__ = [
    "MINIMUM_OUTPUT_TOKENS",
    "OutputArgument",
    "PriceBook",
    "Reading",
    "output_argument",
    "price_book",
    "read_error",
    "read_reply",
    "tariff_of",
    "text_tokens",
]
