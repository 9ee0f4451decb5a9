"""The parts that a routed function and a routed generator function share: signature, binding, views, registrations.

A view has the caller's signature, binds to instances, and has the attributes by which frameworks recognise the function
that it replaces. What is behind it (registrations, tracing, prices, what was learned) is shared by all views of one
function: bound to an instance, under another policy, with other settings.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import DynamicClassAttribute
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

import attrs

from routeware.decorator.mistakes import check_accepts, check_hook, check_providers
from routeware.decorator.policies import PolicyCache, PolicySource
from routeware.decorator.signatures import (
    attempt_place,
    caller_signature,
    given_annotations,
    plain_function,
    text_of,
    without_evaluation,
)
from routeware.engine import UNBOUND, Attempt, Call, Registrations, provider_function
from routeware.health import Health
from routeware.money import Usage
from routeware.policy import SETTING_PATHS, UNCHANGED, RoutingPolicy, Unchanged, keywords_named

if TYPE_CHECKING:
    from routeware.threshold import LatencyReport

__all__ = ["Provider", "View", "checked_health", "make_call", "provider_for", "registrations_of", "require_unrouted"]

P = ParamSpec("P")
S = TypeVar("S")
Given = TypeVar("Given")
T_co = TypeVar("T_co", covariant=True)


class Provider(Protocol[P, Given]):
    """A decorator that registers a function for providers, and leaves it as it is."""

    @overload
    def __call__(self, fn: Callable[Concatenate[Attempt, P], Given], /) -> Callable[..., Given]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[S, Attempt, P], Given], /) -> Callable[..., Given]: ...


class View(Generic[P, T_co]):
    """A routed function or generator function, bound or not, under one policy. Made by :func:`routed`."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

    def __init__(
        self,
        fn: Callable[..., Any],
        signature: inspect.Signature,
        registrations: Registrations,
        policies: PolicyCache,
    ) -> None:
        self._place = attempt_place(fn, signature)
        self._signature = caller_signature(signature, self._place)
        shown = [signature.return_annotation, *(one.annotation for one in signature.parameters.values())]
        self._is_unresolved = any(text_of(one) is not one for one in shown)
        self._owner: object = UNBOUND
        self._registrations = registrations
        self._policies = policies
        self._attributes: Mapping[str, Any] | None = None
        # In one attribute for calls: every function has a class of its own, so reading one takes a look into a dict.
        self._parts = self._call_parts()
        _stand_in(self, fn, signature, self._place)

    @DynamicClassAttribute  # a property of each view; the class itself has the signature of its constructor
    def __signature__(self) -> inspect.Signature:
        signature = self._signature
        if self._is_unresolved:
            # Evaluated now, it raises what the function's own does, or finds names that have come to exist since.
            signature = caller_signature(inspect.signature(self.__wrapped__), self._place)
        if self._owner is UNBOUND or not self._place:
            return signature
        return signature.replace(parameters=list(signature.parameters.values())[1:])

    def __get__(self, obj: object, owner: type[object] | None = None, /) -> Self:
        if obj is None:
            return self
        if obj is owner:
            raise TypeError(
                f"@classmethod over @routed would pass the class for the attempt: make {self.__name__} a method"
            )
        return self._view(_owner=obj)

    def __eq__(self, other: object) -> bool:
        """Compare as bound methods do: the same function, for the same instance, in the same view."""
        return isinstance(other, View) and self._identity() == other._identity()

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
        """The policy in force, including the settings of this view."""
        return self._policies.now().policy

    def latency_report(self) -> LatencyReport | None:
        """Return the effects of a latency target so far and its estimates for each link; ``None`` without a target."""
        learner = self._policies.now().learner
        return None if learner is None else learner.report()

    def accept(self, check: Callable[[T_co], bool | Awaitable[bool]], /) -> Callable[[T_co], bool | Awaitable[bool]]:
        """Register a check on results. A result that it rejects is a failed attempt of category ``rejected``.

        Of a generator function, the first item that counts is checked, and no other.

        Args:
            check: ``(result) -> bool``, sync or async. It is part of the attempt: same task, time-out and span.
        """
        judged = "item" if inspect.isasyncgenfunction(plain_function(self.__wrapped__)) else "result"
        if not callable(check):
            raise TypeError(f"accept takes a function of the {judged}, not {check!r}")
        check_hook("accept", check, self.__qualname__, [inspect.Parameter(judged, inspect.Parameter.POSITIONAL_ONLY)])
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
        link = inspect.Parameter("link", inspect.Parameter.POSITIONAL_ONLY)
        check_hook("estimate", projection, self.__qualname__, [link, *_passed(self)])
        self._registrations.estimate_by(projection)
        return projection

    def size(self, measure: Callable[..., float | str], /) -> Callable[..., float | str]:
        """Register a measure of requests, so that a latency target can treat requests of similar size alike.

        Args:
            measure: ``(*args, **kwargs)``, the caller's arguments without an instance; gives a number or a short text.
                Where it fails, or gives anything else, the size of that request is unknown.
        """
        if not callable(measure) or inspect.iscoroutinefunction(measure):
            raise TypeError(f"size takes a function that is not async, not {measure!r}")
        check_hook("size", measure, self.__qualname__, _passed(self))
        self._registrations.size_by(measure)
        return measure

    def with_policy(self, policy: PolicySource) -> Self:
        """Return the same function under another policy; registrations, prices and what was learned are shared.

        Raises:
            PolicyError: the policy caps spending, and a link has no price.
        """
        return self._view(_policies=attrs.evolve(self._policies, source=policy))

    @partial(keywords_named, elsewhere=SETTING_PATHS, where=" of a policy, for with_policy")
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
        """Return the same function with single settings of its policy changed; ``None`` switches one off.

        Args:
            deadline_ms: bound on the whole call.
            race_after_ms: the time after which a backup races a slow attempt.
            max_attempts: most attempts of a call.
            per_call_usd: cap on one call.
            attributes: set on the span of every call.
            spread_key: fixes the order of links with one ``spread``, the same in every process; for example a
                conversation's id.

        Raises:
            PolicyError: a value has the wrong type or is out of range.
        """
        policies = self._policies.changed(
            spread_key,
            deadline_ms=deadline_ms,
            race_after_ms=race_after_ms,
            max_attempts=max_attempts,
            per_call_usd=per_call_usd,
        )
        if attributes is not UNCHANGED:
            if attributes is not None and not isinstance(attributes, Mapping):
                raise TypeError(f"attributes are a mapping, or None, not {attributes!r}")
            return self._view(_policies=policies, _attributes=None if attributes is None else dict(attributes))
        return self._view(_policies=policies)

    @property
    def health(self) -> Health | None:
        """The record of failing links, for the policy's cooldown; ``None`` for a view without."""
        return self._policies.health

    def with_health(self, health: Health | None) -> Self:
        """Return the same function with another record of failing links, or with none, which switches cooldown off.

        Use it for a tenant with its own keys, for example: its refused calls are no reason to pass a link over for
        others.

        Raises:
            TypeError: ``health`` is neither a :class:`Health` nor ``None``.
        """
        return self._view(_policies=attrs.evolve(self._policies, health=checked_health(health)))

    def _view(self, **changed: Any) -> Self:
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__, **changed)
        view._parts = view._call_parts()
        return view

    def _call_parts(self) -> tuple[object, PolicyCache, int, Mapping[str, Any] | None]:
        return self._owner, self._policies, self._place, self._attributes

    def _instance(self, args: tuple[Any, ...]) -> tuple[object, tuple[Any, ...]]:
        """Find the instance among the arguments: the method is called through its class."""
        if not args:
            raise TypeError(f"{self.__qualname__}() is a method: call it on an instance, or pass one first")
        return args[0], args[1:]


def make_call(view: View[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
    """Make the call of a view with these arguments."""
    owner, policies, place, attributes = view._parts
    if place and owner is UNBOUND:
        owner, args = view._instance(args)
    return Call(policies.fixed or policies.now(), owner, args, kwargs, attributes)


def registrations_of(view: View[..., Any]) -> Registrations:
    """Give what is registered on the function of a view."""
    return view._registrations


def provider_for(
    view: View[..., Any], names: tuple[str, ...], require: Callable[[object, str], None]
) -> Callable[[Any], Any]:
    """Make the decorator that registers a function for the providers of these names.

    Args:
        view: the routed function.
        names: the names.
        require: refuses a function of another kind than that of the view.

    Raises:
        TypeError: no name, or one that is no string.
    """
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError('name the providers that the function is for: @ask.provider("anthropic")')

    def register(fn: Any, /) -> Any:
        require(fn, view.__qualname__)
        require_unrouted(fn)
        signature = without_evaluation(fn)
        place = attempt_place(fn, signature)
        if place != view._place and inspect.isfunction(fn):
            wanted = "after its instance, as" if view._place else "first, as"
            raise TypeError(f"{fn.__qualname__} has to take its attempt {wanted} {view.__qualname__} does")
        taken = list(caller_signature(signature, place).parameters.values())[place:]
        check_accepts(getattr(fn, "__qualname__", repr(fn)), taken, view.__qualname__, _passed(view))
        if view._policies.fixed is not None:
            check_providers(view.__qualname__, names, view._policies.fixed.policy.chain)
        view._registrations.register(provider_function(fn), names)
        return fn

    return register


def _passed(view: View[..., Any]) -> list[inspect.Parameter]:
    """List what callers pass, without an instance."""
    return list(view._signature.parameters.values())[view._place :]


def require_unrouted(fn: object) -> None:
    """Refuse a function that is routed already.

    Raises:
        TypeError: it is.
    """
    if isinstance(fn, View):
        raise TypeError(
            f"{fn.__qualname__} is routed already: two chains would multiply their attempts. Give it one @routed; for"
            " the same function under another policy, call its with_policy()"
        )


def checked_health(health: Health | None) -> Health | None:
    """Give ``health``, if it is one.

    Raises:
        TypeError: it is neither a :class:`Health` nor ``None``.
    """
    if health is not None and not isinstance(health, Health):
        raise TypeError(f"health has to be a Health or None, not {health!r}")
    return health


def _stand_in(view: View[..., Any], fn: Any, signature: inspect.Signature, place: int) -> None:
    """Give ``view`` what others look for on a function: names, annotations, and the marks of a coroutine function."""
    plain = plain_function(fn)
    told = vars(view)
    own = getattr(fn, "__dict__", {})
    told.update({key: value for key, value in own.items() if not key.startswith("_") and not hasattr(type(view), key)})
    named = getattr(plain, "__name__", type(plain).__name__)
    told["__name__"] = named
    told["__qualname__"] = getattr(plain, "__qualname__", named)
    told["__module__"] = getattr(plain, "__module__", None)
    told["__doc__"] = getattr(plain, "__doc__", None)
    told["__wrapped__"] = fn
    taken = list(signature.parameters)
    attempt = taken[place] if place < len(taken) else None
    told.update(given_annotations(plain, attempt))
    if sys.version_info >= (3, 12) and not inspect.isasyncgenfunction(plain):
        inspect.markcoroutinefunction(view)
    else:
        # Before 3.12, and for generator functions later too, ``inspect`` looks for the attributes of a function, and
        # for the flag in its code.
        told["__code__"] = getattr(plain, "__code__", View.__get__.__code__)
        told["__defaults__"] = None
        told["__kwdefaults__"] = None
