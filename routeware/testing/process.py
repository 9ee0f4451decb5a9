"""Switches for the whole process: calls of one link only, and no calls at all outside of a script."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager

from routeware.engine import REHEARSAL, Registrations
from routeware.errors import RoutewareError
from routeware.records import CallRecord
from routeware.testing.script import is_scripted, listening

__all__ = ["UnscriptedCallError", "all_calls", "forbid_calls", "is_active", "set_active"]


class UnscriptedCallError(RoutewareError):
    """A routed call was made outside of a script while :func:`forbid_calls` was in force.

    Attributes:
        function: the name of the routed function.
    """

    def __init__(self, function: str) -> None:
        super().__init__(function)
        self.function = function

    def __str__(self) -> str:
        return (
            f"{self.function} was called outside of a script, and calls are forbidden here: it might have spent money."
            " Play it with routeware.testing.scripted(...)"
        )


def set_active(active: bool, /) -> None:
    """Switch routing off or on, for the whole process.

    While it is off, a call is its first link, once: without failover, race, retry, cooldown or deadline. Spans, records
    and sessions are as ever.
    """
    REHEARSAL.confine(to_first_link=not active)


def is_active() -> bool:
    """Say whether routing is on."""
    return not REHEARSAL.first_link_only


@contextmanager
def forbid_calls() -> Generator[None]:
    """Let routed calls outside of a script raise :class:`UnscriptedCallError`, in the whole process.

    They raise before anything is started, so a test that forgot its script spends no money.
    """

    def refuse(registrations: Registrations, name: str) -> None:
        if not is_scripted(registrations):
            raise UnscriptedCallError(name)

    REHEARSAL.watch(refuse)
    try:
        yield
    finally:
        REHEARSAL.unwatch(refuse)


@contextmanager
def all_calls() -> Iterator[list[CallRecord]]:
    """Collect the records of all routed calls of the process, of whichever function."""
    heard: list[CallRecord] = []
    known: set[Registrations] = set()
    with ExitStack() as stack:

        def meet(registrations: Registrations, _name: str) -> None:
            if registrations not in known:
                known.add(registrations)
                stack.enter_context(listening(registrations, heard))

        REHEARSAL.watch(meet)
        stack.callback(REHEARSAL.unwatch, meet)
        yield heard
