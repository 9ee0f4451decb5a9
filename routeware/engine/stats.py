"""The statistics of a link, for projections."""

from __future__ import annotations

from routeware.pricing import LargestOutput

__all__ = ["LinkStats"]


class LinkStats:
    """The outputs of one link, and which warnings about the link have been logged."""

    __slots__ = ("_logged", "outputs")

    def __init__(self) -> None:
        self.outputs = LargestOutput()
        self._logged: set[str] = set()

    def first_time(self, warning: str) -> bool:
        """Say True once per warning: a link that goes wrong does so at every call."""
        if warning in self._logged:
            return False
        self._logged.add(warning)
        return True
