"""Races: who starts when, who wins, and what becomes of the losers."""
