"""The errors of the test kit: a script that does not fit, and a call that no script plays."""

from __future__ import annotations

from routeware.errors import RoutewareError

__all__ = ["ScriptError", "UnscriptedCallError"]


class ScriptError(AssertionError):
    """A script has no step for an attempt, or one that cannot be played. It ends the call: no rule fails over on it."""


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
