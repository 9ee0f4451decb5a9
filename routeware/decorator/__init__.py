"""The decorator: what a routed function looks like from outside."""

from routeware.decorator.routed import Decorate, Provider, Routed, routed

__all__ = ["Decorate", "Provider", "Routed", "routed"]
