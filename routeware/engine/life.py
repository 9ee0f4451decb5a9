"""The life of an attempt: its places, and the steps between them, in one table."""

from __future__ import annotations

from enum import Enum

__all__ = ["LIFE", "Life"]


class Life(Enum):
    """The places in the life of an attempt."""

    WAITING = "waiting"
    RUNNING = "running"
    ANSWERED = "answered"
    DETACHED = "detached"
    ENDED = "ended"

    # A member's own hash is worked out in Python, which takes as long as the step.
    __hash__ = object.__hash__


LIFE: dict[Life, tuple[Life, ...]] = {
    # For its reservation. It ends without having run where its link is skipped or a budget refuses it.
    Life.WAITING: (Life.RUNNING, Life.ENDED),
    # From its start on, before its function is called, until it has answered, failed or been given up.
    Life.RUNNING: (Life.ANSWERED, Life.ENDED, Life.DETACHED),
    # Its answer is accepted, and its function goes on: a stream after its first item.
    Life.ANSWERED: (Life.ENDED, Life.DETACHED),
    # Its call has gone on without it; it still runs.
    Life.DETACHED: (Life.ENDED,),
    Life.ENDED: (),
}
"""The steps that an attempt's life may take."""
