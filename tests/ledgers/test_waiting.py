"""Waiting for a ledger's answer: with one timer, which leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from routeware import LedgerUnavailableError
from routeware.contrib.loops import answered


async def test_an_answer_in_time_is_returned() -> None:
    """And the timer is gone."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[int] = loop.create_future()
    loop.call_later(0.5, answer.set_result, 5)

    assert await answered(answer, 1.0, "the ledger") == 5


async def test_a_late_answer_is_an_error_that_names_the_ledger() -> None:
    """The answer that comes after all is nobody's."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[int] = loop.create_future()

    with pytest.raises(LedgerUnavailableError, match=r"the ledger did not answer within 1\.5 s"):
        await answered(answer, 1.5, "the ledger")
    assert answer.done()


async def test_an_answer_at_the_last_moment_is_an_answer() -> None:
    """What is there when the loop looks goes before the timer."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[int] = loop.create_future()
    loop.call_later(1.0, answer.set_result, 5)

    assert await answered(answer, 1.0, "the ledger") == 5
