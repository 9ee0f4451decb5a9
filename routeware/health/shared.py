"""The links of a function that keep failing, on whichever clock its calls run, and its budget of retries.

State is kept per clock. Loops that run on the process's monotonic clock share one state, so it outlives ``asyncio.run``
and is shared by threads. A loop with a clock of its own (a test's) has a state of its own, which dies with it: a pause
that ends at second 30 of one clock means nothing on another.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import random
import time
from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

from routeware.health.pauses import LOCK, MOST_LINKS, LinkHealth, LinkStates

__all__ = ["Health", "RetryBudget", "note_policy"]

logger = logging.getLogger("routeware")

# A foreign loop (uvloop) reads its clock once a turn, so it may lag by the length of a turn.
_SAME_CLOCK_S = 1.0


class RetryBudget:
    """Ten tokens: each further round through a chain takes one, each answered call gives back a tenth.

    So retries stay a tenth of the answered traffic in a long outage, whatever the policy says
    (gRPC A6, "retry throttling").
    """

    __slots__ = ("_tenths",)

    MOST_TENTHS = 100

    def __init__(self) -> None:
        self._tenths = self.MOST_TENTHS

    def take(self) -> bool:
        """Take a token; False if there is none."""
        with LOCK.held:
            if self._tenths < 10:
                return False
            self._tenths -= 10
            return True

    def give_back(self) -> None:
        """Give back a tenth of a token."""
        if self._tenths < self.MOST_TENTHS:
            with LOCK.held:
                self._tenths = min(self._tenths + 1, self.MOST_TENTHS)


class Health:
    """The links of a function that keep failing. Share one between functions that call the same providers.

    By default every decorated function has its own, shared by its views. A link is known by its **label**: links that
    differ in key or region need labels that differ.

    Args:
        draw: where chance comes from, for tests: draws from 0 to 1, 1 excluded.
    """

    __slots__ = ("__weakref__", "_draw", "_own_clocks", "_served", "_shared", "retries")

    def __init__(self, *, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._shared = LinkStates(draw)
        self._own_clocks: WeakKeyDictionary[asyncio.AbstractEventLoop, LinkStates] = WeakKeyDictionary()
        self._served: dict[str, bool] = {}  # labels of the policies that use it: True if one of them has a cooldown
        self.retries = RetryBudget()

    def states(self, loop: asyncio.AbstractEventLoop) -> LinkStates:
        """Return the state that belongs to the clock of ``loop``."""
        if type(loop).time is asyncio.BaseEventLoop.time:
            return self._shared
        found = self._own_clocks.get(loop)
        if found is None:
            # Decided once per loop: a test's clock that jumps must not change states on its way.
            same = abs(loop.time() - time.monotonic()) <= _SAME_CLOCK_S
            found = self._own_clocks[loop] = self._shared if same else LinkStates(self._draw)
        return found

    def report(self) -> tuple[LinkHealth, ...]:
        """Return the health of every link that has ever failed, on the clock of the running loop."""
        states, now = self._here()
        return states.report(now)

    def trip(self, label: str, *, for_ms: float) -> None:
        """Start a pause of ``for_ms`` milliseconds for a link, for example before its provider's maintenance.

        Only calls under a policy with a cooldown pass the link over. Logs a warning if no policy that uses this object
        has both a link of this label and ``failover.cooldown_ms``: the pause would change nothing.

        Raises:
            ValueError: ``for_ms`` is not a number above 0.
        """
        if isinstance(for_ms, bool) or not isinstance(for_ms, int | float) or not 0 < for_ms < math.inf:
            raise ValueError(f"for_ms has to be a number of milliseconds above 0, not {for_ms!r}")
        states, now = self._here()
        states.trip(label, for_ms / 1000, now)
        # Before any policy uses it, and where so many do that not all labels are known, nothing can be said.
        if not self._served.get(label, not self._served or len(self._served) >= MOST_LINKS):
            problem = "no policy with this link sets failover.cooldown_ms"
            if label not in self._served:
                known = ", ".join(map(repr, itertools.islice(self._served, 10)))
                problem = f"no link has this label; there are {known}"
            logger.warning("a pause of %.100r changes nothing: %.500s", label, problem)

    def reset(self, label: str | None = None) -> None:
        """Forget the failures and pauses of one link, or of all links."""
        states, _ = self._here()
        states.reset(label)

    def _here(self) -> tuple[LinkStates, float]:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return self._shared, time.monotonic()
        return self.states(loop), loop.time()


def note_policy(health: Health, labels: Iterable[str], *, cools: bool) -> None:
    """Let ``health`` know the links of a policy that uses it, and whether that policy has a cooldown."""
    served = health._served
    for label in labels:
        if label in served or len(served) < MOST_LINKS:
            served[label] = cools or served.get(label, False)
