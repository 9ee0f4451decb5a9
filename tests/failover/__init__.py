"""Failover: which link is next, and what the caller gets in the end."""
