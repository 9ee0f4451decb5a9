"""The decorator: what a routed function looks like from outside."""

from routeware.decorator.routed import Decorate, Routed, routed
from routeware.decorator.streams import RoutedGenerator, RoutedStream
from routeware.decorator.view import Provider, View, registrations_of

__all__ = [
    "Decorate",
    "Provider",
    "Routed",
    "RoutedGenerator",
    "RoutedStream",
    "View",
    "registrations_of",
    "routed",
]
