"""Regular expressions that are compiled at their first use.

Compiling all of them takes as long as the rest of the package takes to import, and most processes never meet the errors
that most of them describe.
"""

from __future__ import annotations

import re
from functools import cached_property

__all__ = ["Pattern", "ignoring_case"]


class Pattern:
    """A regular expression: one, or several alternatives."""

    def __init__(self, *alternatives: str, flags: int = 0) -> None:
        self._alternatives = alternatives
        self._flags = flags

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The expression, compiled."""
        return re.compile("|".join(self._alternatives), self._flags)

    def search(self, text: str) -> re.Match[str] | None:
        """Find the first place in ``text`` that matches."""
        return self.compiled.search(text)


def ignoring_case(*alternatives: str) -> Pattern:
    """Make a pattern to which the case of letters is all the same."""
    return Pattern(*alternatives, flags=re.IGNORECASE)
