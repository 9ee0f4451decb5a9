"""A call's record survives being stored as JSON: what comes back is equal to what went."""

from __future__ import annotations

import asyncio
import json
import math
import time
from typing import Any

import pytest

from routeware import Attempt, CallRecord, Price, RoutingPolicy, record_of, routed


class StatusError(Exception):
    """A provider's answer that is none."""

    def __init__(self, status_code: int) -> None:
        super().__init__(status_code)
        self.status_code = status_code


async def recorded() -> list[CallRecord]:
    """Records with an answer, a failover with a price, a lost race and a failure."""
    price = Price(input_usd_per_mtok=1.0, output_usd_per_mtok=2.0)
    policy = RoutingPolicy(
        chain=[{"provider": "a", "model": "m", "price": price, "tier": "fast"}, "b:m"], latency={"race_after_ms": 20}
    )

    @routed(policy)
    async def ask(attempt: Attempt, kind: str) -> str:
        if kind == "failover" and attempt.provider == "a":
            raise StatusError(429)
        if kind == "failure":
            raise StatusError(400)
        await asyncio.sleep(0.05 if attempt.provider == "a" and kind == "race" else 0.001)
        attempt.report_usage(input_tokens=10, output_tokens=5)
        return "answer"

    records = [(await ask.outcome(kind)).record for kind in ("answer", "failover", "race")]
    with pytest.raises(StatusError) as caught:
        await ask("failure")
    failed = record_of(caught.value)
    assert failed is not None
    return [*records, failed]


async def test_a_record_comes_back_from_json_as_it_was() -> None:
    """Whatever became of its call."""
    for record in await recorded():
        assert CallRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


async def test_a_record_says_when_its_call_was_entered() -> None:
    """On the wall clock, so that traffic can be replayed as it came."""
    before = time.time()

    records = await recorded()

    starts = [record.started_unix_s or 0.0 for record in records]
    assert before - 1.0 <= starts[0] <= starts[-1] + 1.0
    assert starts[-1] <= time.time() + 1.0


async def test_records_of_other_versions_are_read() -> None:
    """An older one lacks optional fields, a later one has more."""
    record, *_ = await recorded()
    plain = record.to_dict()
    older = {key: value for key, value in plain.items() if key not in ("started_unix_s", "trace_id")}
    later = {**plain, "colour": "blue", "attempts": [{**plain["attempts"][0], "shade": 3}]}

    assert CallRecord.from_dict(older).started_unix_s is None
    assert CallRecord.from_dict(later) == record


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 3}, "name cannot be 3"),
        ({"name": None}, "name cannot be None"),
        ({"outcome": "lucky"}, "outcome cannot be 'lucky'"),
        ({"duration_ms": "5"}, "duration_ms cannot be '5'"),
        ({"duration_ms": True}, "duration_ms cannot be True"),
        ({"duration_ms": -5}, "duration_ms cannot be -5"),
        ({"duration_ms": math.inf}, "duration_ms cannot be inf"),
        ({"duration_ms": 10**400}, r"duration_ms cannot be 1000.*\.\.\."),
        ({"cost_usd": 10**400}, r"cost_usd cannot be 1000.*\.\.\."),
        ({"cost_usd": 10**5000}, "cost_usd cannot be a very large number"),
        ({"selected": 0.5}, "selected cannot be 0.5"),
        ({"attempts": "none"}, "attempts cannot be 'none'"),
        ({"attempts": [3]}, r"attempts\[0\] is not an object but int"),
        ({"attempts": [{}]}, r"attempts\[0\]\.number is missing"),
        ({"label": ["x" * 99]}, "label cannot be .*\\.\\.\\."),
    ],
)
async def test_what_is_no_record_is_refused_with_the_field(change: dict[str, Any], said: str) -> None:
    """A file may hold anything."""
    record, *_ = await recorded()

    with pytest.raises(ValueError, match=said):
        CallRecord.from_dict({**record.to_dict(), **change})


async def test_a_wrong_field_of_an_attempt_is_named_with_its_place() -> None:
    """Statuses and categories are closed sets; a price is checked as any price."""
    record = (await recorded())[1]
    plain = record.to_dict()

    for place, key, value in (
        (0, "status", "odd"),
        (0, "duration_ms", -0.1),
        (0, "error", "odd"),
        (0, "price", {"input_usd_per_mtok": -1}),
    ):
        attempts = [dict(attempt) for attempt in plain["attempts"]]
        attempts[place][key] = value
        with pytest.raises(ValueError, match=f"{key}|price|usd"):
            CallRecord.from_dict({**plain, "attempts": attempts})
    with pytest.raises(ValueError, match="CallRecord is not an object but list"):
        CallRecord.from_dict([])  # type: ignore[arg-type]
