"""Exceptions with whatever a test wants them to carry, without the library that would raise them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class FailedError(Exception):
    """An error of no telling name, with whatever attributes a test gives it."""

    def __init__(self, *args: object, **attributes: object) -> None:
        super().__init__(*args)
        vars(self).update(attributes)


class Response:
    """A response, as far as errors keep one; asking whether it is true is a mistake."""

    def __init__(self, **attributes: object) -> None:
        vars(self).update(attributes)

    def __bool__(self) -> bool:
        raise AssertionError("a response was tested for truth")


def named(name: str, *bases: type[BaseException], module: str = "sdk.errors") -> type[BaseException]:
    """An SDK's exception class, of which the name is all that is known."""
    return type(name, bases or (Exception,), {"__module__": module})


def raised(
    error: BaseException, *, cause: BaseException | None = None, context: BaseException | None = None
) -> BaseException:
    """``error``, with what is behind it."""
    error.__context__ = context
    if cause is not None:
        error.__cause__ = cause
    return error


class Untrue:
    """Cannot be asked whether it is true, nor compared."""

    def __bool__(self) -> bool:
        raise AssertionError("tested for truth")

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")

    __hash__ = None  # type: ignore[assignment]  # and so it cannot be hashed either


class Answering:
    """Answers to every name, with itself."""

    def __getattr__(self, name: str) -> Answering:
        return self

    def __call__(self, *_args: object, **_named: object) -> Answering:
        return self


class RaisingMapping(Mapping[str, object]):
    """A mapping that cannot be read."""

    def __getitem__(self, key: str) -> object:
        raise RuntimeError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError


class Lying:
    """Says that it is an int."""

    __class__ = int  # type: ignore[assignment]  # a lie is what is tested
