"""What a routed call costs beside a bare one: ratios to the same work written by hand, and bytecodes executed.

Run it with ``python benchmarks/overhead.py [--rounds N]``; it needs the extra ``dev``, and compares with the peers
tenacity and hedge-python where they are installed. The subjects take turns within one run, each is timed in processor
time, and a ratio is the median over the rounds: a busy machine slows all of them alike. The loop gets a turn every 50
calls, or cancelled timers would pile up in all subjects. Nothing is asserted; the bars stand beside what was measured.

``--save FILE`` keeps the figures, and ``--beside FILE`` prints them beside those of another version:
``PYTHONPATH=OLD python benchmarks/overhead.py --save old.json``, then ``python benchmarks/overhead.py --beside
old.json``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from overhead_counts import COUNTS_BYTECODES, bytecodes, circles, tracked
from overhead_subjects import (
    Subject,
    SuspendingLedger,
    asking,
    by_hand_race,
    by_hand_spans,
    by_hedge,
    by_tenacity,
    by_timeout,
    by_timeout_waiting,
    chain,
    failed,
    in_flight,
    in_session_of_its_own,
    nested,
    waiting,
)

CALLS, TURN = 400, 50
LAST = "the last answers"
TIMEOUT, RACE, SPANS = "asyncio.timeout", "a race by hand", "spans by hand"
PLAIN = "routed, without cooldown"
CHAINS, DEPTHS = (2, 5, 10, 20), (1, 2, 3, 4, 5)


class Row(NamedTuple):
    """One subject: what it is compared with, its bars (ratio, bytecodes), and how many calls it makes at once."""

    name: str
    subject: Subject
    against: str
    bar: float | None = None
    most_bytecodes: int | None = None
    calls: int = 1
    sessions: int = 0

    @property
    def around(self) -> Callable[[], AbstractAsyncContextManager[Any]]:
        return (lambda: nested(self.sessions)) if self.sessions else nullcontext


def floors() -> dict[str, Row]:
    """The same work by hand, and by peers."""
    recorded, dropped = TracerProvider(), TracerProvider(sampler=ALWAYS_OFF)
    plain = asking(chain())
    subjects = {
        TIMEOUT: by_timeout,
        RACE: by_hand_race,
        SPANS: by_hand_spans(recorded.get_tracer("by hand")),
        "sampled out by hand": by_hand_spans(dropped.get_tracer("by hand")),
        PLAIN: lambda: plain("hi"),
        **by_tenacity(),
        **by_hedge(),
    }
    found = {name: Row(name, subject, name) for name, subject in subjects.items()}
    for number in (100, 1_000):
        name = f"{number:,} timeouts in flight"
        found[name] = Row(name, in_flight(number, by_timeout_waiting), name, calls=number)
    return found


def table() -> list[Row]:
    """The calls that have bars."""
    success, priced, failing = asking(chain()), asking(chain(priced=True), reports=True), asking(chain(), failing=1)
    failing_priced = asking(chain(priced=True), failing=1, reports=True)
    racing = asking(chain(), waits=True).with_options(race_after_ms=1000)
    racing_priced = asking(chain(priced=True), waits=True, reports=True).with_options(race_after_ms=1000)
    cooling = asking(chain(), failover={"cooldown_ms": 5_000})
    persistent = asking(chain(), failover={"cooldown_ms": 5_000, "retries": 1})
    capped = priced.with_options(per_call_usd=1)
    recorded, dropped = TracerProvider(), TracerProvider(sampler=ALWAYS_OFF)
    return [
        Row("success", lambda: success("hi"), TIMEOUT, 1.8, 1_050),
        Row("with its record", lambda: success.outcome("hi"), TIMEOUT, 3.6, 1_650),
        Row("priced, in a session of its own", in_session_of_its_own(lambda: priced("hi")), TIMEOUT, 6.0, 2_200),
        Row("one failover", lambda: failing("hi"), TIMEOUT, None, 1_700),
        Row("one failover, priced", lambda: failing_priced("hi"), TIMEOUT, 3.5),
        Row("one failover, priced, in a session", lambda: failing_priced("hi"), TIMEOUT, sessions=1),
        Row("race armed, the primary answers", lambda: racing("hi"), RACE, 1.45, 2_100),
        Row("race armed, priced", lambda: racing_priced("hi"), RACE, 1.6),
        Row("race armed, priced, in a session", lambda: racing_priced("hi"), RACE, sessions=1),
        Row("both spans recorded", _traced(recorded), SPANS, 1.4, 6_400),
        Row("both spans sampled out", _traced(dropped), "sampled out by hand"),
        # A microsecond at most; it is off in the row above all others, whose bar holds that.
        Row("cooldown on, all links healthy", lambda: cooling("hi"), PLAIN, 1.1),
        Row("cooldown and retries on, all links healthy", lambda: persistent("hi"), PLAIN, 1.1),
        Row("priced and capped", lambda: capped("hi"), TIMEOUT, sessions=1),
    ]


def scales() -> list[Row]:
    """The calls that show how costs grow: with the chain, the sessions around, and the calls in flight."""
    rows = []
    for length in CHAINS:
        first, last = asking(chain(length)), asking(chain(length), failing=length - 1)
        paid = asking(chain(length, priced=True), failing=length - 1, reports=True)
        rows.append(Row(f"a chain of {length}, the first answers", lambda ask=first: ask("hi"), TIMEOUT))
        rows.append(Row(f"a chain of {length}, {LAST}", lambda ask=last: ask("hi"), TIMEOUT))
        rows.append(Row(f"a chain of {length}, {LAST}, priced", lambda ask=paid: ask("hi"), TIMEOUT, sessions=1))
    priced = asking(chain(priced=True), reports=True)
    rows += [Row(f"priced, {depth} sessions deep", lambda: priced("hi"), TIMEOUT, sessions=depth) for depth in DEPTHS]
    plain, racing = waiting(), waiting().with_options(race_after_ms=60_000)
    for number in (100, 1_000):
        floor = f"{number:,} timeouts in flight"
        rows.append(Row(f"{number:,} calls in flight", in_flight(number, plain), floor, calls=number))
        rows.append(Row(f"{number:,} races in flight", in_flight(number, racing), floor, calls=number))
    return rows


def peers(floor: dict[str, Row]) -> list[tuple[str, str, float]]:
    """Ratios to peers: the row, the peer, and the bar."""
    wanted = [
        ("success", "tenacity, success", 0.5),
        ("one failover", "tenacity, one retry", 0.22),
        ("race armed, the primary answers", "hedge-python, adaptive", 0.75),
    ]
    return [one for one in wanted if one[1] in floor]


def _traced(provider: TracerProvider) -> Subject:
    ask = asking(chain(priced=True), reports=True, tracer_provider=provider)
    return lambda: ask("hi")


async def time_us(row: Row) -> float:
    """Microseconds of processor time for one call."""
    rounds = max(1, CALLS // row.calls)
    async with row.around():
        start = time.process_time()
        for number in range(rounds):
            await row.subject()
            if number % TURN == TURN - 1:
                await asyncio.sleep(0)
        return (time.process_time() - start) / rounds / row.calls * 1e6


async def timed(rows: list[Row], rounds: int) -> dict[str, list[float]]:
    """Time everything in turns."""
    times: dict[str, list[float]] = {row.name: [] for row in rows}
    for _ in range(rounds):
        for row in rows:
            times[row.name].append(await time_us(row))
    return times


def import_ms(module: str, rounds: int = 9) -> float:
    """Milliseconds of processor time to import ``module`` in a fresh interpreter that has its dependencies; the median.

    Bytecode is cached, as it is for every installed package: compiling the files takes three times as long as that.
    """
    code = (
        "import asyncio, attrs, opentelemetry.metrics, opentelemetry.trace, time; t = time.process_time();"
        f" import {module}; print((time.process_time() - t) * 1000)"
    )
    command = [sys.executable, "-c", code]
    with tempfile.TemporaryDirectory() as cache:
        place = {**os.environ, "PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
        took = [
            float(subprocess.run(command, env=place, capture_output=True, check=True).stdout)  # noqa: S603
            for _ in range(rounds + 1)
        ]
    return statistics.median(took[1:])


def counts() -> dict[str, float]:
    """Objects tracked per call in flight, circles left by a call or a session, and the time of the import."""
    plain, racing, priced = waiting(), waiting().with_options(race_after_ms=60_000), asking(chain(priced=True))
    failing, lost = asking(chain(), failing=1), asking(chain(priced=True), failing=2)
    raced = asking(chain(), waits=True).with_options(race_after_ms=1000)
    ledger = SuspendingLedger()
    return {
        "objects tracked, a task with asyncio.timeout": tracked(by_timeout_waiting),
        "objects tracked, success": tracked(plain),
        "objects tracked, race": tracked(racing),
        "in circles, success": circles(lambda: priced("hi")),
        "in circles, one failover": circles(lambda: failing("hi")),
        "in circles, no success": circles(failed(lambda: lost("hi"))),
        "in circles, race": circles(lambda: raced("hi")),
        "in circles, a session": circles(in_session_of_its_own(nothing)),
        "in circles, a session with a call": circles(in_session_of_its_own(lambda: priced("hi"))),
        "in circles, one with a refused call": circles(
            in_session_of_its_own(failed(lambda: priced("hi")), limit_usd=0)
        ),
        "in circles, one in a ledger elsewhere": circles(in_session_of_its_own(lambda: priced("hi"), ledger=ledger)),
        "import, ms of processor time": import_ms("routeware"),
    }


async def nothing() -> None:
    await asyncio.sleep(0)


COUNT_BARS = {"objects tracked, success": 20, "objects tracked, race": 31, "import, ms of processor time": 60}


def measured(rounds: int) -> dict[str, dict[str, float]]:
    """All figures, by the name of the row."""
    floor, rows = floors(), [*table(), *scales()]
    times = asyncio.run(timed([*floor.values(), *rows], rounds))
    found: dict[str, dict[str, float]] = {}
    for row in (*floor.values(), *rows):
        ratios = [mine / theirs for mine, theirs in zip(times[row.name], times[row.against], strict=True)]
        found[row.name] = {"µs": statistics.median(times[row.name]), "ratio": statistics.median(ratios)}
        if row.bar is not None:
            found[row.name]["bar"] = row.bar
        if COUNTS_BYTECODES and row.calls == 1:
            found[row.name]["bytecodes"] = bytecodes(row.subject, row.around)
        if row.most_bytecodes is not None:
            found[row.name]["most bytecodes"] = row.most_bytecodes
    for priced in ("", ", priced"):
        long, short = (times[f"a chain of {length}, {LAST}{priced}"] for length in (CHAINS[-1], CHAINS[0]))
        triples = zip(long, short, times[TIMEOUT], strict=True)
        each = [(most - least) / (CHAINS[-1] - CHAINS[0]) / floor_us for most, least, floor_us in triples]
        found[f"each further failed link{priced}"] = {"ratio": statistics.median(each), "bar": 1.2}
    for name, peer, most in peers(floor):
        ratios = [mine / theirs for mine, theirs in zip(times[name], times[peer], strict=True)]
        found[f"{name} / {peer}"] = {"ratio": statistics.median(ratios), "bar": most}
    for name, value in counts().items():
        bar = 0 if "in circles" in name else COUNT_BARS.get(name)
        found[name] = {"count": value} | ({"bar": bar} if bar is not None else {})
    return found


def show(found: dict[str, dict[str, float]], before: dict[str, dict[str, float]]) -> None:
    """Print a table, with the figures of before beside those of now where there are any."""
    heads = ("µs", "ratio", "bytecodes", "count")
    print(f"{'':44}" + "".join(f"{head:>{20 if before else 11}}" for head in heads) + "   bars")
    for name, figures in found.items():
        line = f"{name:44}"
        for head in heads:
            now, then = figures.get(head), before.get(name, {}).get(head)
            text = "" if now is None else f"{now:.2f}" if head in ("µs", "ratio") else f"{now:,.1f}".removesuffix(".0")
            old = "" if then is None else f"({then:,.2f}) ".replace(".00)", ")")
            line += f"{old + text:>{20 if before else 11}}"
        shown = [f"{figures[key]:,g}" for key in ("bar", "most bytecodes") if key in figures]
        print(f"{line}   {', '.join(shown)}".rstrip())


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="how often each subject is timed (default: 40)")
    logging.getLogger("routeware").addHandler(logging.NullHandler())  # what is refused on purpose is not printed
    logging.getLogger("routeware").propagate = False
    parser.add_argument("--save", type=Path, help="write the figures to this file, as JSON")
    parser.add_argument("--beside", type=Path, help="show these figures, saved before, in brackets")
    options = parser.parse_args()
    print(
        f"CPython {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, {options.rounds} rounds\n"
    )
    found = measured(options.rounds)
    show(found, json.loads(options.beside.read_text()) if options.beside else {})
    if options.save:
        options.save.write_text(json.dumps(found, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
