"""Routed async generator functions, and the streams that calling one gives."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextvars import copy_context
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar

from routeware.decorator.signatures import require_generator
from routeware.decorator.view import Provider, View, make_call, provider_for, registrations_of
from routeware.engine import Call, Stream
from routeware.errors import StreamClosedError
from routeware.policy import Link
from routeware.records import CallRecord, Outcome

__all__ = ["RoutedGenerator", "RoutedStream"]

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")
T_co = TypeVar("T_co", covariant=True)


class RoutedGenerator(View[P, T_co]):
    """An async generator function that goes along a chain of providers to its first item. Made by :func:`routed`.

    Call it as the function it was made from, without the attempt, and read the :class:`RoutedStream` that it gives.
    """

    __wrapped__: Callable[..., AsyncIterator[Any]]

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> RoutedStream[T_co]:
        """Give a stream. Nothing is called, reserved or timed before it is started or read."""

        def make(stream: Stream) -> Call:
            call = make_call(self, args, kwargs)
            call.stream_by(stream.launch)
            return call

        return RoutedStream(Stream(make, copy_context()))

    async def outcome(self, /, *args: P.args, **kwargs: P.kwargs) -> Outcome[list[T_co]]:
        """Route a call and read it to its end: the list of its items, and its record. Raises what reading raises."""
        stream = self(*args, **kwargs)
        async with stream:
            items = [item async for item in stream]
        assert stream.record is not None
        return Outcome(items, stream.record)

    def provider(self, *names: str) -> Provider[P, AsyncIterator[T_co]]:
        """Register another async generator function for the providers of these names.

        Raises:
            TypeError: no name, or one that is no string; or what is decorated is no async generator function, or takes
                no attempt.
        """
        return provider_for(self, names, require_generator)

    def first_item(self, counts: Callable[[T_co], bool], /) -> Callable[[T_co], bool]:
        """Register a test for the first item that counts as an answer.

        That item wins a race, and earlier ones are held back until then.

        Args:
            counts: ``(item) -> bool``, not async; asked for each item until one counts. By default the first of all
                does. :func:`routeware.has_output` knows the items of the common APIs.
        """
        registrations_of(self).begin_by(_sync(counts, "first_item"))
        return counts

    def last_item(self, ends: Callable[[T_co], bool], /) -> Callable[[T_co], bool]:
        """Register a test for the item that completes an answer: a stream that ends without one is truncated.

        Args:
            ends: ``(item) -> bool``, not async; asked for each item until one does. :func:`routeware.is_final` knows
                the items of the common APIs.
        """
        registrations_of(self).end_by(_sync(ends, "last_item"))
        return ends


class RoutedStream(Generic[T_co]):
    """The items of one call of a routed generator function. Read it with ``async for``, best inside ``async with``.

    It has one reader at a time, which may be a different task each time. Each item is produced on request.
    """

    __slots__ = ("__weakref__", "_is_read", "_stream")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._is_read = False

    async def start(self) -> Self:
        """Route the call until an attempt has its first item, and return the stream. Called again, it returns at once.

        Raises:
            RuntimeError: another task is starting it.
            StreamClosedError: it was closed before it was started, or has failed to start before.
            BaseException: what calling a routed function raises, where no attempt answers.
        """
        await self._stream.open()
        if self._stream.link is None:
            raise StreamClosedError("this stream ended before an attempt had answered: call the function again")
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T_co:
        stream = self._stream
        if self._is_read:
            raise RuntimeError("this stream is being read by another task")
        if stream.flow is None:
            await stream.open()
        self._is_read = True
        try:
            flow = stream.flow
            if flow is not None:
                waiter = flow.ask()
                if waiter is not None:
                    if stream.bounds is not None:
                        stream.bounds.watch()
                    await waiter
                if flow.ready and stream.flow is not None:
                    item: T_co = flow.take()
                    return item
            await stream.end_reading()
        except asyncio.CancelledError as error:
            await stream.cancel(error)
            raise
        finally:
            self._is_read = False

    async def aclose(self) -> None:
        """Cut the generator off, and wait for it, at most 250 ms. Called again, it returns at once.

        Raises:
            RuntimeError: another task is starting it.
            BaseException: what the generator raises while it is closed.
        """
        await self._stream.close()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if isinstance(error, asyncio.CancelledError):
            await self._stream.cancel(error)
        else:
            await self._stream.close()

    def __del__(self) -> None:
        self._stream.abandon()

    def __repr__(self) -> str:
        return "<routed stream>" if self.link is None else f"<routed stream from {self.link.label}>"

    @property
    def link(self) -> Link | None:
        """The link that answers; ``None`` before an attempt has its first item."""
        return self._stream.link

    @property
    def record(self) -> CallRecord | None:
        """The call's record; ``None`` until the call has ended. Also there when ``start`` has raised."""
        return self._stream.record


def _sync(hook: Callable[[T], bool], name: str) -> Callable[[T], bool]:
    if not callable(hook) or inspect.iscoroutinefunction(hook):
        raise TypeError(f"{name} takes a function of the item that is not async, not {hook!r}")
    return hook
