"""A pytest plug-in: ``pytest_plugins = ["routeware.testing.plugin"]`` in a ``conftest.py``. Nothing loads itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from routeware.records import CallRecord
from routeware.testing.process import all_calls, forbid_calls

__all__ = ["pytest_addoption", "routed_calls"]

_OPTION = "routeware_forbid_calls"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting that forbids routed calls outside of a script."""
    parser.addini(_OPTION, "let routed calls outside of a script raise UnscriptedCallError", type="bool", default=False)


@pytest.fixture
def routed_calls() -> Iterator[list[CallRecord]]:
    """Collect the records of the routed calls that the test makes, in the order in which they end."""
    with all_calls() as records:
        yield records


@pytest.fixture(autouse=True)
def _routeware_calls_forbidden(request: pytest.FixtureRequest) -> Iterator[None]:
    if not request.config.getini(_OPTION):
        yield
        return
    with forbid_calls():
        yield
