"""Async tests run on a loop whose clock jumps, and leave nothing on it; those under ``real/`` on the ordinary one."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

from tests.fakes.clock import JumpingLoop, assert_quiet

REAL = Path(__file__).parent / "real"
SCHEDULES = Path(__file__).parent / "schedules"
FINISHED = itertools.count(1)

# How long one example takes says more about the machine than about the code; the limit per test is pytest's.
# Where a verdict has to be repeatable, the examples are the same every time; elsewhere every run looks for new ones.
settings.register_profile("routeware", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("routeware")
# For mutation testing: the same few examples for every mutant, so that a verdict can be repeated.
settings.register_profile("mutants", deadline=None, max_examples=10, derandomize=True, database=None)


def pytest_configure(config: pytest.Config) -> None:
    """Say that there is no current loop.

    The plug-in asks for one before the first async test. If none was ever set, asyncio makes one that is never closed,
    and its warning fails whichever test the collector happens to run in.
    """
    asyncio.set_event_loop(None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Examples come before random schedules: they say more quickly, and more plainly, what is wrong."""
    items.sort(key=lambda item: item.path.is_relative_to(SCHEDULES))
    for item in items:
        if not item.path.is_relative_to(REAL):
            continue
        # Processes that start, and servers that come up, take as long as the machine takes.
        item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(240))


def pytest_collection_finish() -> None:
    """Keep what importing and collecting left out of later collections: tests ask for hundreds of them."""
    gc.collect()
    gc.freeze()


def pytest_runtest_logfinish() -> None:
    """Do so again from time to time: reports and caches of the tests before would make each collection slower."""
    if next(FINISHED) % 500 == 0:
        pytest_collection_finish()


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Sockets, threads and processes need real time; everything else gets a clock that jumps."""
    if item.path.is_relative_to(REAL):
        return {"ordinary": asyncio.new_event_loop}
    return {"jumping": JumpingLoop}


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Nothing may be left on a jumping loop when its test has passed."""
    outcome = yield
    runner = pyfuncitem.funcargs.get("_function_scoped_runner")
    if isinstance(runner, asyncio.Runner) and not pyfuncitem.get_closest_marker("leaves_work"):
        loop = runner.get_loop()
        if isinstance(loop, JumpingLoop):
            assert_quiet(loop)
    return outcome
