"""Spans, events, metrics and log lines: true, complete, and free of secrets."""
