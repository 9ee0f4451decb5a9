"""Looking back: calls read from spans and records, drawn, tuned and replayed."""

from routeware.lab.replaying import Estimate, Replayed, replay

__all__ = ["Estimate", "Replayed", "replay"]
