"""The tests that every ledger has to pass: subclass :class:`LedgerSuite`, and say how one is opened. Needs pytest."""

from routeware.testing.ledgers.model import an_id, fresh
from routeware.testing.ledgers.suite import LedgerSuite

__all__ = ["LedgerSuite", "an_id", "fresh"]
