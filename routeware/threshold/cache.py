"""The learned state of one decorated function: windows by link, learners by rules.

All views of the function share it, so a view with other settings begins with what is known of its links, and a view
that is made anew for every call goes on with the learner of the one before.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Hashable

from routeware.policy import Link, RoutingPolicy
from routeware.threshold.learner import Learner
from routeware.threshold.window import LinkHistory

__all__ = ["LearnerCache"]

# A policy that is made up at every call must not fill the memory.
_MOST_LINKS = 64
_MOST_LEARNERS = 16


class LearnerCache:
    """Windows and learners of one decorated function; the latest used are kept.

    Args:
        draw: where chance comes from: draws from 0 to 1, 1 excluded; ``random.random`` by default.
    """

    def __init__(self, draw: Callable[[], float] | None = None) -> None:
        self._draw = random.random if draw is None else draw
        self._histories: OrderedDict[Link, LinkHistory] = OrderedDict()
        self._learners: OrderedDict[Hashable, Learner] = OrderedDict()
        self._uses_sizes = False

    def use_sizes(self) -> None:
        """Use sizes under every policy, whatever its ``latency.by_size`` says."""
        self._uses_sizes = True
        for learner in self._learners.values():
            learner.use_sizes()

    def draw_by(self, draw: Callable[[], float]) -> None:
        """Let learners that are made from now on draw by ``draw``."""
        self._draw = draw

    def learner(self, policy: RoutingPolicy) -> Learner | None:
        """Return the learner for a policy; ``None`` if it has no target, or no link to race with."""
        latency = policy.latency
        if latency.target_ms is None or policy.max_attempts < 2 or len(policy.chain) < 2:
            return None
        sized = latency.by_size or self._uses_sizes
        rules = (
            *(policy.chain, latency.target_p95_ms, latency.target_p99_ms, latency.race_after_ms),
            *(latency.max_extra, latency.explore, latency.swap_in_outage, sized),
        )
        found = self._learners.pop(rules, None)
        if found is None:
            histories = [self._history(link) for link in policy.chain]
            found = Learner(latency, histories, self._draw, by_size=sized)
        self._learners[rules] = found
        if len(self._learners) > _MOST_LEARNERS:
            self._learners.popitem(last=False)
        return found

    def _history(self, link: Link) -> LinkHistory:
        history = self._histories.pop(link, None) or LinkHistory(link.label)
        self._histories[link] = history
        if len(self._histories) > _MOST_LINKS:
            self._histories.popitem(last=False)
        return history
