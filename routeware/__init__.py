"""Middleware for asyncio applications: failover, racing, budgets and traces for any async provider function."""
