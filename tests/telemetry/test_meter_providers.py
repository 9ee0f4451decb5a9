"""Meter providers: which is measured with, from when on, by how many at once, and in how many series."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import suppress
from threading import Thread

import pytest
from opentelemetry.metrics import Meter, MeterProvider, NoOpMeter, NoOpMeterProvider

import routeware
from routeware import Attempt, RoutingPolicy, routed
from tests.fakes.measuring import Measured
from tests.fakes.providers import answers, script
from tests.fakes.secrets import HEADER, KEY, PATHS, PROMPT, SECRETS


@pytest.fixture
def measured() -> Measured:
    """A meter provider of the test's own."""
    return Measured()


async def test_without_a_reader_nothing_is_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no provider is set, or one that does nothing, a call does not measure."""

    def never(*args: object) -> None:
        raise AssertionError("measured for nobody")

    monkeypatch.setattr("routeware.telemetry.metrics.Metrics.call_ended", never)

    await script(a=answers()).ask()()
    await script(a=answers()).ask(options={"meter_provider": NoOpMeterProvider()})()


class Disabled(MeterProvider):
    """A provider that is no part of the API and does nothing all the same, as the SDK's when it is switched off."""

    def get_meter(self, name: str, *args: object, **kwargs: object) -> Meter:
        return NoOpMeter(name)


async def test_a_provider_that_is_switched_off_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It will not be switched on."""
    asked: list[str] = []
    monkeypatch.setattr(Disabled, "get_meter", lambda _self, name: asked.append(name) or NoOpMeter(name))
    providers = script(a=answers())
    ask = providers.ask(options={"meter_provider": Disabled()})

    for _ in range(3):
        assert await ask() == "a"
        providers.again()
        await asyncio.sleep(10)

    assert asked == ["routeware"]


async def test_a_provider_that_raises_is_logged_once_and_harms_no_call(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the text of its error."""

    def broken(_self: object, _name: str) -> Meter:
        raise RuntimeError("sk-123")

    monkeypatch.setattr(Disabled, "get_meter", broken)
    providers = script(a=answers())
    ask = providers.ask(options={"meter_provider": Disabled()})

    for _ in range(3):
        assert await ask() == "a"
        providers.again()
        await asyncio.sleep(10)

    assert [one.getMessage() for one in caplog.records] == ["Metrics failed (RuntimeError); calls go on without it"]


async def test_functions_share_their_instruments(measured: Measured) -> None:
    """Each is told apart by its name, and none is counted twice."""
    for name in ("one", "two"):
        ask = script(a=answers(5)).ask(options={**measured.options, "name": name})
        await ask()

    assert measured.values("routeware.attempts", "routeware.call.name") == {"one": 1, "two": 1}
    assert measured.values("routeware.call.duration", "routeware.call.name") == {"one": 1, "two": 1}


async def test_the_number_of_series_is_bounded(measured: Measured) -> None:
    """Labels that are made up for each call end in one series, as the SDK's own do; the sums stay right."""

    @routed(
        lambda: RoutingPolicy(chain=[{"provider": "p", "model": "m", "label": f"label {next(numbers)}"}]),
        meter_provider=measured.provider,
    )
    async def ask(attempt: Attempt) -> None: ...

    numbers = iter(range(2_100))
    for _ in range(2_100):
        await ask()

    found = measured.values("routeware.attempts", "otel.metric.overflow")
    assert found == {None: 2_000, True: 100}


async def test_threads_may_measure_together(measured: Measured) -> None:
    """A function may be called on the loops of several threads: nothing is lost."""

    @routed(RoutingPolicy(chain=["a:m"]), meter_provider=measured.provider)
    async def ask(attempt: Attempt) -> None: ...

    async def many() -> None:
        for _ in range(500):
            await ask()

    threads = [Thread(target=lambda: asyncio.run(many())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(measured.values("routeware.attempts", "").values()) == 2_000
    assert set(measured.values("routeware.inflight", "").values()) == {0}


LATE = """
import asyncio, time
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from routeware import RoutingPolicy, routed

@routed(RoutingPolicy(chain=["a:b"]))
async def ask(attempt):
    return "done"

asyncio.run(ask())
time.sleep(1)
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
asyncio.run(ask())
(scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
print(scope.scope.name, sorted((m.name, m.data.data_points[0].count) for m in scope.metrics if m.unit == "s"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("disabled", [False, True])
def test_a_provider_that_is_set_later_is_found(disabled: bool) -> None:
    """Within a second, where functions were called before there was one. A disabled SDK is none."""
    program = LATE.replace("(scope,) =", "assert reader.get_metrics_data() is None; raise SystemExit\n(scope,) =")
    told = subprocess.run(
        [sys.executable, "-W", "error", "-c", program if disabled else LATE],
        env={"PYTHONPATH": ":".join(sys.path), "OTEL_SDK_DISABLED": str(disabled).lower()},
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stderr
    wanted = "routeware [('routeware.attempt.duration', 1), ('routeware.call.duration', 1)]\n"
    assert told.stdout == ("" if disabled else wanted)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("racing", [None, 20])
async def test_no_secret_is_in_a_metric(path: str, racing: float | None, measured: Measured) -> None:
    """Whatever providers, errors and arguments are full of."""
    providers = script(**PATHS[path]())
    ask = providers.ask(
        race_after_ms=racing,
        on_timeout_ms=100,
        on_error_kinds="any",
        usd={"a": 0.25, "b": 0.25},
        options=measured.options,
    )

    async with routeware.session(PROMPT):
        with suppress(Exception):
            await ask(PROMPT, api_key=KEY, headers={"authorization": HEADER})
        await asyncio.sleep(2)

    exported = json.dumps([json.loads(metric.to_json()) for metric in measured.metrics().values()])
    assert "routeware.attempts" in exported
    assert [secret for secret in SECRETS if secret in exported] == []
