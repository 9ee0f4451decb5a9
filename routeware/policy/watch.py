"""Follow a policy file while a service runs: the newest policy that is right is in force.

A file is replaced while calls are made, by hand, by a deployment, half-written for a moment. Reading it at every call
would fail those calls. Here a file that is gone, unreadable or wrong leaves the last good policy in force, and is said
once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from routeware.errors import PolicyError
from routeware.policy import checks

__all__ = ["PolicyFile"]

logger = logging.getLogger("routeware")

Policy = TypeVar("Policy")


class _Version(NamedTuple):
    """The marks of a file's version that need no reading of the file."""

    modified_ns: int
    size: int
    inode: int


class PolicyFile(Generic[Policy]):
    """The policy that is in force in a file; call it to get that policy.

    Args:
        read: reads the file, and raises ``OSError`` or ``PolicyError`` if it cannot be read or is wrong.
        path: the file, for looking whether it has changed.
        every_ms: how often it is looked at, at most.
        describe: says what is in force, for the log.

    Raises:
        OSError: the file cannot be read now.
        PolicyError: it is wrong now, or ``every_ms`` is not a number above 0.
    """

    __slots__ = ("_describe", "_every_s", "_last_look", "_path", "_policy", "_read", "_refused", "_version", "_wrong")

    def __init__(
        self,
        read: Callable[[], Policy],
        path: str | os.PathLike[str],
        every_ms: float,
        describe: Callable[[Policy], str],
    ) -> None:
        self._every_s = checks.finite(every_ms, "every_ms", above=0) / 1000
        self._read = read
        self._path = path
        self._describe = describe
        self._wrong = False
        self._refused: Policy | None = None
        # The version is noted before reading, so that a change in between is seen at the next look.
        self._version: _Version | None = _version(path)
        self._policy = read()
        self._last_look = _now()

    def __call__(self) -> Policy:
        """Return the policy in force, looking at the file if the last look is ``every_ms`` ago."""
        now = _now()
        # A clock behind the last look is another loop's: it says nothing about how long ago that was.
        if now - self._last_look >= self._every_s or now < self._last_look:
            self._last_look = now
            self._look()
        return self._policy

    def refuse(self, policy: Policy, error: PolicyError) -> Policy | None:
        """Take back a policy that turned out to be wrong when it was prepared, such as a cap over an unpriced link.

        Returns:
            The policy that was in force before, which is in force again; ``None`` if there was none.
        """
        if policy is not self._policy or self._refused is None:
            return None
        before, self._refused = self._refused, None
        self._policy = before
        self._warn(error)
        return before

    def _look(self) -> None:
        try:
            version = _version(self._path)
            if version == self._version:
                return
            policy = self._read()
        except (OSError, PolicyError) as error:
            # Not noted as seen: a file that is half-written now may be whole at the next look, with the same size.
            self._version = None
            self._warn(error)
            return
        self._version = version
        recovered, self._wrong = self._wrong, False
        if policy != self._policy:
            self._refused, self._policy = self._policy, policy
            logger.info("policy file %s: %s is in force now", os.fspath(self._path), self._describe(policy))
        elif recovered:
            logger.info("policy file %s is right again: %s", os.fspath(self._path), self._describe(policy))

    def _warn(self, error: OSError | PolicyError) -> None:
        if not self._wrong:
            self._wrong = True
            logger.warning(
                "policy file %s cannot be used, the policy from before stays in force: %s", os.fspath(self._path), error
            )


def _version(path: str | os.PathLike[str]) -> _Version:
    status = os.stat(path)  # noqa: PTH116 - a path given as text is not turned into an object at every look
    return _Version(status.st_mtime_ns, status.st_size, status.st_ino)


def _now() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
