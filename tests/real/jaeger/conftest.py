"""One Jaeger for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.real.jaeger.building import why_missing
from tests.real.jaeger.sending import Sender
from tests.real.jaeger.server import Jaeger, running_jaeger


@pytest.fixture(scope="session")
def jaeger_is_there() -> None:
    """A Jaeger can be started. Where the checks run, one that could have been built and was not is a failure."""
    missing = why_missing()
    if missing is not None:
        if os.environ.get("CI") and "not installed" not in missing:
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.fixture(scope="session")
def jaeger(jaeger_is_there: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    """A Jaeger that runs for as long as the tests."""
    with running_jaeger(tmp_path_factory.mktemp("jaeger") / "log") as running:
        yield running


@pytest.fixture
def sender(jaeger: Jaeger, request: pytest.FixtureRequest) -> Iterator[Sender]:
    """Spans go to Jaeger as a service of the test's own."""
    with Sender.to(jaeger.otlp_url, service=request.node.name) as sending:
        yield sending
