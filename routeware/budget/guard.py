"""The one lock that guards the sums of this process.

It is re-entrant, because the collector may run while it is held: it may close the coroutine of a call that was lost
with its loop, and that call settles what it had reserved, in the middle of another change. With a plain lock the
process would wait for itself. Changes are additions only, so a change inside another one leaves both sums right.
"""

from __future__ import annotations

import os
import threading

__all__ = ["LOCK"]

# One lock for all accounts of the process: a hold covers several of them at once, and one lock cannot be taken in two
# orders. It is never held across an await. Other modules take it as `guard.LOCK`, for a fork replaces it.
LOCK = threading.RLock()


def _replace_lock() -> None:
    global LOCK  # noqa: PLW0603 - there is one lock for the process, and this is another process
    LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):
    # Otherwise a child that is forked while another thread changes sums finds the lock taken by a thread that it does
    # not have, and waits forever. Waiting for that thread before the fork would change nothing: whatever it has
    # reserved stays reserved in the child, which cannot settle for it.
    os.register_at_fork(after_in_child=_replace_lock)
