"""A child that is forked while other threads work goes on by itself."""

from __future__ import annotations

import asyncio
import sys

import pytest
from opentelemetry.sdk.metrics import MeterProvider

import routeware
from routeware import Attempt, RoutingPolicy, routed
from routeware.locks import Lock
from tests.fakes.forks import exit_code_of_child
from tests.fakes.measuring import Measured
from tests.fakes.providers import busy, script

POLICY = RoutingPolicy.from_dict({"chain": ["a:m"]})


def locks() -> list[Lock]:
    """Return the locks of the process, wherever they are."""
    modules = [module for name, module in sys.modules.items() if name.startswith("routeware.")]
    return [found for module in modules for found in vars(module).values() if type(found) is Lock]


async def call(meters: MeterProvider) -> None:
    """Decorate, measure, fail and pause."""

    @routed(POLICY, meter_provider=meters)
    async def ask(attempt: Attempt) -> str:
        return attempt.link.label

    assert await ask() == "a:m"
    with pytest.raises(Exception, match="503"):
        await script(a=busy()).ask(options={"meter_provider": meters})()
    routeware.Health().trip("a", for_ms=1)


def test_a_process_forked_while_every_lock_is_held_does_not_hang() -> None:
    """The threads that would release them do not exist in the child: not of sums, of instruments, of first calls."""
    measured = Measured()
    asyncio.run(call(measured.provider))

    code = exit_code_of_child(locks(), lambda: asyncio.run(call(measured.provider)))

    assert len(locks()) >= 4
    assert code == 0
