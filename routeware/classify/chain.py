"""The errors behind an error: its causes, and the error that was being handled when it was raised."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["arguments_of", "cause_of", "context_of", "errno_of", "has_more_behind", "hops", "leaves_of"]

_MOST = 128

# Read through the base class: a subclass may hide them behind a property of its own.
_CAUSE = vars(BaseException)["__cause__"].__get__
_CONTEXT = vars(BaseException)["__context__"].__get__
_SUPPRESSED = vars(BaseException)["__suppress_context__"].__get__
_ARGUMENTS = vars(BaseException)["args"].__get__
_ERRNO = vars(OSError)["errno"].__get__
_LEAVES = vars(BaseExceptionGroup)["exceptions"].__get__


def hops(error: BaseException, seen: set[int]) -> Iterator[BaseException]:
    """Walk from an error to its causes, outermost first. ``seen`` stops circles, also those through groups."""
    hop: BaseException | None = error
    while hop is not None and id(hop) not in seen and len(seen) < _MOST:
        seen.add(id(hop))
        yield hop
        hop = _next(hop)


def has_more_behind(error: BaseException) -> bool:
    """Tell whether an error has a cause, or was raised while another one was being handled."""
    if _CAUSE(error) is not None:
        return True
    return _CONTEXT(error) is not None and not _SUPPRESSED(error)


def cause_of(error: BaseException) -> BaseException | None:
    """Read the error that it was explicitly raised from."""
    found: BaseException | None = _CAUSE(error)
    return found


def context_of(error: BaseException) -> BaseException | None:
    """Read the error that was being handled when it was raised, even if ``from None`` says that it does not matter."""
    found: BaseException | None = _CONTEXT(error)
    return found


def arguments_of(error: BaseException) -> tuple[object, ...]:
    """Read the arguments that it was made with."""
    found: tuple[object, ...] = _ARGUMENTS(error)
    return found


def errno_of(error: BaseException) -> object:
    """Read the operating system's number of an ``OSError``; ``None`` for other errors."""
    found: object = _ERRNO(error) if issubclass(type(error), OSError) else None
    return found


def leaves_of(error: BaseException) -> tuple[BaseException, ...] | None:
    """List the errors directly inside a group; ``None`` if its class is no group."""
    found: tuple[BaseException, ...] | None = _LEAVES(error) if issubclass(type(error), BaseExceptionGroup) else None
    return found


def _next(error: BaseException) -> BaseException | None:
    found = cause_of(error)
    if found is None and not _SUPPRESSED(error):
        found = context_of(error)
    return found
