"""A loop that asks which of the callbacks that are ready in one turn runs next.

asyncio runs them in the order in which they became ready. Sockets, threads and timers make that order an accident, so
the engine must be right in any of them. Whatever becomes ready during a turn belongs to the next one, as on any loop.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from tests.fakes.clock import JumpingLoop

__all__ = ["Choices", "ChoosingLoop", "Drawn", "Following"]


class Choices:
    """Decides which callback runs next, and remembers what there was to choose from.

    Attributes:
        taken: the place that was chosen among the ready callbacks, and how many there were; only where several were.
    """

    def __init__(self) -> None:
        self.taken: list[tuple[int, int]] = []

    def among(self, ready: int) -> int:
        """Choose one of so many."""
        if ready == 1:
            return 0
        place = self._choose(ready)
        self.taken.append((place, ready))
        return place

    def _choose(self, ready: int) -> int:
        raise NotImplementedError

    @property
    def places(self) -> list[int]:
        """What was chosen, as :class:`Following` takes it, without the zeros at the end."""
        places = [place for place, _ in self.taken]
        while places and not places[-1]:
            places.pop()
        return places


class Following(Choices):
    """Follows choices that were written down; after these the first callback runs first, as on an ordinary loop."""

    def __init__(self, places: Sequence[int] = ()) -> None:
        super().__init__()
        self._places = places

    def _choose(self, ready: int) -> int:
        number = len(self.taken)
        return min(self._places[number], ready - 1) if number < len(self._places) else 0


class Drawn(Choices):
    """Draws its choices from a seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)

    def _choose(self, ready: int) -> int:
        return self._random.randrange(ready)


class _Ready(deque[Any]):
    """The loop's queue of ready callbacks, of which this turn's are taken in the chosen order."""

    def __init__(self, among: Callable[[int], int]) -> None:
        super().__init__()
        self._among = among
        self._left = 0  # of this turn

    def popleft(self) -> Any:
        # The loop counts its callbacks when a turn begins, and takes as many.
        self._left = self._left or len(self)
        place = self._among(self._left)
        self._left -= 1
        handle = self[place]
        del self[place]
        return handle


class ChoosingLoop(JumpingLoop):
    """A loop whose clock jumps and whose order is chosen."""

    def __init__(self, choices: Choices) -> None:
        super().__init__()
        self._ready = _Ready(choices.among)
