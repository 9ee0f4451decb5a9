"""One decorated function: its hooks, its provider functions, what it has learned, and what one call passes to it."""

from __future__ import annotations

import inspect
import logging
import types
from collections.abc import Awaitable, Callable, Mapping
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, Protocol

from routeware.budget import Session
from routeware.classify import ClassifyHook
from routeware.health import Health
from routeware.money import Usage
from routeware.observers import FOREIGN
from routeware.policy import Link, RoutingPolicy
from routeware.pricing import LargestOutput, OutputArgument, read_reply
from routeware.records import CallRecord

if TYPE_CHECKING:  # read at run time only where a policy has a latency target: it is an eighth of the whole import
    from routeware.threshold import Learner, LearnerCache, Size

__all__ = [
    "ARGUMENTS_NOTE",
    "NO_REQUEST",
    "UNBOUND",
    "LinkStats",
    "ProviderFunction",
    "Registrations",
    "Request",
    "StandIn",
    "provider_function",
]

logger = logging.getLogger("routeware")

UNBOUND: object = object()
"""In place of an instance, where the decorated function is not a method."""


ARGUMENTS_NOTE = "routeware: one of these arguments is the attempt, which callers don't pass"
"""Stands on the error of a call with wrong arguments, because Python counts the attempt among them."""

ProviderFunction = Callable[[object, object, tuple[Any, ...], Mapping[str, Any]], Any]
"""Calls a provider function: for which instance, with which attempt, with what the caller passed."""

StandIn = Callable[[ProviderFunction, object, Any, tuple[Any, ...], Mapping[str, Any]], Any]
"""Is called in place of a provider function: with that function, and with what it would have been called with."""


def provider_function(fn: Callable[..., Any]) -> ProviderFunction:
    """Prepare a function that calls providers to be called with or without an instance before the attempt.

    What it raises when it is called, before anything is awaited, is about its arguments.
    """
    is_plain = isinstance(fn, types.FunctionType)

    def call(owner: object, attempt: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        try:
            if owner is UNBOUND:
                return fn(attempt, *args, **kwargs)
            if is_plain:
                return fn(owner, attempt, *args, **kwargs)
        except TypeError as error:
            error.add_note(ARGUMENTS_NOTE)
            raise
        # Instances bind other callables as they bind them anywhere else: by __get__, or not at all.
        binds = getattr(type(fn), "__get__", None)
        bound = fn if binds is None else binds(fn, owner, type(owner))
        return bound(attempt, *args, **kwargs)

    update_wrapper(call, fn, assigned=(), updated=())  # check_arguments looks at the function itself
    return call


class Registrations:
    """The functions and hooks of one decorated function, and what it has learned. Shared by all its views.

    Attributes:
        is_plain: True without hooks that are asked or told at the end of a call.
    """

    __slots__ = (
        "_functions",
        "_hooks",
        "_latency",
        "_size_failed",
        "_stats",
        "_stream_warned",
        "accept",
        "by_provider",
        "classify",
        "estimate",
        "first_item",
        "fn",
        "health",
        "is_plain",
        "last_item",
        "on_call",
        "output_argument",
        "result_type",
        "size",
        "wrap_errors",
    )

    def __init__(
        self,
        fn: ProviderFunction,
        output_argument: OutputArgument,
        classify: ClassifyHook | None,
        on_call: Callable[[CallRecord], object] | None,
        wrap_errors: bool,
        health: Health | None = None,
    ) -> None:
        self._functions: tuple[ProviderFunction, dict[str, ProviderFunction]] = (fn, {})
        self._hooks: tuple[StandIn | None, Callable[[CallRecord], object] | None] = (None, on_call)
        self.fn = fn
        self.health = Health() if health is None else health
        self.output_argument = output_argument
        self.classify = classify
        self.on_call = on_call
        self.wrap_errors = wrap_errors
        self.is_plain = on_call is None
        self.by_provider: dict[str, ProviderFunction] = {}
        self.accept: Callable[[Any], bool | Awaitable[bool]] | None = None
        self.estimate: Callable[..., Usage | float] | None = None
        self.first_item: Callable[[Any], bool] | None = None
        self.last_item: Callable[[Any], bool] | None = None
        self.size: Callable[..., float | str] | None = None
        self._latency: LearnerCache | None = None
        self._size_failed = self._stream_warned = False
        self.result_type: type[object] | None = None
        self._stats: dict[tuple[str, str], LinkStats] = {}

    def register(self, fn: ProviderFunction, providers: tuple[str, ...]) -> None:
        """Use ``fn`` for these providers."""
        self._functions[1].update(dict.fromkeys(providers, fn))
        self._put_in_place()

    def stand_in(self, play: StandIn, on_call: Callable[[CallRecord], object]) -> None:
        """Call ``play`` in place of every provider function, and ``on_call`` with every record before the own hook."""
        own = self._hooks[1]

        def hear(record: CallRecord) -> None:
            on_call(record)
            if own is not None:
                own(record)

        self._hooks = (play, own)
        self.on_call = hear
        self._put_in_place()

    def step_back(self) -> None:
        """Call the provider functions themselves again."""
        self._hooks = (None, self._hooks[1])
        self.on_call = self._hooks[1]
        self._put_in_place()

    def _put_in_place(self) -> None:
        # Attempts look a function up in these two and nowhere else: while nothing stands in, that costs nothing.
        play, (fn, by_provider) = self._hooks[0], self._functions
        self.fn = fn if play is None else partial(play, fn)
        self.is_plain = self.on_call is None and self.accept is None
        self.by_provider = {name: one if play is None else partial(play, one) for name, one in by_provider.items()}

    def check_arguments(self, link: Link, owner: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raise what calling the function of a link with these arguments raises; it does not run.

        That is so for functions that are written with ``async def``; others are not called.
        """
        fn, by_provider = self._functions
        function = by_provider.get(link.provider, fn)
        code = getattr(getattr(function, "__wrapped__", None), "__code__", None)
        if code is not None and code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
            given = function(owner, None, args, kwargs)
            if inspect.iscoroutine(given):
                given.close()

    def accept_by(self, check: Callable[[Any], bool | Awaitable[bool]]) -> None:
        """Ask ``check`` whether a result is accepted."""
        self.accept = check
        self.is_plain = False

    def begin_by(self, counts: Callable[[Any], bool]) -> None:
        """Ask ``counts`` whether an item is an answer."""
        self.first_item = counts

    def end_by(self, ends: Callable[[Any], bool]) -> None:
        """Ask ``ends`` whether the API says with an item that the answer is complete."""
        self.last_item = ends

    def estimate_by(self, projection: Callable[..., Usage | float]) -> None:
        """Ask ``projection`` what an attempt may cost."""
        self.estimate = projection

    def size_by(self, measure: Callable[..., float | str]) -> None:
        """Ask ``measure`` for the size of a request, and use sizes under every policy with a latency target."""
        self.size = measure
        if self._latency is not None:
            self._latency.use_sizes()

    @property
    def latency(self) -> LearnerCache:
        """What the function has learned of its links for latency targets."""
        if self._latency is None:
            from routeware.threshold import LearnerCache  # noqa: PLC0415  see above

            self._latency = LearnerCache()
            if self.size is not None:
                self._latency.use_sizes()
        return self._latency

    def learner(self, policy: RoutingPolicy) -> Learner | None:
        """Return the learner for a policy; ``None`` if it has no target, or no link to race with."""
        return None if policy.latency.target_ms is None else self.latency.learner(policy)

    def size_failed(self, why: str) -> None:
        """Log once that a size cannot be used: the hook would say it at every call."""
        if not self._size_failed:
            self._size_failed = True
            logger.warning("the size hook %s: such requests count as of unknown size", why)

    def see_result(self, name: str, result: object) -> None:
        """Log once if the function returns a stream: its attempt ended before the first item was there.

        Asked where the type of the result has changed: looking for a method that is not there takes 4 % of a call.
        """
        self.result_type = type(result)
        if self._stream_warned or not hasattr(type(result), "__aiter__") or read_reply(result).usage is not None:
            return
        self._stream_warned = True
        logger.warning(
            "%s returned a stream (%s): its attempt ended when it returned, so nothing after that is timed, failed over"
            " or booked. Make it an async generator function: `async for item in stream: yield item`",
            name,
            type(result).__qualname__,
        )

    def measure(self, request: Request) -> Size:
        """Measure a request for a latency target: by the ``size`` hook, or by its input tokens.

        Whatever the hook raises, the call goes on: its size is unknown.
        """
        if self.size is None:
            return float(request.tokens[0])
        try:
            answer = self.size(*request.args, **request.kwargs)
        except FOREIGN as error:
            self.size_failed(f"failed ({type(error).__qualname__})")
            return None
        from routeware.threshold import checked_size  # noqa: PLC0415  a learner has asked, so it is there

        size = checked_size(answer)
        if size is None:
            self.size_failed(f"gave a {type(answer).__qualname__} that is neither a finite number nor a text")
        return size

    def stats(self, link: Link) -> LinkStats:
        """Find what is known of ``link``, under every policy that names it."""
        return self._stats.setdefault((link.provider, link.model), LinkStats())


class LinkStats:
    """The outputs of one link, and which warnings about the link have been logged."""

    __slots__ = ("_logged", "outputs")

    def __init__(self) -> None:
        self.outputs = LargestOutput()
        self._logged: set[str] = set()

    def first_time(self, warning: str) -> bool:
        """Say True once per warning: a link that goes wrong does so at every call."""
        if warning in self._logged:
            return False
        self._logged.add(warning)
        return True


class Request(Protocol):
    """The arguments of one call, as far as the money of an attempt depends on them."""

    @property
    def registrations(self) -> Registrations:
        """Those of the decorated function."""
        ...

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments."""
        ...

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """The keyword arguments."""
        ...

    @property
    def payer(self) -> Session | None:
        """The session that the call is booked in, once it was found open."""
        ...

    @property
    def tokens(self) -> tuple[int, int | None]:
        """The tokens of the text in the arguments, and the bound on output among them."""
        ...


class _NoRequest:
    """The request of an attempt that is made by hand: nothing was asked."""

    args: tuple[Any, ...] = ()
    payer: Session | None = None
    tokens: tuple[int, int | None] = (0, None)

    def __init__(self) -> None:
        self.kwargs: Mapping[str, Any] = {}
        self.registrations = Registrations(
            provider_function(_nothing), lambda _args, _kwargs: None, None, None, wrap_errors=False
        )


async def _nothing(_attempt: object) -> None:
    """Stand in for the function of an attempt that is made by hand."""


NO_REQUEST: Request = _NoRequest()
"""What an attempt that is made by hand was asked: nothing."""
