"""Playing a script in place of provider functions.

The real engine runs: failover, races, budgets, records and spans are what they are in production. Only the lookup of a
provider function finds something else, and only in the context that entered the script.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from routeware.decorator import RoutedGenerator, View, registrations_of
from routeware.engine import Attempt, ProviderFunction, Registrations
from routeware.policy import Link, nearest
from routeware.records import CallRecord
from routeware.testing.steps import ScriptError, check_step, play_function, play_generator

__all__ = ["Play", "ScriptedAttempt", "is_scripted", "listening", "scripted"]


@dataclass(frozen=True)
class ScriptedAttempt:
    """One attempt that a script has played: at which link, and with which arguments of the caller."""

    label: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(eq=False)
class Play:
    """A script while it is played.

    Attributes:
        attempts: the attempts so far, in the order of their starts.
        calls: the records of the calls that have ended.
    """

    attempts: list[ScriptedAttempt] = field(default_factory=list)
    calls: list[CallRecord] = field(default_factory=list)


@dataclass(eq=False)
class _Scene:
    """A play, its script, and the steps that remain in the script's lists."""

    play: Play
    steps: dict[str, object]
    generator: bool

    def next_step(self, link: Link) -> object:
        """Take the step for an attempt at ``link``.

        Raises:
            ScriptError: there is none.
        """
        for key in _keys(link):
            if key in self.steps:
                step = self.steps[key]
                if not isinstance(step, list):
                    return step
                if step:
                    return step.pop(0)
                raise ScriptError(f"the list of steps for {key!r} has run out at an attempt at {link.label!r}")
        raise ScriptError(f"the script has no step for {link.label!r}: it has {', '.join(map(repr, self.steps))}")


_SCENES: ContextVar[Mapping[Registrations, _Scene]] = ContextVar("routeware.testing.scenes", default={})  # noqa: B039


_lock = threading.RLock()
_users: dict[Registrations, list[list[CallRecord] | None]] = {}
"""The scripts that replace the functions of one decorated function, while any of them is in use: where each puts the
records of all calls, if anywhere.
"""


def _enter(registrations: Registrations, heard: list[CallRecord] | None) -> None:
    """Replace the functions, and put all records in ``heard``."""
    with _lock:
        users = _users.setdefault(registrations, [])
        users.append(heard)
        if len(users) == 1:
            _stand_in(registrations, users)


def _leave(registrations: Registrations, heard: list[CallRecord] | None) -> None:
    """Restore the functions, unless another script needs it."""
    with _lock:
        users = _users[registrations]
        del users[next(at for at, one in enumerate(users) if one is heard)]
        if not users:
            del _users[registrations]
            registrations.step_back()


def _stand_in(registrations: Registrations, users: list[list[CallRecord] | None]) -> None:
    def play(
        real: ProviderFunction, owner: object, attempt: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        scene = _SCENES.get().get(registrations)
        # A script error is raised before there is anything to await: so it passes for a mistake of the caller's, which
        # no rule fails over on.
        return real(owner, attempt, args, kwargs) if scene is None else _act(scene, attempt, args, kwargs)

    def hear(record: CallRecord) -> None:
        scene = _SCENES.get().get(registrations)
        if scene is not None:
            scene.play.calls.append(record)
        for heard in list(users):
            if heard is not None:
                heard.append(record)

    registrations.stand_in(play, hear)


def _act(scene: _Scene, attempt: Attempt, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    scene.play.attempts.append(ScriptedAttempt(attempt.label, args, dict(kwargs)))
    step = scene.next_step(attempt.link)
    check_step(step, generator=scene.generator)
    player = play_generator if scene.generator else play_function
    return player(step, attempt, args, kwargs)


def is_scripted(registrations: Registrations) -> bool:
    """Return True if a script replaces these functions in this context."""
    return registrations in _SCENES.get()


@contextmanager
def listening(registrations: Registrations, heard: list[CallRecord]) -> Iterator[None]:
    """Put the records of all calls of a function in ``heard``."""
    _enter(registrations, heard)
    try:
        yield
    finally:
        _leave(registrations, heard)


@contextmanager
def scripted(ask: View[..., Any], script: Mapping[str, object]) -> Generator[Play]:
    """Play ``script`` in place of the provider functions of ``ask``, in this context and the tasks made in it.

    Args:
        ask: a routed function, or a view of one. All its views are played.
        script: a step by label, model, provider, or ``"*"`` for all links, asked in this order. A step is an answer; an
            exception, which is raised; a function of the attempt and the caller's arguments; what ``answers``,
            ``fails``, ``after``, ``hangs`` and ``streams`` give; or a list of these, one for each attempt.

    Raises:
        TypeError: ``ask`` is not routed.
        ValueError: a key that no link of its policy has.
    """
    if not isinstance(ask, View):
        raise TypeError(f"a routed function is needed, one made by @routed, not {ask!r}")
    registrations = registrations_of(ask)
    play = Play()
    scene = _Scene(play, _checked(script, ask.policy.chain), isinstance(ask, RoutedGenerator))
    _enter(registrations, None)
    token = _SCENES.set({**_SCENES.get(), registrations: scene})
    try:
        yield play
    finally:
        _SCENES.reset(token)
        _leave(registrations, None)


def _keys(link: Link) -> tuple[str, ...]:
    return link.label, link.model, link.provider, "*"


def _checked(script: Mapping[str, object], chain: tuple[Link, ...]) -> dict[str, object]:
    known = dict.fromkeys(key for link in chain for key in _keys(link))
    for key in script:
        if key not in known:
            close = nearest(str(key), known)
            hint = f"did you mean {close!r}?" if close else f"known are {', '.join(map(repr, known))}"
            raise ValueError(f"no link of the policy has the label, model or provider {key!r}: {hint}")
    # Lists are used up while they are played; the caller's own stays whole.
    return {key: list(step) if isinstance(step, list) else step for key, step in script.items()}
