"""README and docs: every script runs, every link leads somewhere."""
