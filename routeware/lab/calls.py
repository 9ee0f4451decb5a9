"""Calls with their attempts, from whichever side they come: exported spans, or a record at hand.

Whoever draws, tells or analyses calls imports this page; how they are put together is not their concern.
"""

from __future__ import annotations

from routeware.lab.assemble import calls
from routeware.lab.tree import AttemptBar, CallEvent, CallTree, call_from_record

__all__ = ["AttemptBar", "CallEvent", "CallTree", "call_from_record", "calls"]
