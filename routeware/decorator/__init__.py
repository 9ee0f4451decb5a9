"""The decorator: what a routed function looks like from outside."""

from routeware.decorator.routed import Decorate, Provider, Routed, routed
from routeware.decorator.streams import GeneratorProvider, RoutedGenerator, RoutedStream
from routeware.decorator.view import View, registrations_of

__all__ = [
    "Decorate",
    "GeneratorProvider",
    "Provider",
    "Routed",
    "RoutedGenerator",
    "RoutedStream",
    "View",
    "registrations_of",
    "routed",
]
