"""Events: the named moments of a call, on its span and in the standard log."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from routeware.telemetry.spans import CallTrace

__all__ = ["Events", "debugging"]

logger = logging.getLogger("routeware")


class Events:
    """The named moments of a call: on its span and, where enabled, in the ``routeware`` logger."""

    __slots__ = ("_prefix",)

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def say(self, calltrace: CallTrace | None, event: str, level: int = logging.DEBUG, **fields: Any) -> None:
        """Leave an event on the call's span and in the log."""
        if calltrace is not None and calltrace.recording:
            told = {key: value for key, value in fields.items() if value is not None}
            calltrace.span.add_event(f"{self._prefix}.{event}", told)
        self.log(event, level, **fields)

    def log(self, event: str, level: int = logging.DEBUG, **fields: Any) -> None:
        """Leave an event in the log only."""
        if logger.isEnabledFor(level):
            told = (level, "%s.%s %s", self._prefix, event, _shown(fields))
            try:
                logger.log(*told, extra=fields)
            except KeyError:
                # The program's own record factory sets a field of this name: its value stays, ours is in the text.
                logger.log(*told)


def _shown(fields: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={_text(value)}" for key, value in fields.items() if value is not None)


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def debugging() -> bool:
    """Whether anybody reads events of the lowest level."""
    return logger.isEnabledFor(logging.DEBUG)
