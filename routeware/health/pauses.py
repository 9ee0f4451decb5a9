"""What begins a link's pause, how long it is, and which attempt probes the link afterwards, on one clock.

A link that fails several times in a row, or that asks to be left alone, *cools*: calls pass it over until its pause is
over. Then one attempt is let through as the probe; its outcome ends the pause or begins a longer one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from routeware.errors import ErrorCategory
from routeware.locks import Lock

__all__ = [
    "COUNTED",
    "LASTING",
    "LOCK",
    "MOST_LINKS",
    "CooldownRule",
    "LinkHealth",
    "LinkStates",
    "PauseStarted",
    "Ticket",
]

COUNTED = frozenset(
    {
        ErrorCategory.TIMEOUT,
        ErrorCategory.RATE_LIMIT,
        ErrorCategory.OVERLOADED,
        ErrorCategory.SERVER_ERROR,
        ErrorCategory.TRANSIENT_NETWORK,
        ErrorCategory.CANCELLED,
        ErrorCategory.CIRCUIT_OPEN,
    }
)
"""Failures that waiting may cure. Each counts towards a pause, and retries are for these, too."""

LASTING = frozenset({ErrorCategory.QUOTA, ErrorCategory.AUTH})
"""Failures that the next call will meet as well. One of them starts the longest pause."""

_MANUAL = "manual"

MOST_LINKS = 1_024
"""The number of links that are remembered: a policy function that makes up labels must not fill the memory."""

# 2 ** 60 times any pause is past every longest one; larger powers would overflow a float.
_MOST_DOUBLINGS = 60


class CooldownRule(NamedTuple):
    """A policy's cooldown, in seconds: the first pause, failures in a row that begin one, the longest pause."""

    pause_s: float
    after: int
    longest_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkHealth:
    """One link's health at a moment.

    Attributes:
        label: the link's label.
        state: ``ready``; ``cooling`` (also when the pause is over and nothing has probed the link yet, with ``left_ms``
            0); ``probing`` while the probe is in flight.
        failures: failures in a row that counted.
        pauses: pauses in a row, without an answer between them.
        left_ms: the rest of the pause, in milliseconds.
        category: the category of the failure that began the pause, or ``manual``; ``None`` without a pause.
    """

    label: str
    state: Literal["ready", "cooling", "probing"]
    failures: int
    pauses: int
    left_ms: float
    category: str | None


class PauseStarted(NamedTuple):
    """A pause that has just begun: the failures in a row before it, and its length."""

    label: str
    category: str
    failures: int
    pause_ms: float


class Ticket(NamedTuple):
    """A link's state at the start of an attempt, handed back with the attempt's outcome.

    Attributes:
        label: the link's label.
        pauses_seen: how many pauses had begun by then, ever. An outcome says nothing about a later pause.
        probe: True if the attempt is the link's probe.
        last_resort: True if the link cooled, and was tried because nothing else was left.
    """

    label: str
    pauses_seen: int = 0
    probe: bool = False
    last_resort: bool = False


@dataclass(slots=True, eq=False)
class _LinkState:
    """One link's state on one clock. Made by the link's first failure: a link that never failed costs nothing."""

    failures: int = 0
    pauses: int = 0
    begun: int = 0
    until: float = 0.0
    category: str | None = None
    probe: Ticket | None = None

    def begin(self, until: float, category: str) -> None:
        self.pauses += 1
        self.begun += 1
        self.until, self.category, self.probe = until, category, None

    def recover(self) -> None:
        self.failures = self.pauses = 0
        self.until, self.category, self.probe = 0.0, None, None

    def health(self, label: str, now: float) -> LinkHealth:
        return LinkHealth(
            label=label,
            state="ready" if not self.pauses else "probing" if self.probe is not None else "cooling",
            failures=self.failures,
            pauses=self.pauses,
            left_ms=max(0.0, self.until - now) * 1000 if self.pauses else 0.0,
            category=self.category,
        )


LOCK = Lock()
"""One lock for all health of the process: a lost call hands its probe back here, maybe from inside the collector."""


class LinkStates:
    """The state of every link on one clock. ``now`` is always a time of that clock, in seconds.

    Attributes:
        troubled: True if a link has failed or cools. While it is False, nothing is passed over, and no answer says
            anything new, so calls ask nothing else.
    """

    __slots__ = ("_draw", "_fresh", "_links", "troubled")

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._fresh: dict[str, Ticket] = {}
        self._links: dict[str, _LinkState] = {}
        self.troubled = False

    def cooling_until(self, label: str, now: float) -> float | None:
        """Return when the pause of a link that is to be passed over ends (or ended, while its probe is in flight).

        ``None`` if the link may take its place in the chain; :meth:`claim` then says whether as the probe.
        """
        state = self._links.get(label)
        if state is None or not state.pauses or (state.until <= now and state.probe is None):
            return None
        return state.until

    def claim(self, label: str, now: float) -> Ticket:
        """Note that an attempt at a link is about to start, and take the probe if it is due.

        Every ticket is handed back by one of :meth:`answered`, :meth:`failed` and :meth:`said_nothing`.
        """
        state = self._links.get(label) if self.troubled else None
        if state is None:
            # One ticket serves all attempts while all is well: this is what cooldown costs when all is well.
            return self._fresh.get(label) or self._fresh_ticket(label)
        with LOCK.held:
            due = state.pauses > 0 and state.until <= now and state.probe is None
            ticket = Ticket(label, state.begun, probe=due, last_resort=state.pauses > 0 and not due)
            if due:
                state.probe = ticket
            return ticket

    def answered(self, ticket: Ticket) -> bool:
        """Take an answer: it ends the row and the pause. Return True if it ended a pause."""
        state = self._links.get(ticket.label)
        if state is None or (not state.failures and not state.pauses) or ticket.pauses_seen < state.begun:
            # An answer to a question from before the pause says nothing about what made the link cool since.
            return False
        with LOCK.held:
            paused = state.pauses > 0
            state.recover()
            self._note_recovery(ticket.label, state)
            return paused

    def failed(
        self, ticket: Ticket, rule: CooldownRule, category: ErrorCategory, retry_after_ms: float | None, now: float
    ) -> PauseStarted | None:
        """Take a failure that the policy fails over on. Return the pause that it begins, if any."""
        asked_s = min((retry_after_ms or 0.0) / 1000, rule.longest_s)
        if category not in COUNTED and category not in LASTING and asked_s <= 0:
            self.said_nothing(ticket)
            return None
        with LOCK.held:
            state = self._state(ticket.label)
            if ticket.pauses_seen < state.begun or (state.pauses and not ticket.probe):
                # Started before the pause, or tried as the last resort in it: a hundred calls that fail together are
                # one pause. A longer Retry-After is news all the same.
                if state.pauses and asked_s > 0:
                    state.until = max(state.until, now + self._spread(asked_s))
                return None
            state.failures += 1
            self.troubled = True
            length_s = self._length_s(state, ticket, rule, category, asked_s)
            if length_s <= 0:
                return None
            length_s = self._spread(length_s)
            state.begin(now + length_s, category.value)
            return PauseStarted(ticket.label, category.value, state.failures, length_s * 1000)

    def said_nothing(self, ticket: Ticket) -> None:
        """Hand back a ticket whose attempt says nothing about its link: cut off, refused, or failed in another way."""
        if not ticket.probe:
            return
        state = self._links.get(ticket.label)
        if state is not None and state.probe is ticket:
            # The next call probes. Not under the lock: one store, and this may run inside the collector.
            state.probe = None

    def trip(self, label: str, pause_s: float, now: float) -> None:
        """Begin a pause by hand; a longer one that runs already stays as it is."""
        with LOCK.held:
            state = self._state(label)
            state.begin(max(state.until, now + pause_s), _MANUAL)
            self.troubled = True

    def reset(self, label: str | None) -> None:
        """Forget what is known of one link, or of all."""
        with LOCK.held:
            for name, state in self._links.items():
                if label is None or name == label:
                    state.recover()
                    # What is in flight was started under what is forgotten: it must say nothing about what follows.
                    state.begun += 1
                    self._note_recovery(name, state)

    def report(self, now: float) -> tuple[LinkHealth, ...]:
        """Return the health of every link that has ever failed, in the order of their first failures."""
        with LOCK.held:
            links = list(self._links.items())
        return tuple(state.health(label, now) for label, state in links)

    def _fresh_ticket(self, label: str) -> Ticket:
        if len(self._fresh) >= MOST_LINKS:
            self._fresh.clear()
        state = self._links.get(label)
        ticket = self._fresh[label] = Ticket(label, 0 if state is None else state.begun)
        return ticket

    def _note_recovery(self, label: str, state: _LinkState) -> None:
        # A ticket from before the pause would say nothing about what follows.
        self._fresh[label] = Ticket(label, state.begun)
        self.troubled = any(one.failures or one.pauses for one in self._links.values())

    def _state(self, label: str) -> _LinkState:
        state = self._links.get(label)
        if state is None:
            if len(self._links) >= MOST_LINKS:
                idle = (name for name, one in self._links.items() if not one.failures and not one.pauses)
                del self._links[next(idle, next(iter(self._links)))]
            state = self._links[label] = _LinkState()
        return state

    def _length_s(
        self, state: _LinkState, ticket: Ticket, rule: CooldownRule, category: ErrorCategory, asked_s: float
    ) -> float:
        """Work out how long the pause is that a failure begins; 0 if it begins none."""
        if category in LASTING:
            return rule.longest_s
        if category in COUNTED and (ticket.probe or state.failures >= rule.after):
            doubled_s = math.ldexp(rule.pause_s, min(state.pauses, _MOST_DOUBLINGS))
            return max(asked_s, min(doubled_s, rule.longest_s))
        return asked_s

    def _spread(self, seconds: float) -> float:
        """Add up to a tenth at random, so that processes do not come back together."""
        return seconds * (1 + 0.1 * self._draw())
