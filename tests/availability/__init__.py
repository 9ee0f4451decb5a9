"""Staying up: cooldown, retries, spread, and policies that change while a service runs."""
