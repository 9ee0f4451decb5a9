"""The reservation of one attempt: held before it starts, settled once when it has ended, corrected afterwards.

What is kept elsewhere is asked for in tasks of their own, because a request that is on its way cannot be called back:
a hold that no call waits for any more is given back when its answer is in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from routeware.budget import caps
from routeware.budget.caps import Account, change, reserve
from routeware.budget.resending import SettlementQueue
from routeware.budget.session import Session
from routeware.errors import BudgetExceededError

__all__ = ["PendingReservation", "Reservation"]


class Reservation:
    """The money of one attempt; settled once, corrected afterwards.

    Without a session nothing is written down anywhere: it then knows the amounts for a call's own cap.

    Args:
        session: where the money counts.
        settled: what is settled there already, in nano-dollars.
        uncertain: what is booked there as uncertain.

    Attributes:
        held: what is set aside now, in nano-dollars.
        settled: what it was settled at.
        uncertain: what was booked as uncertain.
    """

    __slots__ = ("_accounts", "_delivery", "_loop", "_queues", "_session", "held", "settled", "uncertain")

    def __init__(self, session: Session | None, settled: int = 0, uncertain: int = 0) -> None:
        self._session = session
        self._accounts: tuple[Account, ...] = () if session is None else session.accounts
        self._queues: tuple[SettlementQueue, ...] = ()
        self._delivery: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.held = 0
        self.settled = settled
        self.uncertain = uncertain

    @property
    def undelivered(self) -> asyncio.Task[None] | None:
        """The first try to tell remote ledgers that is on its way; ``None`` where there is none."""
        delivery = self._delivery
        return None if delivery is None or delivery.done() else delivery

    def hold(self, nanos: int, cap: int | None = None) -> None:
        """Set ``nanos`` aside in all accounts of this process, or in none. It never suspends.

        Args:
            nanos: the projection.
            cap: one more limit on the innermost session, for this hold.

        Raises:
            BudgetExceededError: a limit would be passed; equality fits.
        """
        session = self._session
        own = None if cap is None or session is None else session.shown
        with caps.LOCK:
            reserve(self._accounts, nanos, own, cap)
            self.held = nanos

    async def hold_remotely(self, nanos: int, cap: int | None = None) -> None:
        """Set ``nanos`` aside in the remote ledgers too, outermost first.

        Where one refuses, or the caller goes away, everything is given back, here and there.

        Raises:
            BudgetExceededError: a limit would be passed.
            LedgerUnavailableError: a ledger could not be asked.
        """
        session = self._session
        assert session is not None
        self._loop = loop = asyncio.get_running_loop()
        queues = tuple(SettlementQueue(view.settle) for view in session.views)
        asked: list[asyncio.Task[None]] = []
        try:
            for view, queue in zip(session.views, queues, strict=True):
                assert queue.id is not None
                task = loop.create_task(view.hold(queue.id, nanos, session.shown, cap))
                asked.append(task)
                await asyncio.wait([task])
                task.result()
        except BaseException as error:
            self.settle(0, 0)  # no queue is known yet, so this frees what this process holds
            for queue, task in zip(queues, asked, strict=False):
                _start_giving_back(session, task, queue)
            if isinstance(error, Exception):
                # One turn, in which what was held here for a ledger that is away is given back: whoever catches the
                # refusal finds nothing reserved.
                await asyncio.sleep(0)
            raise
        else:
            self._queues = queues
        finally:
            # A task keeps the error that it raised, whose traceback keeps this frame: neither would be freed.
            asked.clear()
            task = None  # type: ignore[assignment]

    def settle(self, settled: int, uncertain: int) -> None:
        """Replace what is held by what it cost. Where it has been settled before, correct that to this.

        Any thread may call it, and the collector. Remote ledgers get it on the loop that asked them.
        """
        with caps.LOCK:
            more_settled, more_uncertain, held = settled - self.settled, uncertain - self.uncertain, self.held
            self.settled, self.uncertain, self.held = settled, uncertain, 0
            change(self._accounts, -held, more_settled, more_uncertain)
            if not self._queues:
                return
            # Under the lock, so that reports of several threads are sent in the order in which they were booked.
            news = [queue for queue in self._queues if queue.add(more_settled, more_uncertain)]
        if news:
            self._hand_over()

    def release(self) -> None:
        """Give back what is held: the attempt was not started after all, or is paid for elsewhere."""
        self.settle(0, 0)

    def _hand_over(self) -> None:
        """Start telling the ledgers, on the loop that the session belongs to."""
        home = self._loop
        here = _running_loop()
        if here is home:
            self._deliver()
            return
        try:
            assert home is not None
            home.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            # The loop is closed. If another one runs (the next `asyncio.run`), the settlement can be sent from there.
            if here is not None:
                self._deliver()
                return
            for queue in self._queues:
                queue.say_lost("the loop is closed")

    def _deliver(self) -> None:
        loop, before = asyncio.get_running_loop(), self._delivery
        at_home = loop is self._loop
        session = self._session if at_home else None
        self._delivery = task = loop.create_task(_deliver(self._queues, session, before if at_home else None))
        if session is not None:
            session.keep(task)


class PendingReservation:
    """The reservation of a backup that remote ledgers are being asked for, in a task of its own.

    Attributes:
        reservation: what is asked for.
        task: ends when the answer is in.
    """

    __slots__ = ("_session", "reservation", "task")

    def __init__(self, session: Session, reservation: Reservation, nanos: int, cap: int | None = None) -> None:
        self._session = session
        self.reservation = reservation
        self.task = asyncio.get_running_loop().create_task(reservation.hold_remotely(nanos, cap))

    def failure(self) -> BaseException | None:
        """Return why the reservation was not granted, once the task is done; ``None`` if it was."""
        if self.task.cancelled():
            return asyncio.CancelledError()
        return self.task.exception()

    def abandon(self) -> None:
        """Stop asking. What is granted all the same is given back, and the session waits for that."""
        self.task.cancel()
        self.task.add_done_callback(self._abandoned)
        self._session.keep(self.task)

    def _abandoned(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # read, so that the loop does not report it as lost
        self.reservation.release()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _start_giving_back(session: Session, asked: asyncio.Task[None], queue: SettlementQueue) -> None:
    giving = _give_back(session, asked, queue)
    try:
        session.keep(asked.get_loop().create_task(giving))
    except RuntimeError:
        # The call is torn down by the garbage collector, its loop is gone: the ledger's lease has to end the hold.
        giving.close()
        queue.add(0, 0)
        queue.say_lost("the loop is closed")


async def _give_back(session: Session, asked: asyncio.Task[None], queue: SettlementQueue) -> None:
    # The hold may be granted after its caller has gone: only when its answer is in is there something to give back.
    if not asked.done():
        await asyncio.wait([asked])
    if not asked.cancelled() and not isinstance(asked.exception(), BudgetExceededError):
        queue.add(0, 0)
        await _send(queue, session)


async def _deliver(
    queues: Sequence[SettlementQueue], session: Session | None, before: asyncio.Task[None] | None
) -> None:
    """Send it to every ledger once; what does not arrive is sent again by a task that the session waits for."""
    if before is not None:
        await asyncio.wait([before])
    due = [queue for queue in queues if not queue.repeating]
    if len(due) == 1:
        await _send(due[0], session)
    elif due:
        await asyncio.wait([asyncio.ensure_future(_send(queue, session)) for queue in due])


async def _send(queue: SettlementQueue, session: Session | None) -> None:
    if await queue.send():
        return
    if session is None:
        # Told from another loop than that of the session, which is closed: no session waits for a second try.
        queue.say_lost("it could not be reached")
        return
    queue.begin_repeating()
    session.insist(asyncio.get_running_loop().create_task(queue.repeat()), queue)
