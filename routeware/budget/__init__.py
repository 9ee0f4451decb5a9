"""Reserve, then settle: who may spend, and what was spent.

Checking a budget and spending afterwards lets calls that run side by side overspend together. So an attempt first sets
aside the most that it may cost (its projection), in every tally that counts it or in none; when it has ended, the
reservation is replaced by what it cost. Committed money is settled + uncertain + reserved, and only that is compared
with a cap.

Tallies of this process are kept in :class:`Account` objects and never suspend: nothing runs between the check and
the hold. What is kept elsewhere is asked through a :class:`Ledger`.
"""

from routeware.budget.caps import Account, charge
from routeware.budget.ledger import Balance, Ledger, Tally, different_limit, refusal
from routeware.budget.memory import MemoryLedger
from routeware.budget.offline import OfflineLedger
from routeware.budget.opening import current_session, session
from routeware.budget.report import AttemptSums, SessionReport
from routeware.budget.reservation import PendingReservation, Reservation
from routeware.budget.session import CURRENT_SESSION, Session

__all__ = [
    "CURRENT_SESSION",
    "Account",
    "AttemptSums",
    "Balance",
    "Ledger",
    "MemoryLedger",
    "OfflineLedger",
    "PendingReservation",
    "Reservation",
    "Session",
    "SessionReport",
    "Tally",
    "charge",
    "current_session",
    "different_limit",
    "refusal",
    "session",
]
