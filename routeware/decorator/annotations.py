"""A function's signature and annotations, without evaluating what exists for type checkers only.

From CPython 3.14 on (PEP 649) annotations are evaluated when they are read, so a decorator that reads them raises
NameError over code that runs well. Earlier, they are there already.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["given_annotations", "text_of", "without_evaluation"]

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
