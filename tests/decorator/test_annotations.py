"""Decorating never evaluates annotations: a name that exists for type checkers only harms nothing.

Without ``from __future__ import annotations``, as the code of users is.
"""

import inspect
import sys
from typing import TYPE_CHECKING

import pytest

from routeware import Attempt, RoutingPolicy, routed

if TYPE_CHECKING:
    from nowhere import Prompt  # type: ignore[import-not-found]

POLICY = RoutingPolicy(chain=["openai:gpt-4o"])

pytestmark = pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated when a function is made")

if sys.version_info >= (3, 14):
    import annotationlib

    @routed(POLICY)
    async def ask(attempt: Attempt, prompt: Prompt, later: Later | None = None) -> Prompt:  # noqa: F821 - see below
        """Answer."""
        return prompt

    @ask.provider("openai")
    async def ask_openai(attempt: Attempt, prompt: Prompt, later: Later | None = None) -> Prompt:  # noqa: F821 - see below
        """Answer."""
        return prompt

    class Later:
        """Is defined after it was named."""


async def test_a_function_with_names_for_type_checkers_is_routed() -> None:
    """And its provider functions are."""
    assert await ask("sky?") == "sky?"


def test_its_signature_raises_as_its_own_does() -> None:
    """What cannot be evaluated cannot be shown; the annotations without evaluation can."""
    for function in (ask, ask.__wrapped__):
        with pytest.raises(NameError):
            inspect.signature(function)
    found = annotationlib.get_annotations(ask, format=annotationlib.Format.STRING)
    assert found == {"prompt": "Prompt", "later": "Later | None", "return": "Prompt"}


def test_a_name_that_exists_by_now_is_shown() -> None:
    """The annotations are evaluated when they are read, as those of the function are."""

    @routed(POLICY)
    async def answer(attempt: Attempt, other: Local) -> int:  # noqa: F821 - see below
        return 0

    class Local:
        pass

    assert inspect.signature(answer).parameters["other"].annotation is Local
    assert annotationlib.call_annotate_function(answer.__annotate__, annotationlib.Format.VALUE) == {
        "other": Local,
        "return": int,
    }
