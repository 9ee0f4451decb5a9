"""The engine: what is tried when, under which bounds, and what comes of it.

A call's path through the files: ``execute`` runs a ``call`` under a ``prepared`` policy, which knows the rules for its
errors; ``chain`` or ``race`` start attempts that ``admission`` admits and no cap (``caps``) refuses, and ``invoke``
calls the provider function with its ``attempt``; ``verdict`` says what a failure means, by those rules, and ``caller``
whose a cancellation is. ``attempt_end`` cuts losers off, settles an attempt and informs its listeners; ``call_end``
does so for a call, clears away what is left of it and makes its ``record``. A ``stream`` decides with its first item:
``stream_attempt`` runs a generator, ``stream_items`` hands its items over, and ``stream_end`` says how it ended. What
is in flight in a ``race`` is its ``race_state``.

The money of an attempt is in ``cost``: what it reserves, when that is released, what it is settled at, and how a
report after its end corrects the books.
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
