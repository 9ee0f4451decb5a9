"""The decorator, and routed coroutine functions."""

from __future__ import annotations

import inspect
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from routeware.classify import ClassifyHook
from routeware.decorator.mistakes import check_hook
from routeware.decorator.policies import PolicyCache, PolicySource, check_source
from routeware.decorator.signatures import (
    attempt_place,
    caller_signature,
    plain_function,
    require_async,
    without_evaluation,
)
from routeware.decorator.streams import RoutedGenerator
from routeware.decorator.view import Provider, View, checked_health, make_call, provider_for, require_unrouted
from routeware.engine import Attempt, Registrations, execute, provider_function
from routeware.health import Health
from routeware.money import Price, Tariff
from routeware.policy import SETTING_PATHS, keywords_named
from routeware.pricing import OutputArgument, PriceBook, output_argument, price_book
from routeware.records import CallRecord, Outcome
from routeware.telemetry import MeterProvider, Metrics, TracerProvider, Tracing

__all__ = ["Decorate", "Routed", "routed"]

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")
T_co = TypeVar("T_co", covariant=True)


class Decorate(Protocol):
    """The result of :func:`routed`: a decorator for functions, and for methods (instance first, then the attempt)."""

    @overload
    def __call__(self, fn: Callable[Concatenate[Attempt, P], Awaitable[T]], /) -> Routed[P, T]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[Attempt, P], AsyncIterator[T]], /) -> RoutedGenerator[P, T]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[S, Attempt, P], Awaitable[T]], /) -> Routed[P, T]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[S, Attempt, P], AsyncIterator[T]], /) -> RoutedGenerator[P, T]: ...


class Routed(View[P, T_co]):
    """An async function that goes along a chain of providers. Made by :func:`routed`.

    Call it as the function it was made from, without the attempt.
    """

    __wrapped__: Callable[..., Awaitable[Any]]

    async def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> T_co:
        """Route a call and return its result.

        Raises:
            BudgetExceededError: the next attempt might cost more than is left.
            DeadlineExceededError: the whole call ran out of time.
            ResultRejectedError: the last result was not accepted.
            NoSessionError: the policy caps a session, and none is open.
            SessionClosedError: the session was left before.
            Exception: the last provider's own error, where no link succeeded.
        """
        result: T_co = await execute(make_call(self, args, kwargs))
        return result

    async def outcome(self, /, *args: P.args, **kwargs: P.kwargs) -> Outcome[T_co]:
        """Route a call and return its result with its record. Raises what calling raises."""
        outcome: Outcome[T_co] = await execute(make_call(self, args, kwargs), True)
        return outcome

    def provider(self, *names: str) -> Provider[P, Awaitable[T_co]]:
        """Register another function for the providers of these names.

        Raises:
            TypeError: no name, or one that is no string; or what is decorated is not async or takes no attempt.
        """
        return provider_for(self, names, require_async)


@partial(keywords_named, elsewhere=SETTING_PATHS, where=" of the policy")
def routed(
    policy: PolicySource,
    *,
    name: str | None = None,
    operation: str | None = "chat",
    classify: ClassifyHook | None = None,
    prices: Mapping[str, Price] | Mapping[str, Tariff] | PriceBook | None = None,
    wrap_errors: bool = False,
    on_call: Callable[[CallRecord], object] | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    health: Health | None = None,
    usage_on_spans: bool = True,
) -> Decorate:
    """Decorate an async provider function, or an async generator function, so that it follows a routing policy.

    Args:
        policy: a :class:`RoutingPolicy`, or a function without arguments that returns one, asked at every call.
        name: the function's name in spans and records; by default its own.
        operation: OpenTelemetry's name for what it does; ``None`` for functions that don't call an LLM.
        classify: called first to classify an error: ``(error) -> category, snapshot or None``.
        prices: prices of links that have none of their own: a mapping from ``provider:model``, or a price book.
        wrap_errors: raise :class:`ExhaustedError`, from the last provider error, when no link succeeded.
        on_call: called with the record of every call, whatever its outcome; not async. Its errors are logged.
        tracer_provider: receives the spans; OpenTelemetry's global one by default.
        meter_provider: receives the metrics; OpenTelemetry's global one by default.
        health: the failing links, for cooldown. Pass one to share it between functions; by default each has its own.
        usage_on_spans: True to put ``gen_ai.usage`` on attempts' spans. Use False if the SDK is instrumented as well,
            so that backends don't count its tokens twice.

    Returns:
        A decorator for async functions that take an :class:`Attempt` first, or an instance and then an attempt.

    Raises:
        TypeError: the policy has the wrong type, a hook can't be called, or the function isn't async or takes no
            attempt.
        PolicyError: the policy caps spending, and a link has no price.
    """
    _check_texts(name=name, operation=operation)
    _check_hooks(classify=classify, on_call=on_call)
    book = price_book(prices)
    checked_health(health)
    check_source(policy)

    @overload
    def decorate(fn: Callable[Concatenate[Attempt, P], Awaitable[T]], /) -> Routed[P, T]: ...
    @overload
    def decorate(fn: Callable[Concatenate[Attempt, P], AsyncIterator[T]], /) -> RoutedGenerator[P, T]: ...
    @overload
    def decorate(fn: Callable[Concatenate[S, Attempt, P], Awaitable[T]], /) -> Routed[P, T]: ...
    @overload
    def decorate(fn: Callable[Concatenate[S, Attempt, P], AsyncIterator[T]], /) -> RoutedGenerator[P, T]: ...
    def decorate(
        fn: Callable[..., Awaitable[Any]] | Callable[..., AsyncIterator[Any]], /
    ) -> Routed[..., Any] | RoutedGenerator[..., Any]:
        require_unrouted(fn)
        if not inspect.isasyncgenfunction(plain_function(fn)):
            require_async(fn)
        registrations = Registrations(provider_function(fn), _limit_of(fn), classify, on_call, wrap_errors, health)
        shown = str(name or getattr(plain_function(fn), "__name__", type(fn).__name__))
        tracing = Tracing(shown, operation, tracer_provider, usage_on_spans=usage_on_spans)
        telemetry = tracing, Metrics(shown, operation, meter_provider)
        policies = PolicyCache(policy, registrations, telemetry, book, registrations.health)
        return _class_for(fn)(fn, without_evaluation(fn), registrations, policies)

    return decorate


def _limit_of(fn: Callable[..., Any]) -> OutputArgument:
    """Find the bound on output among the arguments of ``fn``."""
    signature = without_evaluation(fn)
    place = attempt_place(fn, signature)
    return output_argument(_without_instance(caller_signature(signature, place), place))


def _check_texts(**texts: str | None) -> None:
    for option, text in texts.items():
        if text is not None and (not isinstance(text, str) or not text):
            raise TypeError(f"{option} has to be a non-empty string or None, not {text!r}")


def _check_hooks(**hooks: object) -> None:
    for name, hook in hooks.items():
        if hook is not None and (not callable(hook) or inspect.iscoroutinefunction(hook)):
            raise TypeError(f"{name} has to be a function that is not async, not {hook!r}")
        if callable(hook):
            passed = "record" if name == "on_call" else "error"
            check_hook(name, hook, "routed", [inspect.Parameter(passed, inspect.Parameter.POSITIONAL_ONLY)])


def _class_for(fn: Callable[..., Any]) -> type[Routed[..., Any] | RoutedGenerator[..., Any]]:
    """Give the class for one function. One for a coroutine function is made for it.

    A coroutine bears the name of the function that made it, and that is what warnings, tasks and debuggers show. So
    each decorated function has methods of its own, with its name. Naming the coroutine at every call would cost more,
    and need a method that is not ``async``, which frameworks would run in a thread.
    """
    plain = plain_function(fn)
    if inspect.isasyncgenfunction(plain):
        return RoutedGenerator
    name = getattr(plain, "__name__", type(plain).__name__)
    qualname = getattr(plain, "__qualname__", name)
    methods = {
        "__call__": _renamed(Routed.__call__, name, qualname),
        "outcome": _renamed(Routed.outcome, "outcome", f"{qualname}.outcome"),
    }
    return type("Routed", (Routed,), {"__module__": Routed.__module__, "__doc__": Routed.__doc__, **methods})


def _renamed(method: Any, name: str, qualname: str) -> types.FunctionType:
    copy = types.FunctionType(method.__code__, method.__globals__, name, method.__defaults__, method.__closure__)
    copy.__qualname__, copy.__doc__, copy.__annotations__ = qualname, method.__doc__, method.__annotations__
    return copy


def _without_instance(signature: inspect.Signature, place: int) -> inspect.Signature:
    parameters = list(signature.parameters.values())
    return signature.replace(parameters=parameters[1:]) if place else signature
