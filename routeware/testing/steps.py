"""The steps of a script: what a link does at one attempt.

Errors are made anew for each attempt, and classified like any other. Nothing in the classifier knows them: each says
what it means the way an SDK's error does, by a status, a code, or the name of its class.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from routeware.engine import Attempt
from routeware.errors import ErrorCategory
from routeware.money import Usage

__all__ = [
    "ScriptError",
    "ScriptedProviderError",
    "after",
    "answers",
    "check_step",
    "fails",
    "hangs",
    "play_function",
    "play_generator",
    "streams",
    "wait",
]


class ScriptError(AssertionError):
    """A script has no step for an attempt, or one that cannot be played. It ends the call: no rule fails over on it."""


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

    Raises:
        TypeError: a name that it does not take.
        ValueError: a count that is not a whole number from 0 to 2^53.
    """
    Usage(**usage)  # refuses a mistake here, in the test: at the attempt it would pass for the provider's failure
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
    """Make a step for a generator function: each of ``steps`` is an item, an exception to raise, or :func:`wait`.

    Raises:
        ValueError: one of ``steps`` is for a whole attempt.
    """
    if any(isinstance(one, _After | _Hangs | _Answers | _Streams) for one in steps):
        raise ValueError("streams() takes items, errors and wait(ms): after, hangs and answers are whole steps")
    return _Streams(steps)


def _seconds(ms: float) -> float:
    if isinstance(ms, bool) or not isinstance(ms, int | float) or not 0 <= ms < float("inf"):
        raise ValueError(f"a number of milliseconds of at least 0 is needed, not {ms!r}")
    return ms / 1000


async def _due(step: object) -> object:
    """Wait, hang or fail as ``step`` says, or return its result.

    Raises:
        BaseException: what the step says.
    """
    while isinstance(step, _After):
        await asyncio.sleep(step.seconds)
        step = step.step
    _raise_if_error(step)
    if isinstance(step, _Hangs):
        await asyncio.get_running_loop().create_future()
    return step


async def play_function(step: object, attempt: Attempt, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Play one step of a provider function. Raises what the step says."""
    step = await _due(step)
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
    """Play one step of a provider function that is an async generator function. Raises what the step says."""
    step = await _due(step)
    if isinstance(step, _Streams):
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


# Failures.


class ScriptedProviderError(Exception):
    """A provider's failure, as a script plays it.

    Attributes:
        status_code: the HTTP status; absent where there was no answer.
        code: the provider's code; absent without one.
        response: where the ``Retry-After`` header is; absent without one.
    """

    def __init__(self, status: int | None = None, code: str | None = None, retry_after_ms: float | None = None) -> None:
        super().__init__("a scripted failure")
        if status is not None:
            self.status_code = status
        if code is not None:
            self.code = code
        if retry_after_ms is not None:
            self.response = SimpleNamespace(headers={"retry-after-ms": f"{retry_after_ms:g}"})


class ScriptedTimeoutError(ScriptedProviderError, TimeoutError):
    """Passes for the built-in one, as the time-outs of most clients do."""


class ScriptedConnectionError(ScriptedProviderError, ConnectionError):
    """Passes for the built-in one."""


class ToolError(ScriptedProviderError):
    """Is known by its name."""


class ToolRejectedError(ScriptedProviderError):
    """Is known by its name."""


class EgressBlockedError(ScriptedProviderError):
    """Is known by its name."""


_Made = tuple[type[ScriptedProviderError], int | None, str | None]

_BY_CATEGORY: dict[ErrorCategory, _Made] = {
    ErrorCategory.TIMEOUT: (ScriptedTimeoutError, None, None),
    ErrorCategory.RATE_LIMIT: (ScriptedProviderError, 429, None),
    ErrorCategory.QUOTA: (ScriptedProviderError, 402, None),
    ErrorCategory.OVERLOADED: (ScriptedProviderError, 503, "overloaded"),
    ErrorCategory.SERVER_ERROR: (ScriptedProviderError, 500, None),
    ErrorCategory.TRANSIENT_NETWORK: (ScriptedConnectionError, None, None),
    ErrorCategory.AUTH: (ScriptedProviderError, 401, None),
    ErrorCategory.NOT_FOUND: (ScriptedProviderError, 404, None),
    ErrorCategory.BAD_REQUEST: (ScriptedProviderError, 400, None),
    ErrorCategory.CONTEXT_LENGTH: (ScriptedProviderError, 400, "context_length_exceeded"),
    ErrorCategory.CONTENT_POLICY: (ScriptedProviderError, 400, "content_filter"),
    ErrorCategory.SCHEMA_VALIDATION: (ScriptedProviderError, None, "schema_validation"),
    ErrorCategory.TOOL_ERROR: (ToolError, None, None),
    ErrorCategory.TOOL_REJECTED: (ToolRejectedError, None, None),
    ErrorCategory.EGRESS_BLOCKED: (EgressBlockedError, None, None),
    ErrorCategory.CIRCUIT_OPEN: (ScriptedProviderError, None, "circuit_open"),
    ErrorCategory.CANCELLED: (ScriptedProviderError, None, "cancelled"),
    ErrorCategory.GENERIC: (ScriptedProviderError, None, None),
}


@dataclass(frozen=True, eq=False)
class Fails:
    """A step that raises a new error at each attempt."""

    make: Callable[[], BaseException]


def fails(what: int | str | BaseException, *, code: str | None = None, retry_after_ms: float | None = None) -> Fails:
    """Make a step that fails.

    Args:
        what: an HTTP status (429), a category by name (``"rate_limit"``), or the exception to raise.
        code: the provider's code, such as ``"insufficient_quota"``.
        retry_after_ms: how long the provider asks to be left alone.

    Raises:
        ValueError: a status or a category that there is not; ``code`` or ``retry_after_ms`` with an exception; a
            ``retry_after_ms`` that is not a number of at least 0.
    """
    if isinstance(what, BaseException):
        if code is not None or retry_after_ms is not None:
            raise ValueError("an exception brings its own code and Retry-After: give fails() the exception alone")
        return Fails(lambda: what)
    kind, status, own_code = _made_of(what)
    if retry_after_ms is not None:
        _seconds(retry_after_ms)
    return Fails(lambda: kind(status, own_code if code is None else code, retry_after_ms))


def _made_of(what: int | str) -> _Made:
    if isinstance(what, str):
        known = {category.value: made for category, made in _BY_CATEGORY.items()}
        if what in known:
            return known[what]
        hint = {"rejected": "use @ask.accept", "budget_exceeded": "give the policy or a session a cap"}.get(what)
        raise ValueError(f"no provider fails with {what!r}: {hint or 'known are ' + ', '.join(known)}")
    if isinstance(what, bool) or not isinstance(what, int) or not 400 <= what <= 599:
        raise ValueError(f"fails() takes a status from 400 to 599, a category or an exception, not {what!r}")
    return ScriptedProviderError, what, None
