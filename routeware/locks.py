"""The lock of what a whole process shares, made anew in a forked child."""

from __future__ import annotations

import os
import threading

__all__ = ["Lock"]


class Lock:
    """A re-entrant lock that no child is born with: take it as ``with lock.held``.

    Re-entrant, because memory asked for while it is held may run the collector, which may close a lost call, which
    comes here again. Whatever is changed under it is left whole before memory is asked for.

    It is never forgotten, so it belongs to a module, not to what comes and goes.
    """

    def __init__(self) -> None:
        self.renew()
        if hasattr(os, "register_at_fork"):
            # A child forked while another thread holds the lock has no thread that would ever release it.
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        """Make a lock that no thread holds."""
        self.held = threading.RLock()
