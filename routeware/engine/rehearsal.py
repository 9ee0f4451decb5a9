"""The switches that tests set for the whole process: a look at every call before it starts, and calls of one link only.

Where neither is in use, a call pays for one test of an attribute.
"""

from __future__ import annotations

from collections.abc import Callable

from routeware.engine.registrations import Registrations

__all__ = ["REHEARSAL", "Rehearsal"]

Look = Callable[[Registrations, str], object]


class Rehearsal:
    """The switches. There is one object of it, for they hold for the whole process.

    Attributes:
        is_on: True if any of them is in use.
        first_link_only: True if a call is its first link, once.
    """

    __slots__ = ("_looks", "first_link_only", "is_on")

    def __init__(self) -> None:
        self._looks: tuple[Look, ...] = ()
        self.first_link_only = False
        self.is_on = False

    def confine(self, *, to_first_link: bool) -> None:
        """Let every call be its first link, once; or end that."""
        self.first_link_only = to_first_link
        self._note()

    def watch(self, look: Look) -> None:
        """Show ``look`` the registrations and the name of every call before anything of it starts; it may raise."""
        self._looks = (*self._looks, look)
        self._note()

    def unwatch(self, look: Look) -> None:
        """Show them no more."""
        self._looks = tuple(one for one in self._looks if one is not look)
        self._note()

    def begin(self, registrations: Registrations, name: str) -> bool:
        """Show a call that is about to start; say whether it is to be its first link only."""
        for look in self._looks:
            look(registrations, name)
        return self.first_link_only

    def _note(self) -> None:
        self.is_on = self.first_link_only or bool(self._looks)


REHEARSAL = Rehearsal()
