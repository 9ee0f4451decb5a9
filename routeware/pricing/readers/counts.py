"""Single counts: read under any of their names, with a note of those that are there and can't be counts."""

from __future__ import annotations

from collections.abc import Mapping

from routeware.money import MOST_COUNT, counted
from routeware.pricing.fields import fields

__all__ = ["Counts", "either", "plus"]


class Counts:
    """The counts of a reply, or a part of them.

    Attributes:
        held: The fields.
        dropped: The names of counts that were there and were no counts; shared with the whole and its other parts.
        deduced: True if the output was deduced from the total.
    """

    __slots__ = ("deduced", "dropped", "held")

    def __init__(self, held: Mapping[str, object], dropped: list[str] | None = None) -> None:
        self.held = held
        self.dropped: list[str] = [] if dropped is None else dropped
        self.deduced = False

    def __contains__(self, name: str) -> bool:
        return name in self.held

    def count(self, *names: str) -> int | None:
        """Return the first count among ``names`` that is above 0, else 0 if one of them is; ``None`` without any.

        Some APIs count under two names and leave one of them at 0.
        """
        found: int | None = None
        for name in names:
            value = self.held.get(name)
            if value is None:
                continue
            count = value if type(value) is int and 0 <= value <= MOST_COUNT else counted(value)
            if count:
                return count
            if count is None:
                self.dropped.append(name)
            else:
                found = count
        return found

    def part(self, *names: str) -> Counts:
        """Return the first part among ``names`` that holds anything; an empty one without any."""
        for name in names:
            inner = fields(self.held.get(name))
            if inner:
                return Counts(inner, self.dropped)
        return Counts({}, self.dropped)

    def by_modality(self, name: str, *names: str) -> int | None:
        """Return the tokens of sound in Google's lists of counts by modality; ``None`` without any."""
        for one in (name, *names):
            listed = self.held.get(one)
            if isinstance(listed, list):
                entries = [Counts(fields(entry), self.dropped) for entry in listed]
                heard = [entry.count("token_count", "tokenCount") for entry in entries if _is_audio(entry)]
                return sum(count for count in heard if count is not None) if heard else None
        return None

    def text(self, *names: str) -> str | None:
        """Return the first text among ``names``; ``None`` without any."""
        for name in names:
            value = self.held.get(name)
            if isinstance(value, str) and value:
                return str.__str__(value)
        return None

    def all_output(self, output: int | None, sent: int | None, total: int | None) -> int | None:
        """Return the output, with what the total holds beyond it.

        Some count thinking in the total alone (xAI, and Google behind an OpenAI endpoint), and embeddings, which have
        no output, give only input and total.
        """
        if sent is None or total is None or total < sent:
            return output
        rest = total - sent
        if output is not None and rest <= output:
            return output
        self.deduced = rest > 0
        return rest


def _is_audio(entry: Counts) -> bool:
    modality = entry.held.get("modality")
    return isinstance(modality, str) and str.__str__(modality).upper() == "AUDIO"


def either(first: int | None, other: int | None) -> int | None:
    """Return the first of two counts of one thing that is known, unless it is 0 and the other is more."""
    return first or (first if other is None else other)


def plus(first: int | None, *others: int | None) -> int | None:
    """Add counts up: unknown where ``first`` is; the others are parts that an API leaves out where it has none."""
    if first is None:
        return None
    return min(first + sum(other for other in others if other is not None), MOST_COUNT)
