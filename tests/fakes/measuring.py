"""What calls are measured as, gathered for tests."""

from __future__ import annotations

from collections import Counter
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

__all__ = ["Measured"]


class Measured:
    """A meter provider that is read by the test."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)

    @property
    def options(self) -> dict[str, Any]:
        """What ``routed`` is told."""
        return {"meter_provider": self.provider}

    def metrics(self) -> dict[str, Any]:
        """All metrics by name."""
        data = self._reader.get_metrics_data()
        found = [] if data is None else [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        return {metric.name: metric for metric in found}

    def points(self, name: str) -> list[Any]:
        """The data points of one metric; none where it was never measured."""
        metric = self.metrics().get(name)
        return [] if metric is None else list(metric.data.data_points)

    def values(self, name: str, *keys: str) -> dict[Any, float]:
        """A metric's values, or the counts of a histogram, added up by the values of these attributes."""
        found: Counter[Any] = Counter()
        for point in self.points(name):
            told = tuple(point.attributes.get(key) for key in keys)
            found[told[0] if len(told) == 1 else told] += point.count if hasattr(point, "count") else point.value
        return dict(found)
