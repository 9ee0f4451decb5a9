"""Log lines: the named events of a call, under the standard logger ``routeware``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from routeware.observers import FOREIGN, AttemptFacts, report_broken
from routeware.policy import RoutingPolicy
from routeware.text import bounded, visible

__all__ = ["EventLog"]

logger = logging.getLogger("routeware")
logger.addHandler(logging.NullHandler())  # otherwise Python prints warnings of programs that have set up no logging


class EventLog:
    """The log lines of one policy's calls: ``<emit_event>.<event> key=value ...``, with the fields in ``extra``."""

    __slots__ = ("_broken", "_policy", "prefix")

    def __init__(self, policy: RoutingPolicy, broken: set[str]) -> None:
        self._policy = policy
        self._broken = broken
        self.prefix = policy.observe.emit_event

    def event(self, event: str, level: int, fields: Mapping[str, object]) -> None:
        """Write one event, where its level is enabled."""
        if not logger.isEnabledFor(level):
            return
        try:
            safe = {key: bounded(value) if isinstance(value, str) else value for key, value in fields.items()}
            line = (level, "%s.%s %s", self.prefix, event, _shown(safe))
            try:
                logger.log(*line, extra=safe)
            except KeyError:
                # The program's own record factory sets a field of this name: its value stays, ours is in the text.
                logger.log(*line)
        except FOREIGN as error:
            # A filter, a handler or a record factory of the program: it must not lose an answer that is there.
            report_broken(self._broken, "EventLog", error)

    def call_started(self) -> None:
        """Write which policy a call follows."""
        policy = self._policy
        fields = {
            "policy": policy.label,
            "chain_length": len(policy.chain),
            "max_attempts": policy.max_attempts,
            "chain": [link.label for link in policy.chain],
        }
        self.event("decision", logging.DEBUG, fields)

    def attempt_ended(self, attempt: AttemptFacts) -> None:
        """Write how an attempt ended."""
        assert attempt.status is not None
        failure = attempt.failure
        fields = {
            "number": attempt.number,
            "link": attempt.link.label,
            "trigger": attempt.trigger.value,
            "status": attempt.status.value,
            "category": failure.snapshot.category.value if failure is not None else None,
            "duration_ms": attempt.duration_ms,
        }
        self.event("attempt", logging.DEBUG, fields)


def _shown(fields: Mapping[str, object]) -> str:
    return " ".join(f"{key}={_text(value)}" for key, value in fields.items() if value is not None)


def _text(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
    return visible(text)  # a line break in a name would forge a line of the log
