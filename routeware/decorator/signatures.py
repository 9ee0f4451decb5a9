"""The signature of a provider function: where its attempt goes, and what its callers see.

From CPython 3.14 on (PEP 649) annotations are evaluated when they are read, so a decorator that reads them raises
NameError over code that runs well. So they are read here without evaluating what exists for type checkers only.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

from routeware.engine import Attempt

__all__ = [
    "attempt_place",
    "caller_signature",
    "given_annotations",
    "plain_function",
    "require_async",
    "require_generator",
    "text_of",
    "without_evaluation",
]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def plain_function(fn: Any) -> Any:
    """Return what ``fn`` calls in the end, partials unwrapped."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn


def require_async(fn: object, beside: str | None = None) -> None:
    """Refuse what cannot be awaited when called.

    Args:
        fn: the function.
        beside: the routed function that it is registered on, where it is.

    Raises:
        TypeError: ``fn`` is not an async function.
    """
    if inspect.iscoroutinefunction(fn):
        return
    if beside is not None and inspect.isasyncgenfunction(plain_function(fn)):
        raise TypeError(f"{_name(fn)} is an async generator function, and {beside} is not: both have to be, or neither")
    raise TypeError(f"a provider function has to be async, and {_name(fn)} is not: {_advice(fn)}")


def require_generator(fn: object, beside: str) -> None:
    """Refuse what does not yield, on a routed async generator function.

    Raises:
        TypeError: ``fn`` is not an async generator function.
    """
    if inspect.isasyncgenfunction(plain_function(fn)):
        return
    if inspect.iscoroutinefunction(fn):
        raise TypeError(f"{_name(fn)} gives one result, and {beside} yields items: both have to yield, or neither")
    raise TypeError(f"{_name(fn)} has to be an async generator function, as {beside} is: {_advice(fn)}")


def _name(fn: object) -> str:
    name: str = getattr(fn, "__qualname__", type(fn).__qualname__)
    return name


def _advice(fn: object) -> str:
    if isinstance(fn, staticmethod):
        return "put @staticmethod above @routed"
    if isinstance(fn, classmethod):
        return "a routed function cannot be a class method; make it a method, or a static method"
    if not callable(fn):
        return "it cannot be called at all"
    if inspect.iscoroutinefunction(inspect.unwrap(fn)):
        return "a wrapper around an async function; define the wrapper with `async def`, or put it above @routed"
    if not inspect.isroutine(fn) and not isinstance(fn, type | functools.partial):
        return "a callable object; route its method instead, as in routed(policy)(client.__call__)"
    return "define it with `async def`"


def attempt_place(fn: Callable[..., Any], signature: inspect.Signature) -> int:
    """Return the place of the attempt in ``fn``: 0 in a function, 1 in a method, after its instance.

    Raises:
        TypeError: it takes none, or takes it at another place.
    """
    taken = list(signature.parameters.values())
    if taken and taken[0].kind is inspect.Parameter.VAR_POSITIONAL:
        return 0
    first = [parameter for parameter in taken[:2] if parameter.kind in _POSITIONAL]
    kinds = [_is_attempt(parameter, plain_function(fn)) for parameter in first]
    name = getattr(fn, "__qualname__", repr(fn))
    for place, kind in enumerate(kinds):
        if kind:
            return place
    misplaced = next((one.name for one in taken[1:] if _is_called_attempt(one)), None)
    if misplaced is not None:
        raise TypeError(f"{name} has to take its attempt first (after self, in a method): move {misplaced!r} there")
    # Without an annotation that says otherwise, the attempt comes first, or after an instance that is called self.
    place = 1 if first and first[0].name in ("self", "cls") else 0
    if place < len(kinds) and kinds[place] is None:
        return place
    if place and len(taken) > 1 and taken[1].kind is inspect.Parameter.VAR_POSITIONAL:
        return place
    raise TypeError(f"{name} takes no attempt: its first parameter (after self) has to be one, `attempt: Attempt`")


def _is_called_attempt(parameter: inspect.Parameter) -> bool:
    return parameter.name == "attempt" or parameter.annotation in (Attempt, "Attempt")


def _is_attempt(parameter: inspect.Parameter, fn: Any) -> bool | None:
    """Return True if a parameter is the attempt; ``None`` if neither name nor annotation says."""
    annotation = text_of(parameter.annotation)
    if isinstance(annotation, str):
        annotation = _resolved(annotation, fn)
    if annotation is inspect.Parameter.empty or isinstance(annotation, str):
        return True if parameter.name == "attempt" else None
    if isinstance(annotation, type):
        return issubclass(annotation, Attempt) or (None if annotation is object else False)
    return None if annotation is Any else parameter.name == "attempt"


def _resolved(annotation: str, fn: Any) -> Any:
    if annotation.strip("'\"").rpartition(".")[2] == "Attempt":
        return Attempt
    try:
        return eval(annotation, getattr(fn, "__globals__", {}))  # noqa: S307 - an annotation, which is code of the program
    except Exception:  # noqa: BLE001 - a name that exists for type checkers only
        return annotation


def caller_signature(signature: inspect.Signature, place: int) -> inspect.Signature:
    """Return the signature without the attempt: what callers pass (a method's instance among it)."""
    parameters = list(signature.parameters.values())
    if place < len(parameters) and parameters[place].kind in _POSITIONAL:
        del parameters[place]
    return signature.replace(parameters=parameters)


# Annotations.

if sys.version_info >= (3, 14):
    import annotationlib

    def without_evaluation(fn: Callable[..., Any]) -> inspect.Signature:
        """Read the signature of ``fn``; a name that does not exist stays a forward reference in it."""
        return inspect.signature(fn, annotation_format=annotationlib.Format.FORWARDREF)

    def text_of(annotation: Any) -> Any:
        """Give a forward reference as its text, and any other annotation as it is."""
        return annotation.__forward_arg__ if isinstance(annotation, annotationlib.ForwardRef) else annotation

    _LENIENT: Any = annotationlib.Format.FORWARDREF

    def _called(annotate: Any, owner: object, form: Any) -> dict[str, Any]:
        return annotationlib.call_annotate_function(annotate, form, owner=owner)

else:
    without_evaluation = inspect.signature

    def text_of(annotation: Any) -> Any:
        """Give the annotation as it is: a text is one already."""
        return annotation

    _LENIENT: Any = None

    def _called(annotate: Any, owner: object, form: Any) -> dict[str, Any]:
        raise NotImplementedError("functions have no __annotate__ before CPython 3.14")


def given_annotations(plain: Any, attempt: str | None) -> dict[str, Any]:
    """Give the attributes by which a view hands the annotations of a function on, without that of its attempt."""
    annotate = getattr(plain, "__annotate__", None)
    if annotate is None:
        annotations = getattr(plain, "__annotations__", {})
        return {"__annotations__": {key: value for key, value in annotations.items() if key != attempt}}

    def annotate_view(form: Any, /) -> dict[str, Any]:
        found = _called(annotate, plain, form)
        return {key: value for key, value in found.items() if key != attempt}

    # An instance cannot evaluate them when they are read, as a function does; so a name that does not exist yet stays a
    # forward reference here. ``annotationlib`` asks the function below where it has to.
    return {"__annotate__": annotate_view, "__annotations__": annotate_view(_LENIENT)}
