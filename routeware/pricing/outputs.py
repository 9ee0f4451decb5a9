"""The largest output that a link has answered with lately: what a projection falls back to.

It must follow what the link does, and one odd number must not price the link out for the rest of the process. So only
the last 1,000 answers count, and a number that is hard to believe waits until a second one confirms it.
"""

from __future__ import annotations

from collections import deque

__all__ = ["MINIMUM_OUTPUT_TOKENS", "LargestOutput"]

MINIMUM_OUTPUT_TOKENS = 1024
"""The output that is projected where neither the call nor the link limits it and none larger has been seen."""

_ANSWERS = 1000
_BELIEVABLE = 10


class LargestOutput:
    """The outputs of one link.

    May be used from several threads at once: the worst that can happen is that one answer is forgotten.

    Attributes:
        tokens: The largest output among the last 1,000 answers, at least 1,024.
    """

    __slots__ = ("_seen", "_since_waiting", "_waiting", "tokens")

    def __init__(self) -> None:
        self.tokens = MINIMUM_OUTPUT_TOKENS
        self._seen: deque[int] = deque(maxlen=_ANSWERS)
        self._waiting = 0
        self._since_waiting = 0

    def learn(self, output_tokens: int, *, deduced: bool = False) -> None:
        """Take in one answer.

        Args:
            output_tokens: Its output.
            deduced: Whether that was deduced from a total instead of being counted.
        """
        seen, largest = self._seen, self.tokens
        if output_tokens > largest or self._waiting:
            output_tokens = self._believed(output_tokens, deduced=deduced)
        oldest = seen[0] if len(seen) == _ANSWERS else 0
        seen.append(output_tokens)
        if output_tokens >= largest:
            self.tokens = output_tokens
        elif oldest >= largest:
            # A copy is one step for other threads; a deque that grows while it is walked raises.
            self.tokens = max(MINIMUM_OUTPUT_TOKENS, *seen.copy())

    def _believed(self, output_tokens: int, *, deduced: bool) -> int:
        """Return as much of an output as can be believed."""
        self._since_waiting += 1
        if self._since_waiting >= _ANSWERS:
            self._waiting = 0
        doubtful = output_tokens > (self.tokens if deduced else _BELIEVABLE * self.tokens)
        return self._confirmed(output_tokens) if doubtful else output_tokens

    def _confirmed(self, output_tokens: int) -> int:
        """Return as much of a doubtful output as the one that waits confirms; the larger of the two waits on."""
        confirmed = min(self._waiting, output_tokens)
        self._waiting = max(self._waiting, output_tokens)
        self._since_waiting = 0
        return confirmed
