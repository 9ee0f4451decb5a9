"""Notes that stand on a provider's error already, whatever they are, keep it from nobody."""

from __future__ import annotations

from typing import Any

import pytest

from routeware import record_of
from tests.fakes.providers import HTTPStatusError, answers, fails, script


class Unshowable:
    """An object that has no text."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class UnshowableText(str):
    """Text that cannot be searched."""

    __slots__ = ()

    def __str__(self) -> str:
        raise ValueError("no text")

    def startswith(self, *_arguments: Any) -> bool:
        raise ValueError("no text")


NOTES = [[Unshowable()], [UnshowableText("x"), "theirs"], [None, "theirs"], 7, Unshowable(), ()]


@pytest.mark.parametrize("notes", NOTES)
async def test_the_providers_error_comes_out(notes: Any) -> None:
    """With its record, and with notes of ours."""
    error = HTTPStatusError(503)
    error.__notes__ = notes

    with pytest.raises(HTTPStatusError) as raised:
        await script(a=fails(10, error)).ask()()

    assert raised.value is error
    assert record_of(error) is not None
    assert any(isinstance(note, str) and str.startswith(note, "routeware:") for note in error.__notes__)


@pytest.mark.parametrize("notes", NOTES, ids=lambda notes: type(notes).__name__)
async def test_it_is_failed_over(notes: Any) -> None:
    """An error that another link made good is nobody's to show."""
    error = HTTPStatusError(503)
    error.__notes__ = notes

    assert await script(a=fails(10, error), b=answers(10)).ask()() == "b"


async def test_their_own_notes_are_kept() -> None:
    """All that can be told from ours, in their order."""
    error, unshowable = HTTPStatusError(503), Unshowable()
    error.__notes__ = ["theirs", unshowable, "routeware: an earlier call's"]  # type: ignore[list-item]

    with pytest.raises(HTTPStatusError):
        await script(a=fails(10, error)).ask()()

    assert error.__notes__[:2] == ["theirs", unshowable]
    assert "routeware: an earlier call's" not in error.__notes__[2:]
