"""Text that other people wrote, made safe to pass on: to an exporter, to a terminal, to a ledger.

A model's name in a reply, a session's name and an error's text come from outside. One lone surrogate makes an OTLP
exporter lose its whole batch, one escape sequence rewrites a terminal's screen, and neither may fail the call that
only wanted to record it. So such text is repaired where it leaves, and refused only as the name of money in a ledger,
where two names that look alike must not be two budgets.
"""

from __future__ import annotations

import re

from routeware.errors import PolicyError

__all__ = ["LONGEST_TEXT", "bounded", "checked_ledger_name", "encodable", "visible"]

LONGEST_TEXT = 256
"""The number of characters after which foreign text is cut."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_NAME = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def encodable(text: str) -> str:
    """Return text as something that can be encoded: lone surrogates replaced by U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def bounded(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return foreign text as something that every exporter takes: encodable, and cut."""
    return encodable(str.__getitem__(text, slice(longest)))  # a subclass may have an idea of its own of what a slice is


def visible(text: str) -> str:
    r"""Return text for a terminal: everything that does not print is spelled out, an escape as ``\x1b``.

    This includes line breaks, so that a name can't forge a row of a table, and the marks that turn the direction of
    writing around.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _spelled(character) for character in text)


def _spelled(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def checked_ledger_name(name: str) -> str:
    """Return ``name``, if a ledger can keep a tally under it.

    Raises:
        PolicyError: It has a control character or a lone surrogate in it: some ledgers can't store it, and people
            can't tell it from its neighbour.
    """
    if _NO_NAME.search(name):
        raise PolicyError(
            f"{name!a:.100} can't name a tally in a ledger: it contains a control character or a lone surrogate",
            key="session.name",
        )
    return name
