"""Cancellation: the caller's goes out, a provider's own is a failure, and nothing is left running."""
