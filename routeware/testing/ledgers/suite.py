"""The tests that every ledger has to pass: one class, to be subclassed with a way to open a ledger.

Sums here are whole nano-dollars, and names are fresh in every test, so that ledgers that outlive a test may be shared.
It needs nothing but pytest with a plug-in for async tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import pytest

from routeware.budget import Balance, Ledger, Tally
from routeware.errors import BudgetExceededError, PolicyError
from routeware.testing.ledgers.model import agrees, an_id, fresh

__all__ = ["LedgerSuite"]

T = TypeVar("T")

_ABOVE_DOUBLES = 2**53 + 1
"""The first whole number that a double cannot hold."""


class LedgerSuite:
    """Every ledger has to pass these. A subclass says how its ledger is opened."""

    biggest_limit: int | None = None
    """The largest cap that fits, in nano-dollars; ``None`` if any does."""

    orders = 40
    """The number of orders of questions that are tried for each pair of limits."""

    def opening(self) -> AbstractAsyncContextManager[Ledger]:
        """Open a ledger that is ready, and close it afterwards."""
        raise NotImplementedError

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one drawn example to its end, on a loop of its own."""
        return asyncio.run(work)

    @asynccontextmanager
    async def opened(self, *tallies: Tally) -> AsyncIterator[Ledger]:
        """Open a ledger that knows these tallies."""
        async with self.opening() as ledger:
            for tally in tallies:
                await ledger.tally(tally)
            yield ledger

    async def test_a_new_tally_stands_at_nothing(self) -> None:
        """Opening it spends nothing."""
        async with self.opening() as ledger:
            assert await ledger.tally(fresh(100)) == Balance(0, 0, 0)

    async def test_a_hold_is_reserved_and_a_settlement_replaces_it(self) -> None:
        """The settled and the uncertain cost replace the reservation."""
        tally, id = fresh(100), an_id()
        async with self.opened(tally) as ledger:
            assert list(await ledger.hold(id, [tally], 60)) == [Balance(reserved=60)]
            assert list(await ledger.settle(id, [tally], 25, 10)) == [Balance(settled=25, uncertain=10)]
            assert await ledger.tally(tally) == Balance(settled=25, uncertain=10)

    async def test_a_limit_is_refused_beyond_and_granted_at_equality(self) -> None:
        """Committed is settled, uncertain and reserved together; the error says how far it is."""
        tally = fresh(100)
        async with self.opened(tally) as ledger:
            first = an_id()
            await ledger.hold(first, [tally], 50)
            await ledger.settle(first, [tally], 30, 20)
            await ledger.hold(an_id(), [tally], 20)
            with pytest.raises(BudgetExceededError) as raised:
                await ledger.hold(an_id(), [tally], 31)
            await ledger.hold(an_id(), [tally], 30)

            assert await ledger.tally(tally) == Balance(30, 20, 50)
        error = raised.value
        assert (error.kind, error.session_name) == ("session", tally.name)
        assert (error.limit_usd, error.projected_usd, error.committed_usd) == (100e-9, 31e-9, 70e-9)

    async def test_a_limit_of_zero_lets_nothing_through_but_nothing(self) -> None:
        """Zero is a number."""
        tally = fresh(0)
        async with self.opened(tally) as ledger:
            await ledger.hold(an_id(), [tally], 0)
            with pytest.raises(BudgetExceededError):
                await ledger.hold(an_id(), [tally], 1)

    async def test_a_hold_is_set_aside_in_all_tallies_or_in_none(self) -> None:
        """Whichever of them refuses."""
        wide, narrow, free = fresh(100, "month"), fresh(10), fresh(None, "free")
        async with self.opened(wide, narrow, free) as ledger:
            for tallies in ([wide, narrow, free], [narrow, wide], [free, narrow]):
                with pytest.raises(BudgetExceededError) as raised:
                    await ledger.hold(an_id(), tallies, 11)
                assert raised.value.session_name == narrow.name
            for tally in (wide, narrow, free):
                assert await ledger.tally(tally) == Balance()

            balances = await ledger.hold(an_id(), [wide, free, narrow], 10)
            assert list(balances) == [Balance(reserved=10)] * 3

    async def test_the_answer_is_in_the_order_of_the_question(self) -> None:
        """One balance per tally."""
        one, other, id = fresh(None, "one"), fresh(None, "other"), an_id()
        async with self.opened(one, other) as ledger:
            await ledger.settle(an_id(), [one], 1, 0)
            assert list(await ledger.hold(id, [other, one], 5)) == [Balance(0, 0, 5), Balance(1, 0, 5)]
            assert list(await ledger.settle(id, [other, one], 2, 0)) == [Balance(2, 0, 0), Balance(3, 0, 0)]

    async def test_a_limit_may_be_stricter_for_one_hold(self) -> None:
        """A policy's cap on the session; the tally's own limit stays what it was."""
        tally = fresh(100)
        async with self.opened(tally) as ledger:
            with pytest.raises(BudgetExceededError):
                await ledger.hold(an_id(), [Tally(tally.name, 10)], 11)
            await ledger.hold(an_id(), [tally], 11)
            assert await ledger.tally(tally) == Balance(reserved=11)

    async def test_asking_twice_changes_nothing_twice(self) -> None:
        """A client that lost a reply asks again: for a hold, a settlement, and a hold that is settled already."""
        tally, id = fresh(100), an_id()
        async with self.opened(tally) as ledger:
            for _ in range(3):
                assert list(await ledger.hold(id, [tally], 60)) == [Balance(reserved=60)]
            for _ in range(3):
                assert list(await ledger.settle(id, [tally], 25, 10)) == [Balance(settled=25, uncertain=10)]
            assert list(await ledger.hold(id, [tally], 60)) == [Balance(settled=25, uncertain=10)]
            assert list(await ledger.settle(id, [tally], 99, 99)) == [Balance(settled=25, uncertain=10)]

    async def test_a_hold_that_holds_is_granted_again_even_when_the_tally_is_full(self) -> None:
        """It is not asked whether it would fit once more."""
        tally, id = fresh(100), an_id()
        async with self.opened(tally) as ledger:
            await ledger.hold(id, [tally], 60)
            await ledger.hold(an_id(), [tally], 40)
            assert list(await ledger.hold(id, [tally], 60)) == [Balance(reserved=100)]

    async def test_a_settlement_before_its_hold_keeps_it_from_holding(self) -> None:
        """A hold that was overtaken by its being given back."""
        tally, id = fresh(100), an_id()
        async with self.opened(tally) as ledger:
            await ledger.settle(id, [tally], 0, 0)
            assert list(await ledger.hold(id, [tally], 60)) == [Balance()]

    async def test_a_settlement_that_was_never_held_counts(self) -> None:
        """A correction, or spending while the ledger was away: limits do not keep it out."""
        tally = fresh(10)
        async with self.opened(tally) as ledger:
            assert list(await ledger.settle(an_id(), [tally], 25, 10)) == [Balance(25, 10, 0)]
            assert list(await ledger.settle(an_id(), [tally], -5, -10)) == [Balance(20, 0, 0)]

    async def test_a_refused_id_may_ask_again_when_there_is_room(self) -> None:
        """A refusal leaves nothing behind."""
        tally, id, first = fresh(10), an_id(), an_id()
        async with self.opened(tally) as ledger:
            await ledger.hold(first, [tally], 10)
            with pytest.raises(BudgetExceededError):
                await ledger.hold(id, [tally], 5)
            await ledger.settle(first, [tally], 0, 0)
            assert list(await ledger.hold(id, [tally], 5)) == [Balance(reserved=5)]

    async def test_opening_again_goes_on(self) -> None:
        """The same name is the same sum."""
        tally = fresh(100)
        async with self.opened(tally) as ledger:
            await ledger.settle(an_id(), [tally], 25, 0)
            assert await ledger.tally(Tally(tally.name, 100)) == Balance(settled=25)

    async def test_another_limit_is_an_error_that_names_both(self) -> None:
        """Every process must bring the same; no limit is a limit, too."""
        capped, free = fresh(2_500_000_000), fresh()
        async with self.opened(capped, free) as ledger:
            for tally, texts in (
                (Tally(capped.name, 3_000_000_000), ("$2.5", "$3")),
                (Tally(capped.name), ("$2.5", "no limit")),
                (Tally(free.name, 1_000_000_000), ("no limit", "$1")),
            ):
                with pytest.raises(PolicyError) as raised:
                    await ledger.tally(tally)
                assert raised.value.key == "limit_usd"
                assert all(text in str(raised.value) for text in (*texts, tally.name))
            assert await ledger.tally(capped) == await ledger.tally(free) == Balance()

    async def test_sums_are_exact_beyond_doubles(self) -> None:
        """To the nano-dollar, where a double no longer tells one from the next."""
        tally, ids = fresh(), [an_id() for _ in range(3)]
        async with self.opened(tally) as ledger:
            for id in ids:
                await ledger.hold(id, [tally], 2**53 - 1)
            assert await ledger.tally(tally) == Balance(reserved=3 * (2**53 - 1))
            for id in ids:
                await ledger.settle(id, [tally], 2**53 - 2, 1)
            await ledger.settle(an_id(), [tally], _ABOVE_DOUBLES - 3 * (2**53 - 2), 0)
            assert await ledger.tally(tally) == Balance(_ABOVE_DOUBLES, 3, 0)

    async def test_a_tally_beyond_doubles_fits_no_cap(self) -> None:
        """A sum that cannot be compared exactly is certainly more than any cap that can."""
        tally = fresh()
        async with self.opened(tally) as ledger:
            await ledger.settle(an_id(), [tally], 2**53 - 1, 0)
            await ledger.settle(an_id(), [tally], 2**53 - 1, 0)
            for limit in (0, 2**53 - 1):
                with pytest.raises(BudgetExceededError):
                    await ledger.hold(an_id(), [Tally(tally.name, limit)], 0)

    async def test_the_largest_cap_is_kept_to_the_nano_dollar(self) -> None:
        """One less than full fits one more, and no second."""
        tally = fresh(2**53 - 1)
        async with self.opened(tally) as ledger:
            await ledger.settle(an_id(), [tally], 2**53 - 2, 0)
            await ledger.hold(an_id(), [tally], 1)
            with pytest.raises(BudgetExceededError):
                await ledger.hold(an_id(), [tally], 1)

    async def test_a_cap_that_does_not_fit_is_refused(self) -> None:
        """Rather than kept inexactly."""
        if self.biggest_limit is None:
            return
        async with self.opening() as ledger:
            await ledger.tally(fresh(self.biggest_limit))
            with pytest.raises(PolicyError) as raised:
                await ledger.tally(fresh(self.biggest_limit + 1))
        assert raised.value.key == "limit_usd"

    async def test_names_are_taken_as_they_are(self) -> None:
        """Whatever they contain."""
        names = ["", "a b", "a:b", "{a}", "a/*?[b]", "ü\n☂", "'; --", "x" * 500]
        tallies = [fresh(None, name) for name in names]
        async with self.opened(*tallies) as ledger:
            for amount, tally in enumerate(tallies):
                await ledger.settle(an_id(), [tally], amount, 0)
            assert [(await ledger.tally(tally)).settled for tally in tallies] == list(range(len(names)))

    async def test_a_settled_id_is_known_after_many_others(self) -> None:
        """A reply was lost, and the network was away: its settlement comes again, and is counted once."""
        tally, id = fresh(), an_id()
        async with self.opened(tally) as ledger:
            await ledger.settle(id, [tally], 25, 10)
            for _ in range(5):
                await asyncio.gather(*(ledger.settle(an_id(), [tally], 1, 0) for _ in range(100)))
            assert list(await ledger.settle(id, [tally], 25, 10)) == [Balance(settled=525, uncertain=10)]

    async def test_each_of_many_questions_at_once_has_its_own_answer(self) -> None:
        """One that is refused keeps none of the others from being granted."""
        wide, narrow = fresh(1000), fresh(5)
        async with self.opened(wide, narrow) as ledger:
            answers = await asyncio.gather(
                ledger.hold(an_id(), [wide], 10),
                ledger.hold(an_id(), [wide, narrow], 10),
                ledger.tally(Tally(wide.name, 7)),
                ledger.settle(an_id(), [narrow], 3, 0),
                ledger.hold(an_id(), [narrow, wide], 2),
                return_exceptions=True,
            )

            assert [type(answer) for answer in answers if isinstance(answer, BaseException)] == [
                BudgetExceededError,
                PolicyError,
            ]
            assert await ledger.tally(wide) == Balance(reserved=12)
            assert await ledger.tally(narrow) == Balance(settled=3, reserved=2)

    async def test_a_hold_whose_caller_was_cancelled_can_be_given_back(self) -> None:
        """Granted or not, nothing stays reserved, and the ledger goes on."""
        tally = fresh(100)
        async with self.opened(tally) as ledger:
            for turns in range(6):
                id = an_id()
                holding = asyncio.ensure_future(ledger.hold(id, [tally], 60))
                for _ in range(turns):
                    await asyncio.sleep(0)
                holding.cancel()
                await asyncio.wait([holding])
                await ledger.settle(id, [tally], 0, 0)
                assert await ledger.tally(tally) == Balance()

    async def test_a_cap_may_be_stricter_than_the_limit_for_one_hold(self) -> None:
        """A policy's cap on the session, as sessions bring it."""
        tally = fresh(100)
        async with self.opened(tally) as ledger:
            with pytest.raises(BudgetExceededError) as raised:
                await ledger.hold(an_id(), [Tally(tally.name, 10, 10)], 11)
            await ledger.hold(an_id(), [Tally(tally.name, 100, 200)], 100)
            assert await ledger.tally(tally) == Balance(reserved=100)
        assert raised.value.limit_usd == 10e-9

    async def test_a_limit_is_replaced_for_all_who_share_the_name(self) -> None:
        """Up or down, at once, also for sessions that bring the old one; who opens it now must bring the new one."""
        tally = fresh(100)
        async with self.opened(tally) as ledger:
            set_limit = self._set_limit(ledger)
            held = an_id()
            await ledger.hold(held, [tally], 50)
            for limit in (60, 200):
                assert await set_limit(Tally(tally.name, limit)) == Balance(reserved=50)
                with pytest.raises(PolicyError):
                    await ledger.tally(tally)
                assert await ledger.tally(Tally(tally.name, limit)) == Balance(reserved=50)
                with pytest.raises(BudgetExceededError):
                    await ledger.hold(an_id(), [tally], limit - 49)
            await ledger.hold(an_id(), [tally], 150)
            assert list(await ledger.settle(held, [tally], 5, 0)) == [Balance(5, 0, 150)]

    async def test_a_cap_goes_on_to_count_when_a_limit_is_replaced(self) -> None:
        """It is the policy's."""
        tally = fresh(100)
        async with self.opened(tally) as ledger:
            await self._set_limit(ledger)(Tally(tally.name, 200))
            with pytest.raises(BudgetExceededError):
                await ledger.hold(an_id(), [Tally(tally.name, 20, 20)], 21)
            await ledger.hold(an_id(), [Tally(tally.name, 100, 160)], 160)

    async def test_a_limit_is_taken_away(self) -> None:
        """And given to a name that is not there yet."""
        tally, new = fresh(100), fresh(10)
        async with self.opened(tally) as ledger:
            set_limit = self._set_limit(ledger)
            await set_limit(Tally(tally.name))
            await ledger.hold(an_id(), [tally], 101)
            assert await set_limit(new) == Balance()
            with pytest.raises(BudgetExceededError):
                await ledger.hold(an_id(), [Tally(new.name)], 11)

    def _set_limit(self, ledger: Ledger) -> Callable[[Tally], Awaitable[Balance]]:
        found: Callable[[Tally], Awaitable[Balance]] | None = getattr(ledger, "set_limit", None)
        if found is None:
            pytest.skip("the limits of this ledger cannot be replaced")
        return found

    async def test_many_at_once_do_not_overspend_together(self) -> None:
        """Room for exactly 20 of 60."""
        tally = fresh(200)
        async with self.opened(tally) as ledger:
            holding = [ledger.hold(an_id(), [tally], 10) for _ in range(60)]
            answers = await asyncio.gather(*holding, return_exceptions=True)

            refused = [answer for answer in answers if isinstance(answer, BudgetExceededError)]
            assert len(refused) == 40
            assert len([answer for answer in answers if isinstance(answer, BaseException)]) == 40
            assert await ledger.tally(tally) == Balance(reserved=200)

    @pytest.mark.parametrize("limits", [(None, None), (100, None), (60, 100)])
    def test_any_order_of_questions_has_the_answer_of_the_model(self, limits: tuple[int | None, ...]) -> None:
        """Lost, repeated and overtaken messages: committed money never passes a cap by a hold."""
        for seed in range(self.orders):
            self.run(agrees(self.opened, seed, limits))
