"""Checks of single values of a policy, and the refusals of wrong ones.

The author of a wrong policy is about to deploy it, so every refusal says which setting, what it holds, and
what would be right. Converters only normalise (an int to its float) and let the rest pass;
validators refuse, because attrs tells them which field they look at.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import attrs

from routeware.errors import PolicyError

__all__ = [
    "as_float",
    "as_optional_float",
    "as_optional_text",
    "as_text",
    "finite",
    "flag",
    "free_text",
    "items",
    "nearest",
    "number",
    "refusal",
    "shown",
    "text",
    "whole",
    "whole_number",
    "within",
    "word",
]

T = TypeVar("T")
Validator: TypeAlias = "Callable[[object, attrs.Attribute[Any], object], None]"  # attrs has the generic in stubs only

_LONGEST_REPR = 100
_LONGEST_NAME = 100
_ABSURD = 1e12  # a bound that keeps nonsense out, and appears only in its refusal
_CLOSE_ENOUGH = 0.35


def shown(value: object) -> str:
    """Return the value as an error quotes it: its repr, cut at 100 characters."""
    try:
        quoted = repr(value)
    except Exception:  # noqa: BLE001 - a foreign repr may raise anything (an int of 5000 digits does), and the key still has to be named
        quoted = f"<{type(value).__name__}>"
    return quoted if len(quoted) <= _LONGEST_REPR else f"{quoted[: _LONGEST_REPR - 3]}..."


def refusal(key: str | None, wanted: str, value: object, hint: str | None = None) -> PolicyError:
    """Make the error for a value that is not what is wanted there."""
    return PolicyError(f"must be {wanted}, not {shown(value)}{f' ({hint})' if hint else ''}", key=key)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Find the known name that was most likely meant; ``None`` if none comes close."""
    if len(name) > _LONGEST_NAME:  # comparing takes time that grows with the square of the length
        return None
    spelled = {_spelling(candidate): candidate for candidate in known}
    import difflib  # noqa: PLC0415  # for mistakes only

    close = difflib.get_close_matches(_spelling(name), spelled, n=1, cutoff=_CLOSE_ENOUGH)
    return spelled[close[0]] if close else None


def _spelling(name: str) -> str:
    return name.strip().lower().replace("-", "_")


@contextmanager
def within(prefix: str) -> Generator[None]:
    """Complete the key of a refusal by the place in which the refused part stands."""
    try:
        yield
    except PolicyError as error:
        raise PolicyError(error.problem, key=_joined(prefix, error.key)) from None


def _joined(prefix: str, key: str | None) -> str:
    return prefix if key is None else f"{prefix}{key}" if key.startswith("[") else f"{prefix}.{key}"


def as_float(value: float) -> float:
    """Return a number as a float; anything else as it is, for the validator to refuse."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        return float(value)
    except OverflowError:
        return value


def as_optional_float(value: float | None) -> float | None:
    """Do the same where ``None`` means that nothing is set."""
    return None if value is None else as_float(value)


def as_text(value: str) -> str:
    """Return a text as a plain ``str``; anything else as it is, for the validator to refuse.

    A member of a ``(str, Enum)`` would otherwise spell its Python name into labels.
    """
    return str.__str__(value) if isinstance(value, str) else value


def as_optional_text(value: str | None) -> str | None:
    """Do the same where ``None`` means that nothing is set."""
    return None if value is None else as_text(value)


def number(*, above: float | None = None, low: float = 0.0, high: float = math.inf) -> Validator:
    """Make a validator for finite numbers: over ``above``, or from ``low`` to ``high``."""

    def check(_part: object, field: attrs.Attribute[Any], value: object) -> None:
        finite(value, field.name, above=above, low=low, high=high)

    return check


def finite(value: object, key: str, *, above: float | None = None, low: float = 0.0, high: float = math.inf) -> float:
    """Return the value, if it is a finite number over ``above``, or from ``low`` to ``high``."""
    found = as_float(value) if isinstance(value, int | float) else math.nan
    finite_one = isinstance(found, float) and math.isfinite(found)
    if not finite_one or not low <= found <= high or (above is not None and found <= above):
        hint = _not_a_number_because(value) or _too_large_because(found, high)
        raise refusal(key, _range_in_words("a finite number", above, low, high), value, hint)
    return found


def _range_in_words(what: str, above: float | None, low: float, high: float) -> str:
    if above is not None:
        return f"{what} above {above:g}"
    return f"{what} of at least {low:g}" if high >= _ABSURD else f"{what} from {low:g} to {high:g}"


def _too_large_because(value: object, high: float) -> str | None:
    too_large = isinstance(value, int | float) and value > high >= _ABSURD
    return f"{high:g} is the most" if too_large and high < math.inf else None


def whole_number(*, low: int, high: float = sys.float_info.max) -> Validator:
    """Make a validator for ints from ``low`` to ``high``: by default what a float can hold, as for other numbers."""

    def check(_part: object, field: attrs.Attribute[Any], value: object) -> None:
        whole(value, field.name, low=low, high=high)

    return check


def whole(value: object, key: str, *, low: int, high: float = math.inf) -> int:
    """Return the value, if it is an int from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        wanted = _range_in_words("a whole number", None, low, high)
        because = "a whole number has no decimal point" if isinstance(value, float) else _not_a_number_because(value)
        raise refusal(key, wanted, value, because or _too_large_because(value, high))
    return int(value)


def _not_a_number_because(value: object) -> str | None:
    if isinstance(value, bool):
        return "a boolean is not a number"
    if isinstance(value, str):
        return "a number is written without quotes"
    return _not_one_value_because(value)


def _not_one_value_because(value: object) -> str | None:
    if value is None:
        return "leave it out for the default"
    if isinstance(value, Mapping | Sequence | AbstractSet) and not isinstance(value, str | bytes):
        return "one value belongs here"
    return None


def text(_part: object, field: attrs.Attribute[Any], value: object) -> None:
    """Validate a text that says something."""
    if not isinstance(value, str):
        raise refusal(field.name, "a text", value, _not_one_value_because(value))
    if not value.strip():
        raise refusal(field.name, "a text that is not empty", value)


def free_text(_part: object, field: attrs.Attribute[Any], value: object) -> None:
    """Validate a text, the empty one included."""
    if not isinstance(value, str):
        raise refusal(field.name, "a text", value, _not_one_value_because(value))


def flag(_part: object, field: attrs.Attribute[Any], value: object) -> None:
    """Validate a boolean."""
    if not isinstance(value, bool):
        hint = "without quotes" if isinstance(value, str) else _not_one_value_because(value)
        raise refusal(field.name, "true or false", value, hint)


def items(value: object, key: str, wanted: str) -> tuple[Any, ...]:
    """Return the members of a list, a tuple or a set; refuse a single value, with a word on how to write it."""
    if isinstance(value, Mapping | str | bytes | bytearray) or not isinstance(value, Sequence | AbstractSet):
        raise refusal(key, wanted, value, None if value is None else f"one alone is written [{shown(value)}]")
    return tuple(value)


def word(value: object, key: str, wanted: str, known: Mapping[str, T]) -> T:
    """Return the value of a known word, whatever its case and surrounding blanks."""
    if not isinstance(value, str):
        raise refusal(key, wanted, value, _not_one_value_because(value))
    found = known.get(value.strip().lower())
    if found is None:
        close = nearest(value, known)
        raise refusal(key, wanted, value, f"did you mean {close!r}?" if close else f"known are {', '.join(known)}")
    return found
