"""More worlds when asked for: ``pytest tests/schedules --hypothesis-profile=thorough``."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("search", max_examples=20_000, deadline=None, print_blob=True)
settings.register_profile("thorough", max_examples=5000, deadline=None, print_blob=True)
