"""Metrics: sums over calls and attempts, for dashboards and alarms.

A call is measured once, at its end: only then is it known who won, what was wasted and what an attempt that was cut off
is booked at. Attempts in flight are the exception, for they are over by then.

Attributes are few and have few values: function, link, status, category. Never a session: every tenant may have one of
its own, and a series for each is what makes metrics expensive.

Adding to an instrument of the SDK takes about as long as routing a call. So sums are kept here, and the SDK asks for
them when it exports; only durations, which it has to see one by one, go through it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import lru_cache, partial
from weakref import WeakKeyDictionary

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, NoOpMeter, Observation

from routeware.errors import ErrorCategory
from routeware.locks import Lock
from routeware.money import usd
from routeware.observers import FOREIGN, AttemptFacts, CallFacts, report_broken
from routeware.policy import Link
from routeware.records import AttemptStatus, AttemptTrigger, CallOutcome, SkipReason
from routeware.telemetry import attributes as names

__all__ = ["MeterProvider", "Metrics"]

_BOUNDARIES_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""The boundaries that the conventions for generative AI advise for the durations of their clients."""

# So many series the SDK tells apart by default; what comes after is added up under the attribute that it uses, too.
_MOST_SERIES = 2_000
_ASK_AGAIN_S = 1.0

# Two, in this order only: the SDK is asked for instruments under the first, and takes locks of its own, under which it
# asks for the sums.
_MAKING, _SUMS = Lock(), Lock()

# Series: which values tell one from another, and the attributes under which it is exported. A series is kept as a plain
# tuple, which is made and looked up at every call; its attributes are made by a function of the tuple's parts.

Attributes = Mapping[str, str | bool]
Series = tuple[Hashable, ...]

AtLink = tuple[str, str | None, str, str, str]
"""Attempts of a function at one link: function, operation, and the link's label, provider and model."""


def _at_link(name: str, operation: str | None, label: str, provider: str, model: str) -> Attributes:
    found = {names.CALL_NAME: name, names.LINK_LABEL: label}
    if operation is not None:
        found[names.OPERATION] = operation
        found[names.PROVIDER] = names.otel_provider_name(provider)
        found[names.REQUEST_MODEL] = model
    return found


@lru_cache(_MOST_SERIES)
def _ended(link: AtLink, status: AttemptStatus) -> Attributes:
    return {**_at_link(*link), names.ATTEMPT_STATUS: status.value}


@lru_cache(_MOST_SERIES)
def _called(name: str, outcome: CallOutcome) -> Attributes:
    return {names.CALL_NAME: name, names.CALL_OUTCOME: outcome}


def _tried(
    link: AtLink,
    status: AttemptStatus,
    trigger: AttemptTrigger,
    category: ErrorCategory | None,
    skip_reason: SkipReason | None,
) -> Attributes:
    found = {**_ended(link, status), names.ATTEMPT_TRIGGER: trigger.value}
    if category is not None:
        found[names.ERROR_CATEGORY] = category.value
    if skip_reason is not None:
        found[names.SKIP_REASON] = skip_reason
    return found


def _spent(link: AtLink, status: AttemptStatus, wasted: bool) -> Attributes:
    return {**_ended(link, status), names.COST_WASTED: wasted}


def _cooled(link: AtLink, category: str) -> Attributes:
    return {**_at_link(*link), names.ERROR_CATEGORY: category}


def _raced(name: str, source: str) -> Attributes:
    return {names.CALL_NAME: name, names.RACE_SOURCE: source}


class Sums:
    """Values by series, changed from any thread, and read when the SDK exports them."""

    def __init__(self, describe: Callable[..., Attributes], shown: Callable[[float], float] = float) -> None:
        self._describe = describe
        self._shown = shown
        self._values: dict[Series | None, float] = {}

    def add(self, series: Series, amount: int) -> None:
        """Add to a series."""
        with _SUMS.held:
            known = self._known(series)
            self._values[known] = self._values.get(known, 0) + amount

    def put(self, series: Series, value: float) -> None:
        """Replace the value of a series."""
        with _SUMS.held:
            self._values[self._known(series)] = value

    def observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        """Give all series to the SDK."""
        with _SUMS.held:
            values = dict(self._values)
        overflow = {names.OVERFLOW: True}
        return [
            Observation(self._shown(value), overflow if series is None else self._describe(*series))
            for series, value in values.items()
        ]

    def _known(self, series: Series) -> Series | None:
        return series if series in self._values or len(self._values) < _MOST_SERIES else None


class Instruments:
    """Everything that is measured, by every decorated function that measures with one provider."""

    def __init__(self, meter: Meter) -> None:
        seconds = partial(meter.create_histogram, unit="s", explicit_bucket_boundaries_advisory=_BOUNDARIES_S)
        self.call_duration = seconds(
            "routeware.call.duration", description="From entering a routed function to leaving it."
        )
        self.attempt_duration = seconds(
            "routeware.attempt.duration", description="From an attempt's start to its end or its cut-off."
        )
        self.time_to_first_item = seconds(
            "routeware.attempt.time_to_first_item",
            description="From an attempt's start to a stream's first item that counts.",
        )
        self.attempts, self.inflight = Sums(_tried), Sums(_at_link)
        self.race_threshold = Sums(_raced)
        self.cooldowns, self.cooling = Sums(_cooled), Sums(_at_link)
        self.cost, self.uncertain_cost = Sums(_spent, _usd), Sums(_spent, _usd)
        counter, gauge = meter.create_observable_counter, meter.create_observable_gauge
        for create, sums, name, unit, meaning in (
            (counter, self.attempts, "attempts", "{attempt}", "Attempts, skipped links included."),
            (counter, self.cost, "cost", "{USD}", "The known cost of attempts."),
            (
                counter,
                self.uncertain_cost,
                "uncertain_cost",
                "{USD}",
                "Further cost that attempts may have, as projected.",
            ),
            (counter, self.cooldowns, "cooldowns", "{pause}", "Pauses of links that kept failing."),
            (
                gauge,
                self.cooling,
                "link.cooling",
                "{link}",
                "1 from the start of a link's pause until an answer ends it.",
            ),
            (
                gauge,
                self.race_threshold,
                "race.threshold",
                "s",
                "Time from an attempt's start to the next link beside it.",
            ),
            (meter.create_observable_up_down_counter, self.inflight, "inflight", "{attempt}", "Attempts in flight."),
        ):
            create(f"routeware.{name}", [sums.observe], unit, meaning)


_made: WeakKeyDictionary[MeterProvider, Instruments | None] = WeakKeyDictionary()


def _instruments_of(provider: MeterProvider) -> Instruments | None:
    """Find the instruments to measure with, made once for each provider; ``None`` where it does nothing."""
    with _MAKING.held:
        if provider not in _made:
            meter = provider.get_meter("routeware")
            _made[provider] = None if isinstance(meter, NoOpMeter) else Instruments(meter)
        return _made[provider]


def _usd(amount_nanos: float) -> float:
    return usd(int(amount_nanos))


class Metrics:
    """The measuring of one decorated function. A listener of its calls, once the measurements are read."""

    __slots__ = ("_ask_again", "_asked", "_instruments", "_name", "_operation", "_provider", "_reads")

    _instruments: Instruments  # without a value before something reads them

    def __init__(self, name: str, operation: str | None, provider: MeterProvider | None) -> None:
        self._name = name
        self._operation = operation
        self._provider = provider
        self._reads = False
        self._asked, self._ask_again = math.inf, -math.inf

    def live(self, now: float) -> Metrics | None:
        """Give itself; ``None`` where nothing reads the measurements, so that a call need not measure at all.

        A program may set its provider up after its functions were decorated, and even called. Asking for it takes as
        long as everything else in an unobserved call, so while there is none it is asked for once a second.

        Args:
            now: seconds, on any clock.
        """
        if not self._asked <= now < self._ask_again:
            self._ask(now)
        return self if self._reads else None

    def _ask(self, now: float) -> None:
        provider = metrics.get_meter_provider() if self._provider is None else self._provider
        # The API's own providers stand in for one that is still to come, or do nothing: what they are given is gone.
        is_none = type(provider).__module__.startswith("opentelemetry.metrics")
        if is_none and self._provider is None:
            self._asked, self._ask_again = now, now + _ASK_AGAIN_S
            return
        try:
            instruments = None if is_none else _instruments_of(provider)
        except FOREIGN as error:
            instruments = None
            report_broken(set(), "Metrics", error)
        if instruments is not None:
            self._instruments = instruments
            self._reads = True
        self._asked, self._ask_again = -math.inf, math.inf

    def attempt_started(self, link: Link) -> None:
        """Count an attempt at ``link`` as in flight."""
        self._instruments.inflight.add(self._at(link), 1)

    def attempt_left(self, link: Link) -> None:
        """Count it no more: its function has ended, maybe long after its call."""
        self._instruments.inflight.add(self._at(link), -1)

    def cooling(self, link: Link, *, cooling: bool, category: str | None) -> None:
        """Measure that a link begins a pause, because of a failure of ``category``, or that an answer has ended it."""
        at = self._at(link)
        self._instruments.cooling.put(at, float(cooling))
        if category is not None:
            self._instruments.cooldowns.add((at, category), 1)

    def call_ended(self, call: CallFacts) -> None:
        """Measure a call that has ended, and its attempts."""
        for attempt in call.attempts:
            self._measure_attempt(call, attempt)
        self._instruments.call_duration.record(call.ended - call.began, _called(self._name, call.outcome))
        if call.race_after_s is not None and call.race_source is not None:
            self._instruments.race_threshold.put((self._name, call.race_source), call.race_after_s)

    def _measure_attempt(self, call: CallFacts, attempt: AttemptFacts) -> None:
        status, failure, cost = attempt.status, attempt.failure, attempt.cost
        assert status is not None
        link = self._at(attempt.link)
        category = None if failure is None else failure.snapshot.category
        self._instruments.attempts.add((link, status, attempt.trigger, category, attempt.skip_reason), 1)
        if status is not AttemptStatus.SKIPPED:  # a skipped link took no time
            ended = call.ended if attempt.ended is None else attempt.ended
            self._instruments.attempt_duration.record(ended - attempt.started, _ended(link, status))
        if attempt.first_item_s is not None:
            self._instruments.time_to_first_item.record(attempt.first_item_s, _ended(link, status))
        spent = (link, status, attempt is not call.winner)
        # What is unknown cannot be added up.
        if cost.settled:
            self._instruments.cost.add(spent, cost.settled)
        if cost.uncertain:
            self._instruments.uncertain_cost.add(spent, cost.uncertain)

    def _at(self, link: Link) -> AtLink:
        return self._name, self._operation, link.label, link.provider, link.model
