"""A routed function stands in for the one it was made from.

It has the caller's signature and types, binds to instances, and bears the marks by which frameworks know a coroutine
function. What is behind it (registrations, tracing, prices, what was learned) is shared by all its views: bound to an
instance, under another policy, with other settings.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from routeware.classify import ClassifyHook
from routeware.decorator.policies import PolicyCache, PolicySource
from routeware.decorator.signatures import attempt_place, caller_signature, plain_function, require_async
from routeware.engine import UNBOUND, Attempt, Call, Registrations, execute, provider_function
from routeware.health import Health
from routeware.money import Price, Tariff, Usage
from routeware.policy import UNCHANGED, RoutingPolicy, Unchanged
from routeware.pricing import PriceBook, output_argument, price_book
from routeware.records import CallRecord, Outcome
from routeware.telemetry import MeterProvider, Metrics, TracerProvider, Tracing
from routeware.threshold import LatencyReport

__all__ = ["Decorate", "Provider", "Routed", "routed"]

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")
T_co = TypeVar("T_co", covariant=True)


class Decorate(Protocol):
    """What :func:`routed` returns: a decorator for functions, and for methods (instance first, then the attempt)."""

    @overload
    def __call__(self, fn: Callable[Concatenate[Attempt, P], Awaitable[T]], /) -> Routed[P, T]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[S, Attempt, P], Awaitable[T]], /) -> Routed[P, T]: ...


class Provider(Protocol[P, T]):
    """What :meth:`Routed.provider` returns: a decorator that leaves the function as it is."""

    @overload
    def __call__(self, fn: Callable[Concatenate[Attempt, P], Awaitable[T]], /) -> Callable[..., Awaitable[T]]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[S, Attempt, P], Awaitable[T]], /) -> Callable[..., Awaitable[T]]: ...


class _Signature:
    """The caller's signature of each view; none of the class's own, which has the one of its constructor."""

    def __get__(self, view: Routed[..., Any] | None, _owner: type[object]) -> inspect.Signature | None:
        if view is None:
            return None
        signature = view._signature
        if view._owner is UNBOUND or not view._place:
            return signature
        return signature.replace(parameters=list(signature.parameters.values())[1:])


class Routed(Generic[P, T_co]):
    """An async function that goes along a chain of providers. Made by :func:`routed`.

    Call it as the function it was made from, without the attempt.
    """

    __signature__ = _Signature()
    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Awaitable[Any]]

    def __init__(
        self,
        fn: Callable[..., Awaitable[Any]],
        signature: inspect.Signature,
        registrations: Registrations,
        policies: PolicyCache,
    ) -> None:
        self._place = attempt_place(fn, signature)
        self._signature = caller_signature(signature, self._place)
        self._owner: object = UNBOUND
        self._registrations = registrations
        self._policies = policies
        self._attributes: Mapping[str, Any] | None = None
        _stand_in(self, fn, signature, self._place)

    async def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> T_co:
        """Route a call; its result.

        Raises:
            BudgetExceededError: the next attempt might cost more than is left.
            DeadlineExceededError: the whole call ran out of time.
            ResultRejectedError: the last result was not accepted.
            NoSessionError: the policy caps a session, and none is open.
            SessionClosedError: the session was left before.
            Exception: the last provider's own error, where no link succeeded.
        """
        result: T_co
        owner, policies = self._owner, self._policies
        passed: tuple[Any, ...] = args
        if owner is UNBOUND and self._place:
            owner, passed = self._instance(args)
        call = Call(policies.fixed or policies.now(), self._registrations, owner, passed, kwargs)
        result, _ = await execute(call, self._attributes, wants_record=False)
        return result

    async def outcome(self, /, *args: P.args, **kwargs: P.kwargs) -> Outcome[T_co]:
        """Route a call; its result and its record. Raises what calling raises."""
        owner, policies = self._owner, self._policies
        passed: tuple[Any, ...] = args
        if owner is UNBOUND and self._place:
            owner, passed = self._instance(args)
        call = Call(policies.fixed or policies.now(), self._registrations, owner, passed, kwargs)
        result, record = await execute(call, self._attributes, wants_record=True)
        assert record is not None
        return Outcome(result, record)

    def __get__(self, obj: object, owner: type[object] | None = None, /) -> Self:
        if obj is None:
            return self
        if obj is owner:
            raise TypeError(
                f"@classmethod over @routed would pass the class for the attempt: make {self.__name__} a method"
            )
        bound = self._view()
        bound._owner = obj
        return bound

    def __eq__(self, other: object) -> bool:
        """As bound methods: the same function, for the same instance, in the same view."""
        return isinstance(other, Routed) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[int, ...]:
        return id(self._registrations), id(self._policies), id(self._owner), id(self._attributes)

    def __repr__(self) -> str:
        bound = "" if self._owner is UNBOUND else f" of {type(self._owner).__qualname__}"
        return f"<routed function {self.__qualname__}{bound}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        # As functions pickle: by the name under which it is found again.
        return self.__qualname__ if self._owner is UNBOUND else (getattr, (self._owner, self.__name__))

    @property
    def policy(self) -> RoutingPolicy:
        """The policy in force, with the settings of this view."""
        return self._policies.now().policy

    def latency_report(self) -> LatencyReport | None:
        """What a latency target has led to so far, and what is believed of each link; ``None`` without a target."""
        learner = self._policies.now().learner
        return None if learner is None else learner.report()

    def provider(self, *names: str) -> Provider[P, T_co]:
        """Register another function for the providers of these names.

        Raises:
            TypeError: no name, or one that is no string; or what is decorated is not async or takes no attempt.
        """
        if not names or not all(isinstance(name, str) for name in names):
            raise TypeError('name the providers that the function is for: @ask.provider("anthropic")')

        def register(fn: Callable[..., Awaitable[T_co]], /) -> Callable[..., Awaitable[T_co]]:
            require_async(fn)
            place = attempt_place(fn, inspect.signature(fn))
            if place != self._place and inspect.isfunction(fn):
                wanted = "after its instance, as" if self._place else "first, as"
                raise TypeError(f"{fn.__qualname__} has to take its attempt {wanted} {self.__qualname__} does")
            self._registrations.register(provider_function(fn), names)
            return fn

        return register

    def accept(self, check: Callable[[T_co], bool | Awaitable[bool]], /) -> Callable[[T_co], bool | Awaitable[bool]]:
        """Register a check on results; one that it turns down is a failed attempt of category ``rejected``.

        Args:
            check: ``(result) -> bool``, sync or async. It is part of the attempt: same task, time-out and span.
        """
        if not callable(check):
            raise TypeError(f"accept takes a function of the result, not {check!r}")
        self._registrations.accept_by(check)
        return check

    def estimate(self, projection: Callable[..., Usage | float], /) -> Callable[..., Usage | float]:
        """Register the projection of an attempt, over the built-in one.

        Args:
            projection: ``(link, *args, **kwargs)``, the caller's arguments without an instance; gives tokens
                (:class:`Usage`) or US dollars.
        """
        if not callable(projection) or inspect.iscoroutinefunction(projection):
            raise TypeError(f"estimate takes a function that is not async, not {projection!r}")
        self._registrations.estimate_by(projection)
        return projection

    def size(self, measure: Callable[..., float | str], /) -> Callable[..., float | str]:
        """Register what a request is measured by, so that a latency target can race requests of like size alike.

        Args:
            measure: ``(*args, **kwargs)``, the caller's arguments without an instance; gives a number or a short text.
                Where it fails, or gives anything else, the size of that request is unknown.
        """
        if not callable(measure) or inspect.iscoroutinefunction(measure):
            raise TypeError(f"size takes a function that is not async, not {measure!r}")
        self._registrations.size_by(measure)
        return measure

    def with_policy(self, policy: PolicySource) -> Self:
        """The same function under another policy; registrations, prices and what was learned are shared.

        Raises:
            PolicyError: the policy caps spending, and a link has no price.
        """
        view = self._view()
        view._policies = self._policies.under(policy)
        return view

    def with_options(
        self,
        *,
        deadline_ms: float | Unchanged | None = UNCHANGED,
        race_after_ms: float | Unchanged | None = UNCHANGED,
        max_attempts: int | Unchanged | None = UNCHANGED,
        per_call_usd: float | Unchanged | None = UNCHANGED,
        attributes: Mapping[str, Any] | Unchanged | None = UNCHANGED,
        spread_key: str | Unchanged | None = UNCHANGED,
    ) -> Self:
        """The same function with single settings of its policy changed; ``None`` switches one off.

        Args:
            deadline_ms: bound on the whole call.
            race_after_ms: when the next link is tried beside a slow one.
            max_attempts: how many attempts may be started.
            per_call_usd: cap on one call.
            attributes: put on the span of every call.
            spread_key: whose order links of one ``spread`` have, the same in every process: a conversation's, say.

        Raises:
            PolicyError: a setting that cannot be meant.
        """
        view = self._view()
        view._policies = self._policies.changed(
            spread_key,
            deadline_ms=deadline_ms,
            race_after_ms=race_after_ms,
            max_attempts=max_attempts,
            per_call_usd=per_call_usd,
        )
        if attributes is not UNCHANGED:
            if attributes is not None and not isinstance(attributes, Mapping):
                raise TypeError(f"attributes are a mapping, or None, not {attributes!r}")
            view._attributes = None if attributes is None else dict(attributes)
        return view

    @property
    def health(self) -> Health | None:
        """Which links keep failing, for the policy's cooldown; ``None`` for a view without."""
        return self._policies.health

    def with_health(self, health: Health | None) -> Self:
        """The same function with another memory of what failed, or with none: cooldown is off then.

        For a tenant with keys of its own, say, whose refused calls are no reason to pass a link over for others.

        Raises:
            TypeError: ``health`` is neither a :class:`Health` nor ``None``.
        """
        view = self._view()
        view._policies = self._policies.with_health(_health(health))
        return view

    def _view(self) -> Self:
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        return view

    def _instance(self, args: tuple[Any, ...]) -> tuple[object, tuple[Any, ...]]:
        """Find the instance among the arguments: the method is called through its class."""
        if not args:
            raise TypeError(f"{self.__qualname__}() is a method: call it on an instance, or pass one first")
        return args[0], args[1:]


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
    """Decorate an async provider function so that it follows a routing policy.

    Args:
        policy: a :class:`RoutingPolicy`, or a function without arguments that returns one, asked at every call.
        name: the function's name in spans and records; its own by default.
        operation: what it does, as OpenTelemetry names it; ``None`` for what is not an LLM.
        classify: asked first what an error means: ``(error) -> category, snapshot or None``.
        prices: what links cost that have no price of their own: a mapping from ``provider:model``, or a price book.
        wrap_errors: raise :class:`ExhaustedError`, from the last provider error, when no link succeeded.
        on_call: called with the record of every call, whatever became of it; not async. If it raises, that is logged.
        tracer_provider: where spans go; OpenTelemetry's global one by default.
        meter_provider: where metrics go; OpenTelemetry's global one by default.
        health: which links keep failing, for cooldown; to share between functions. Its own by default.
        usage_on_spans: whether attempts' spans carry ``gen_ai.usage``; False where the SDK below is instrumented, too,
            and backends would add its tokens up twice.

    Returns:
        A decorator for async functions that take an :class:`Attempt` first, or an instance and then an attempt.

    Raises:
        TypeError: the policy is none, a hook cannot be called, or what is decorated is not async or takes no attempt.
        PolicyError: the policy caps spending, and a link has no price.
    """
    for option, text in (("name", name), ("operation", operation)):
        if text is not None and (not isinstance(text, str) or not text):
            raise TypeError(f"{option} has to be a non-empty string or None, not {text!r}")
    for hook, called in (("classify", classify), ("on_call", on_call)):
        if called is not None and (not callable(called) or inspect.iscoroutinefunction(called)):
            raise TypeError(f"{hook} has to be a function that is not async, not {called!r}")
    book = price_book(prices)
    _health(health)

    @overload
    def decorate(fn: Callable[Concatenate[Attempt, P], Awaitable[T]], /) -> Routed[P, T]: ...
    @overload
    def decorate(fn: Callable[Concatenate[S, Attempt, P], Awaitable[T]], /) -> Routed[P, T]: ...
    def decorate(fn: Callable[..., Awaitable[Any]], /) -> Routed[..., Any]:
        require_async(fn)
        signature = inspect.signature(fn)
        callers = caller_signature(signature, attempt_place(fn, signature))
        limit = output_argument(_without_instance(callers, attempt_place(fn, signature)))
        registrations = Registrations(provider_function(fn), limit, classify, on_call, wrap_errors, health)
        shown = str(name or getattr(plain_function(fn), "__name__", type(fn).__name__))
        telemetry = (
            Tracing(shown, operation, tracer_provider, usage_on_spans=usage_on_spans),
            Metrics(shown, operation, meter_provider),
        )
        policies = PolicyCache(policy, {}, registrations, telemetry, book, health=registrations.health)
        return _class_for(fn)(fn, signature, registrations, policies)

    if inspect.iscoroutinefunction(policy):
        raise TypeError("routed takes a policy first: write @routed(policy) above the function")
    return decorate


def _health(health: Health | None) -> Health | None:
    if health is not None and not isinstance(health, Health):
        raise TypeError(f"health has to be a Health or None, not {health!r}")
    return health


def _class_for(fn: Callable[..., Any]) -> type[Routed[..., Any]]:
    """Make the class for one function.

    A coroutine bears the name of the function that made it, and that is what warnings, tasks and debuggers show. So
    each decorated function has methods of its own, with its name. Naming the coroutine at every call would cost more,
    and need a method that is not ``async``, which frameworks would run in a thread.
    """
    plain = plain_function(fn)
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


def _stand_in(view: Routed[..., Any], fn: Any, signature: inspect.Signature, place: int) -> None:
    """Give ``view`` what others look for on a function: names, annotations, and the marks of a coroutine function."""
    plain = plain_function(fn)
    told = vars(view)
    own = getattr(fn, "__dict__", {})
    told.update({key: value for key, value in own.items() if not key.startswith("_") and not hasattr(Routed, key)})
    named = getattr(plain, "__name__", type(plain).__name__)
    told["__name__"] = named
    told["__qualname__"] = getattr(plain, "__qualname__", named)
    told["__module__"] = getattr(plain, "__module__", None)
    told["__doc__"] = getattr(plain, "__doc__", None)
    told["__wrapped__"] = fn
    taken = list(signature.parameters)
    attempt = taken[place] if place < len(taken) else None
    annotations = getattr(plain, "__annotations__", {})
    told["__annotations__"] = {key: value for key, value in annotations.items() if key != attempt}
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(view)
    else:
        # Before 3.12 ``inspect`` looks for the attributes of a function, and for the flag of a coroutine in its code.
        told["__code__"] = getattr(plain, "__code__", Routed.__call__.__code__)
        told["__defaults__"] = None
        told["__kwdefaults__"] = None
