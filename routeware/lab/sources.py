"""Opens whatever ``tune`` and ``replay`` are given: tables, records, spans, a Jaeger. The content says which it is.

And finds in it what is tuned: which two links, what an attempt costs, and whether the unit can be right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np

from routeware.lab.calls import CallTree, calls
from routeware.lab.reading import SPAN_KEYS, QueryAddress, read_file, read_stream
from routeware.lab.reading_bytes import Bytes, as_utf8, opened
from routeware.lab.reading_json import JsonValues
from routeware.lab.spans import TraceError
from routeware.lab.table_csv import csv_rows
from routeware.lab.table_json import json_rows, top_keys
from routeware.lab.tables import Mapping, is_known_column, table_of
from routeware.lab.tune_samples import ANSWERED, Observed, RacedCalls, Sample, observed_calls
from routeware.money import Usage
from routeware.policy import RoutingPolicy
from routeware.records import CallRecord

__all__ = [
    "check_unit",
    "links_of",
    "parsed_prices",
    "past_calls_of",
    "price_of",
    "raced_of",
    "read_source",
    "read_sources",
]

_RECORD_KEYS = frozenset(("label", "outcome", "attempts"))
_CONSOLE_KEYS = frozenset(("context", "parent_id", "start_time"))
_SLOWEST_SECONDS = 5.0
_FARTHEST_TARGET = 50.0


def read_sources(
    sources: Sequence[str], mapping: Mapping, *, service: str | None = None, limit: int = 1_500
) -> list[Observed]:
    """Return what each of ``sources`` says. Files that are about one link each are the links of one race."""
    read = [read_source(source, mapping, service=service, limit=limit) for source in sources]
    seen: dict[str, str] = {}
    for source, found in zip(sources, read, strict=True):
        for label in found.samples:
            if label in seen:
                raise TraceError(source, f"{label} is in {seen[label]}, too: put its rows into one file")
            seen[label] = source
    return read


def read_source(source: str, mapping: Mapping, *, service: str | None = None, limit: int = 1_500) -> Observed:
    """Return what a file or an address says; a ``TraceError`` says what is wrong with it."""
    if "://" in source:
        return observed_calls(_asked(source, service, limit))
    with opened(source) as file:
        if not _is_json(file):
            return table_of(csv_rows(file, source, is_known_column), source, mapping)
        keys = top_keys(file)
        if SPAN_KEYS.isdisjoint(keys) and not keys >= _CONSOLE_KEYS:
            return table_of(json_rows(file, source), source, mapping)
        return observed_calls(calls(read_stream(file, source)))


def past_calls_of(
    source: str, *, service: str | None = None, limit: int = 1_500
) -> Iterator[CallRecord] | Iterator[CallTree]:
    """Yield the calls in ``source``: records if its objects are such, else calls from spans."""
    if "://" in source:
        return _asked(source, service, limit)
    with opened(source) as file:
        keys = top_keys(file)
    return _records(source) if keys >= _RECORD_KEYS and SPAN_KEYS.isdisjoint(keys) else calls(read_file(source))


def _records(source: str) -> Iterator[CallRecord]:
    with opened(source) as file:
        values = JsonValues(as_utf8(file), source, (), None)
        for found in values:
            if found.at_end:
                raise values.error("a call's record is an object, and this is none")
            try:
                record = CallRecord.from_dict(found.value)
            except ValueError as error:
                raise values.error(str(error)) from None
            yield record


def _asked(source: str, service: str | None, limit: int) -> Iterator[CallTree]:
    """Return the latest calls that a Jaeger has, of one service or of all."""
    address = QueryAddress.parse(source)
    names = address.services() if service is None else [service]
    return calls(span for name in names for span in address.recent(name, limit))


def _is_json(file: Bytes) -> bool:
    start = file.read(4096)
    file.seek(0)
    text = start.replace(b"\x00", b"").removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
    return text.lstrip().startswith((b"{", b"["))


def links_of(sources: Sequence[Observed], primary: str | None, backup: str | None) -> tuple[Sample, Sample]:
    """Return the two links to race, or raise if it is not clear which; of exactly two, the first one is the primary."""
    samples = {label: sample for source in sources for label, sample in source.samples.items()}
    if not samples:
        raise ValueError("no latencies: neither rows nor calls of routeware's")
    if len(samples) < 2:
        raise ValueError(f"a race needs two links, and there is {', '.join(samples)}")
    first = _named(samples, primary) if primary is not None else None
    second = _named(samples, backup) if backup is not None else None
    rest = [label for label in samples if label not in (first, second)]
    if (first is None or second is None) and len(rest) > (2 if first is second else 1):
        raise ValueError(f"say which --primary and --backup; there are {', '.join(samples)}")
    first = first or (rest.pop(0) if rest else second)
    second = second or (rest.pop(0) if rest else first)
    if first is None or second is None or first == second:
        raise ValueError(f"{first} cannot be raced against itself")
    return samples[first], samples[second]


def _named(samples: dict[str, Sample], name: str) -> str:
    fitting = [label for label in samples if label == name] or [
        label for label in samples if label.partition(":")[0] == name
    ]
    if len(fitting) != 1:
        raise ValueError(f"{'no' if not fitting else 'more than one'} link is {name!r}; there are {', '.join(samples)}")
    return fitting[0]


def raced_of(sources: Sequence[Observed], primary: Sample, backup: Sample) -> RacedCalls | None:
    """Return the calls in which these two raced in this order; ``None`` if there are none."""
    key = (primary.label, backup.label)
    found = [source.raced[key] for source in sources if key in source.raced]
    if not found:
        return None
    return RacedCalls(
        np.concatenate([each.after_ms for each in found]), np.concatenate([each.latency_ms for each in found])
    )


def check_unit(names: Sequence[str], sources: Sequence[Observed], target_ms: float | None) -> None:
    """Refuse seconds that were taken for milliseconds, unless the user has said what the unit is."""
    for name, source in zip(names, sources, strict=True):
        if source.latency is None or source.unit_given or source.unit != "ms":
            continue
        answers = [sample.elapsed_ms[sample.kinds == ANSWERED] for sample in source.samples.values()]
        every = np.concatenate(answers) if answers else np.zeros(0)
        if not len(every):
            continue
        median, p95 = float(np.median(every)), float(np.quantile(every, 0.95))
        remedy = "are these seconds? Say --unit s, or --unit ms if not"
        if median < _SLOWEST_SECONDS:
            raise TraceError(name, f"the median of {source.latency} is {median:.3g}: {remedy}")
        if target_ms is not None and p95 > 0 and target_ms > _FARTHEST_TARGET * p95:
            times = f"{target_ms / p95:.0f} times the 95th percentile of {source.latency}"
            raise TraceError(name, f"the target of {target_ms:g} ms is {times}: {remedy}")


def parsed_prices(given: Sequence[str]) -> dict[str, float]:
    """Return dollars per attempt, by label or provider, from texts like ``LINK=USD``."""
    found = {}
    for text in given:
        label, equals, amount = text.rpartition("=")
        try:
            found[label] = float(amount)
        except ValueError:
            equals = ""
        if not equals or not label or not 0 <= found.get(label, -1.0) < float("inf"):
            raise ValueError(f"a price is LINK=USD, not {text!r}")
    return found


def price_of(sample: Sample, given: dict[str, float], policy: RoutingPolicy | None) -> float | None:
    """Return what an attempt at a link costs: as given, by the policy's price of the tokens, or as spans say."""
    named = given.get(sample.label, given.get(sample.label.partition(":")[0]))
    if named is not None:
        return named
    if policy is not None and sample.tokens is not None:
        for link in policy.chain:
            if link.price is not None and sample.label in (link.label, link.provider):
                usage = Usage(input_tokens=round(sample.tokens[0]), output_tokens=round(sample.tokens[1]))
                return link.price.cost_usd(usage, datetime.now(UTC))
    return sample.cost_usd
