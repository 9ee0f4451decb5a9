"""The errors that keep the demo from going on."""

from __future__ import annotations

__all__ = ["DemoError"]


class DemoError(Exception):
    """The demo cannot go on, or not do all that was asked; the text says why in one line."""
