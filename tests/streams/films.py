"""Streams whose providers follow a film: items, waits, errors, reports, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

from routeware import Attempt, CallRecord, RoutedStream, RoutingPolicy, routed
from tests.fakes.providers import armed_timers, other_tasks, stopwatch

__all__ = ["LAST", "USED", "Cost", "Film", "Report", "Usage", "Wait", "quiet", "read"]

LAST = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
USED = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}


class Wait(NamedTuple):
    """Wait so many milliseconds."""

    ms: float


class Report(NamedTuple):
    """Hand a reply to ``attempt.report``."""

    reply: object


class Usage(NamedTuple):
    """Say by hand how many tokens were used."""

    input_tokens: int
    output_tokens: int


class Cost(NamedTuple):
    """Say by hand what it cost."""

    usd: float


class Film:
    """A decorated generator function over films, and what became of its attempts.

    Attributes:
        films: what each link plays.
        records: the records of all calls.
        ended: when each attempt's generator was left, and by what.
    """

    def __init__(
        self, films: Mapping[str, list[Any]], *, links: Mapping[str, Any] | None = None, **settings: Any
    ) -> None:
        options = settings.pop("options", {})
        self.films = films
        self.records: list[CallRecord] = []
        self.ended: dict[str, tuple[float, str]] = {}
        self.made: list[Any] = []
        chain = [{"provider": one, "model": "m", "label": one, **((links or {}).get(one, {}))} for one in films]
        policy = RoutingPolicy.from_dict({"chain": chain, **settings})
        self.ask = routed(policy, on_call=self.records.append, **options)(self._function())
        self.clock = stopwatch()

    def _function(self) -> Any:
        async def ask(attempt: Attempt, prompt: str = "") -> AsyncIterator[Any]:
            how = "end"
            try:
                async for item in self._play(attempt):
                    yield item
            except BaseException as error:
                how = type(error).__name__
                raise
            finally:
                self.ended[attempt.label] = (self.clock(), how)

        return ask

    async def _play(self, attempt: Attempt) -> AsyncIterator[Any]:
        for scene in self.films[attempt.label]:
            match scene:
                case Wait(ms):
                    await asyncio.sleep(ms / 1000)
                case Report(reply):
                    attempt.report(reply)
                case Usage(sent, output):
                    attempt.report_usage(input_tokens=sent, output_tokens=output)
                case Cost(usd):
                    attempt.report_cost(usd)
                case BaseException():
                    raise scene
                case _:
                    self.made.append(scene)
                    yield scene


async def read(stream: RoutedStream[Any]) -> tuple[list[Any], BaseException | None]:
    """Read a stream to its end: its items, and what it ended by."""
    items = []
    try:
        async for item in stream:
            items.append(item)  # noqa: PERF401 - what came before an error counts
    except Exception as error:  # noqa: BLE001 - it is looked at
        return items, error
    return items, None


def quiet() -> None:
    """Check that nothing is left on the loop."""
    assert not other_tasks()
    assert not armed_timers()
