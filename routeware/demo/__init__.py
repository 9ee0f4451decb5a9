"""The demo: loopback providers that answer as recorded ones did, and the same requests sent to them bare and routed.

Nothing in here prints: the command line draws what these modules give it.
"""

__all__ = ["DemoError"]


class DemoError(Exception):
    """The demo cannot go on, or not do all that was asked; the text says why in one line."""
