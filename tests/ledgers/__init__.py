"""What every ledger has to do, told once: subclass ``LedgerSuite`` and say how one is opened."""
