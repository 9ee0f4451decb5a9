"""The steps of a script: what a link does at one attempt."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from routeware.engine import Attempt
from routeware.testing.errors import ScriptError
from routeware.testing.failures import Fails

__all__ = ["after", "answers", "check_step", "hangs", "play_function", "play_generator", "streams", "wait"]


@dataclass(frozen=True, eq=False)
class _Answers:
    value: object
    usage: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class _After:
    seconds: float
    step: object


@dataclass(frozen=True, eq=False)
class _Hangs:
    pass


@dataclass(frozen=True, eq=False)
class _Wait:
    seconds: float


@dataclass(frozen=True, eq=False)
class _Streams:
    steps: tuple[object, ...]


def answers(value: object, **usage: Any) -> _Answers:
    """Make a step that answers with ``value``, also where that is a list, a function or an exception.

    Args:
        value: the answer.
        usage: what is reported on the attempt, as :meth:`Attempt.report_usage` takes it: ``input_tokens=12``.
    """
    return _Answers(value, usage)


def after(ms: float, step: object) -> _After:
    """Make a step that plays ``step`` after ``ms`` milliseconds on the loop's clock."""
    return _After(_seconds(ms), step)


def hangs() -> _Hangs:
    """Make a step that never ends by itself: a time-out, a deadline or a cancellation ends it."""
    return _Hangs()


def wait(ms: float) -> _Wait:
    """Wait ``ms`` milliseconds between two items of :func:`streams`."""
    return _Wait(_seconds(ms))


def streams(*steps: object) -> _Streams:
    """Make a step for a generator function: each of ``steps`` is an item, an exception to raise, or :func:`wait`."""
    return _Streams(steps)


def _seconds(ms: float) -> float:
    if isinstance(ms, bool) or not isinstance(ms, int | float) or not 0 <= ms < float("inf"):
        raise ValueError(f"a number of milliseconds of at least 0 is needed, not {ms!r}")
    return ms / 1000


async def play_function(step: object, attempt: Attempt, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Play one step of a provider function.

    Raises:
        BaseException: what the step says.
    """
    while isinstance(step, _After):
        await asyncio.sleep(step.seconds)
        step = step.step
    _raise_if_error(step)
    if isinstance(step, _Hangs):
        return await asyncio.get_running_loop().create_future()
    if isinstance(step, _Answers):
        attempt.report_usage(**step.usage)
        return step.value
    if callable(step):
        result = step(attempt, *args, **kwargs)
        return await result if inspect.isawaitable(result) else result
    return step


async def play_generator(
    step: object, attempt: Attempt, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> AsyncGenerator[Any, None]:
    """Play one step of a provider function that is an async generator function.

    Raises:
        BaseException: what the step says.
    """
    while isinstance(step, _After):
        await asyncio.sleep(step.seconds)
        step = step.step
    _raise_if_error(step)
    if isinstance(step, _Hangs):
        await asyncio.get_running_loop().create_future()
    elif isinstance(step, _Streams):
        for one in step.steps:
            _raise_if_error(one)
            if isinstance(one, _Wait):
                await asyncio.sleep(one.seconds)
            else:
                yield one
    else:
        assert callable(step)
        items: AsyncIterator[Any] = step(attempt, *args, **kwargs)
        async for item in items:
            yield item


def check_step(step: object, *, generator: bool) -> None:
    """Refuse a step that cannot be played.

    Raises:
        ScriptError: it is one for the other kind of function.
    """
    while isinstance(step, _After):
        step = step.step
    if isinstance(step, list):
        raise ScriptError("a list gives one step for each attempt, and holds no further list: use answers([...])")
    if isinstance(step, _Wait):
        raise ScriptError("wait() stands between the items of streams(): use after(ms, step)")
    if not generator and isinstance(step, _Streams):
        raise ScriptError("streams() is for generator functions: a function's step is its answer, or answers(...)")
    plays = isinstance(step, _Streams | _Hangs | Fails | BaseException) or callable(step)
    if generator and not plays:
        raise ScriptError("a generator function's step is streams(...), an error, hangs() or a generator function")


def _raise_if_error(step: object) -> None:
    if isinstance(step, Fails):
        raise step.make()
    if isinstance(step, BaseException) or (isinstance(step, type) and issubclass(step, BaseException)):
        raise step
