"""Ledgers that outlive a process: files, servers, and processes that are killed."""
