"""Adapters: one file for each place to keep budgets, and for each source of prices.

Nothing above imports from here, and a file here imports its library when it is used, not before.
"""
