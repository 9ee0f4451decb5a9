"""For the tests of code that uses routeware: scripts in place of providers, on the real engine.

Works in pytest, in unittest and on any loop, also one whose clock jumps. Needs nothing but routeware; the pytest
plug-in is ``routeware.testing.plugin``, the tests that every ledger has to pass ``routeware.testing.ledgers``, and only
these two import pytest.
"""

from routeware.testing.handles import attempt, reported, trail
from routeware.testing.process import UnscriptedCallError, forbid_calls, is_active, set_active
from routeware.testing.script import Play, ScriptedAttempt, scripted
from routeware.testing.steps import (
    ScriptedProviderError,
    ScriptError,
    after,
    answers,
    fails,
    hangs,
    streams,
    wait,
)

__all__ = [
    "Play",
    "ScriptError",
    "ScriptedAttempt",
    "ScriptedProviderError",
    "UnscriptedCallError",
    "after",
    "answers",
    "attempt",
    "fails",
    "forbid_calls",
    "hangs",
    "is_active",
    "reported",
    "scripted",
    "set_active",
    "streams",
    "trail",
    "wait",
]
