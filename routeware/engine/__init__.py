"""The engine: what is tried when, under which bounds, and what comes of it.

A call's path through the files: ``execute`` runs a ``call`` under a ``prepared`` policy; ``chain`` or
``race`` start attempts that ``admission`` admits, and ``invoke`` calls the provider function with its ``attempt``;
``verdict`` says what a failure means. When that is decided, ``cleanup`` cuts off and waits for what is still in flight,
and ``completion`` settles (``cost``), tells the listeners, and makes the ``record``. A ``stream`` decides with its
first item and concludes at its end: ``drive`` runs a generator, whose ``flow`` of items a ``handover`` passes on.
"""

from routeware.engine.attempt import Attempt, current_attempt, reported_usage
from routeware.engine.call import Call
from routeware.engine.execute import execute
from routeware.engine.prepared import PreparedPolicy
from routeware.engine.registrations import UNBOUND, ProviderFunction, Registrations, provider_function
from routeware.engine.rehearsal import REHEARSAL
from routeware.engine.stream import Stream

__all__ = [
    "REHEARSAL",
    "UNBOUND",
    "Attempt",
    "Call",
    "PreparedPolicy",
    "ProviderFunction",
    "Registrations",
    "Stream",
    "current_attempt",
    "execute",
    "provider_function",
    "reported_usage",
]
