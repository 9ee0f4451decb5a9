"""Sessions: what adds up where, and what happens when one is left."""
