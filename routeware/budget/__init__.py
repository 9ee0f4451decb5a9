"""Reserve, then settle: who may spend, and what was spent.

Checking a budget and spending afterwards lets calls that run side by side overspend together. So an attempt first sets
aside the most that it may cost (its projection), in every tally that counts it or in none; when it has ended, the
reservation is replaced by what it cost. Committed money is settled + uncertain + reserved, and only that is compared
with a cap.

Tallies of this process are kept in :class:`Account` objects and never suspend: nothing runs between the check and
the hold. What is kept elsewhere is asked through a :class:`Ledger`.
"""

from routeware.budget.account import Account, refusal
from routeware.budget.book import NOWHERE, Book
from routeware.budget.counts import Counts, Ended
from routeware.budget.ledger import Balance, Ledger, Tally, different_limit
from routeware.budget.memory import MemoryLedger
from routeware.budget.report import AttemptSums, SessionReport, attempt_sums
from routeware.budget.reservation import Reservation
from routeware.budget.sheet import Sheet
from routeware.budget.stopgap import Stopgap

__all__ = [
    "NOWHERE",
    "Account",
    "AttemptSums",
    "Balance",
    "Book",
    "Counts",
    "Ended",
    "Ledger",
    "MemoryLedger",
    "Reservation",
    "SessionReport",
    "Sheet",
    "Stopgap",
    "Tally",
    "attempt_sums",
    "different_limit",
    "refusal",
]
