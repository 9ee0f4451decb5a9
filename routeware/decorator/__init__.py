"""The decorator: what a routed function looks like from outside."""

from routeware.decorator.routed import Decorate, Provider, Routed, routed
from routeware.decorator.streams import GeneratorProvider, RoutedGenerator, RoutedStream

__all__ = ["Decorate", "GeneratorProvider", "Provider", "Routed", "RoutedGenerator", "RoutedStream", "routed"]
