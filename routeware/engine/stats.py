"""What was learned of a link, for projections."""

from __future__ import annotations

from routeware.pricing import MINIMUM_OUTPUT_TOKENS

__all__ = ["LinkStats"]


class LinkStats:
    """The largest answer of one link, and which warnings about the link have been logged."""

    __slots__ = ("_logged", "largest_output")

    def __init__(self) -> None:
        self.largest_output = MINIMUM_OUTPUT_TOKENS
        self._logged: set[str] = set()

    def answered(self, output_tokens: int | None) -> None:
        """Learn from one answer."""
        if output_tokens is not None and output_tokens > self.largest_output:
            self.largest_output = output_tokens

    def first_time(self, warning: str) -> bool:
        """Say True once per warning: a link that goes wrong does so at every call."""
        if warning in self._logged:
            return False
        self._logged.add(warning)
        return True
