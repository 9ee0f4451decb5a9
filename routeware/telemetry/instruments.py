"""The instruments, made once for each meter provider.

Adding to an instrument of the SDK takes about as long as routing a call. So sums are kept here, and the SDK asks for
them when it exports; only durations, which it has to see one by one, go through it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from threading import RLock
from weakref import WeakKeyDictionary

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, NoOpMeter, Observation

from routeware.money import usd
from routeware.telemetry import series
from routeware.telemetry.attributes import OVERFLOW
from routeware.telemetry.series import Attributes

__all__ = ["Durations", "Instruments", "Sums", "instruments_of"]

_BOUNDARIES_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""The boundaries that the conventions for generative AI advise for the durations of their clients."""

# So many series the SDK tells apart by default; what comes after is added up under the attribute that it uses, too.
_MOST_SERIES = 2_000
_OVERFLOW: Attributes = {OVERFLOW: True}

Series = tuple[Hashable, ...]
Describe = Callable[..., Attributes]


class Sums:
    """Values by series, changed from any thread, and read when the SDK exports them."""

    def __init__(self, describe: Describe, shown: Callable[[float], float] = float) -> None:
        self._describe = describe
        self._shown = shown
        self._values: dict[Series | None, float] = {}
        # A thread may take it twice: the garbage collector may end a call wherever memory is asked for.
        self._lock = RLock()

    def add(self, series: Series, amount: int) -> None:
        """Add to a series."""
        with self._lock:
            known = self._known(series)
            self._values[known] = self._values.get(known, 0) + amount

    def put(self, series: Series, value: float) -> None:
        """Replace the value of a series."""
        with self._lock:
            self._values[self._known(series)] = value

    def observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        """Give all series to the SDK."""
        with self._lock:
            values = dict(self._values)
        return [
            Observation(self._shown(value), _OVERFLOW if series is None else self._describe(*series))
            for series, value in values.items()
        ]

    def _known(self, series: Series) -> Series | None:
        return series if series in self._values or len(self._values) < _MOST_SERIES else None


class Durations:
    """A histogram of seconds."""

    def __init__(self, meter: Meter, name: str, description: str, describe: Describe) -> None:
        self._histogram: Histogram = meter.create_histogram(
            name, "s", description, explicit_bucket_boundaries_advisory=_BOUNDARIES_S
        )
        self._describe = describe
        self._known: dict[Series, Attributes] = {}

    def record(self, series: Series, duration_s: float) -> None:
        """Add a duration to a series."""
        attributes = self._known.get(series)
        if attributes is None:
            if len(self._known) >= _MOST_SERIES:
                self._known.clear()
            attributes = self._known[series] = self._describe(*series)
        self._histogram.record(duration_s, attributes)


class Instruments:
    """Everything that is measured, by every decorated function that measures with one provider."""

    def __init__(self, meter: Meter) -> None:
        self.call_duration = Durations(
            meter, "routeware.call.duration", "From entering a routed function to leaving it.", series.called
        )
        self.attempt_duration = Durations(
            meter, "routeware.attempt.duration", "From an attempt's start to its end or its cut-off.", series.ended
        )
        self.time_to_first_item = Durations(
            meter,
            "routeware.attempt.time_to_first_item",
            "From an attempt's start to a stream's first item that counts.",
            series.ended,
        )
        self.attempts, self.inflight = Sums(series.tried), Sums(series.at_link)
        self.race_threshold = Sums(series.raced)
        self.cooldowns, self.cooling = Sums(series.cooled), Sums(series.at_link)
        self.cost, self.uncertain_cost = Sums(series.spent, _usd), Sums(series.spent, _usd)
        for sums, name, unit, meaning in (
            (self.attempts, "attempts", "{attempt}", "Attempts, skipped links included."),
            (self.cost, "cost", "{USD}", "The known cost of attempts."),
            (self.uncertain_cost, "uncertain_cost", "{USD}", "Further cost that attempts may have, as projected."),
            (self.cooldowns, "cooldowns", "{pause}", "Pauses of links that kept failing."),
        ):
            meter.create_observable_counter(f"routeware.{name}", [sums.observe], unit, meaning)
        for sums, name, unit, meaning in (
            (self.cooling, "link.cooling", "{link}", "1 from the start of a link's pause until an answer ends it."),
            (self.race_threshold, "race.threshold", "s", "Time from an attempt's start to the next link beside it."),
        ):
            meter.create_observable_gauge(f"routeware.{name}", [sums.observe], unit, meaning)
        meter.create_observable_up_down_counter(
            "routeware.inflight", [self.inflight.observe], "{attempt}", "Attempts in flight."
        )


_made: WeakKeyDictionary[MeterProvider, Instruments | None] = WeakKeyDictionary()
_making = RLock()


def instruments_of(provider: MeterProvider) -> Instruments | None:
    """Find the instruments to measure with; ``None`` where the provider does nothing."""
    with _making:
        if provider not in _made:
            meter = provider.get_meter("routeware")
            _made[provider] = None if isinstance(meter, NoOpMeter) else Instruments(meter)
        return _made[provider]


def _usd(amount_nanos: float) -> float:
    return usd(int(amount_nanos))
