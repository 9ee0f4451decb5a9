"""The suite for people's own ledgers fails on a ledger that is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from routeware import BudgetExceededError, MemoryLedger
from routeware.budget import Balance, Tally
from routeware.testing.ledgers import LedgerSuite
from tests.fakes.clock import run_jumping


class Generous(MemoryLedger):
    """Grants everything."""

    async def hold(self, id: str, tallies: Sequence[Tally], nanos: int, /) -> Sequence[Balance]:
        """Grant what does not fit, and reserve nothing for it."""
        try:
            return await super().hold(id, tallies, nanos)
        except BudgetExceededError:
            return [Balance() for _ in tallies]


class Suite(LedgerSuite):
    """The suite over it, to be called by hand."""

    __test__ = False

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[MemoryLedger]:
        """Open it."""
        yield Generous()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run on a clock that jumps."""
        return run_jumping(work)


def test_a_ledger_that_grants_what_it_should_refuse_is_found_with_the_seed() -> None:
    """The drawn questions stand in a note, so that they can be asked again."""
    with pytest.raises(AssertionError, match="granted") as raised:
        Suite().test_any_order_of_questions_has_the_answer_of_the_model((20, 20))

    assert raised.value.__notes__[0].startswith("seed ")
