"""The public names are these, each says what it is for, and a changed signature shows in a diff."""

from __future__ import annotations

import difflib
import inspect
import re
from types import FunctionType

import routeware
import routeware.testing
from tests.structure.public_api import SPOKEN, TEXT, describe, public_members

CALLING = {"routed", "Routed", "Attempt", "current_attempt", "Outcome", "record_of"}
POLICY = {"RoutingPolicy", "Link", "FailoverRules", "LatencyRules", "BudgetRules", "ObserveRules", "OnExceed"}
MONEY = {
    *{"session", "Session", "current_session"},
    *{"Usage", "Price", "Tariff", "PriceBook", "Ledger", "MemoryLedger"},
    *{"Tally", "Balance"},
}
RECORD = {
    *{"CallRecord", "AttemptRecord", "AttemptStatus", "AttemptTrigger"},
    *{"RoutingDecision", "ErrorCategory", "ErrorSnapshot"},
}
AVAILABILITY = {"Health", "LinkHealth"}
STREAMS = {
    "RoutedGenerator",
    "RoutedStream",
    "StreamClosedError",
    "StreamTruncatedError",
    "has_output",
    "is_final",
}
ERRORS = {
    "RoutewareError",
    "PolicyError",
    "BudgetExceededError",
    "LedgerUnavailableError",
    "AttemptTimeoutError",
    "DeadlineExceededError",
    "ResultRejectedError",
    "ProviderCancelledError",
    "ExhaustedError",
    "NoSessionError",
    "SessionClosedError",
}
ELSEWHERE = {
    *{"contrib.sqlite.SqliteLedger", "contrib.redis.RedisLedger", "budget.OfflineLedger"},
    *{"contrib.genai_prices.catalogue", "threshold.LatencyReport", "testing.ledgers.LedgerSuite"},
    *{"lab.replay", "lab.Replayed", "lab.Estimate"},
}
"""What pages tell people to import from modules of their own."""


def test_the_public_names_are_these() -> None:
    """A name appears or goes by decision, not by accident."""
    assert set(routeware.__all__) == CALLING | POLICY | MONEY | RECORD | ERRORS | AVAILABILITY | STREAMS
    assert len(routeware.__all__) == len(set(routeware.__all__))


def test_errors_that_pass_for_builtin_ones_do() -> None:
    """``except TimeoutError`` and ``except ValueError`` catch what they say; everything is a RoutewareError."""
    assert all(issubclass(getattr(routeware, name), routeware.RoutewareError) for name in ERRORS)
    assert issubclass(routeware.PolicyError, ValueError)
    assert issubclass(routeware.AttemptTimeoutError, TimeoutError)
    assert issubclass(routeware.DeadlineExceededError, TimeoutError)


def test_every_public_name_says_what_it_is_for() -> None:
    """Inherited words do not count: they are about something else."""
    silent = []
    for name in routeware.__all__:
        value = getattr(routeware, name)
        members = _undocumented(value) if isinstance(value, type) else []
        own_words = vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
        silent += [*([] if own_words else [name]), *(f"{name}.{member}" for member in members)]

    assert not silent, f"without a docstring: {', '.join(silent)}"


def _undocumented(owner: type) -> list[str]:
    """Public methods and properties without words; fields are explained in their class's docstring."""
    spoken = {
        name: member
        for name, member in public_members(owner).items()
        if name not in SPOKEN and isinstance(member, FunctionType | property | classmethod | staticmethod)
    }
    return [name for name, member in spoken.items() if not inspect.cleandoc(member.__doc__ or "")]


def test_the_public_signatures_are_these() -> None:
    """``tests/public_api.txt`` holds them all, so that a change of the API is a line in the diff."""
    then, now = TEXT.read_text(encoding="utf-8").splitlines(), describe().splitlines()

    changed = "\n".join(difflib.unified_diff(then, now, TEXT.name, "the code", lineterm="", n=1))

    assert not changed, (
        f"The public API has changed:\n{changed}\n"
        "If that is meant, `python -m tests.structure.public_api` writes it down; tell the users in CHANGELOG.md."
    )


def test_the_reference_has_every_public_name() -> None:
    """A name that the documentation site does not describe is found by nobody."""
    page = (TEXT.parent.parent / "docs" / "api.md").read_text(encoding="utf-8")
    described = re.findall(r"^\.\. auto(?:class|function|exception|data):: routeware\.([\w.]+)$", page, re.MULTILINE)

    expected = [*routeware.__all__, *(f"testing.{name}" for name in routeware.testing.__all__), *ELSEWHERE]
    assert sorted(described) == sorted(expected)
