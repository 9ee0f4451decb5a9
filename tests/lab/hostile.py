"""Files that nobody would save and everybody meets: valid ones with something broken in them, and noise.

    python -m tests.lab.hostile --files 1000 [--seed 0]      # some minutes; CI runs a share of it

Every file goes through `routeware trace` and `routeware tune`. Neither may raise, and an error is one printable line.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from routeware.cli.app import app
from tests.fakes.exported import Traced, jaeger, otlp

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1e308, -1e308, 10**19, 10**400, 0.5, "", "x", "\x1b[31m", "\ud800", "\u202e", [], {}),
    *(
        [[]],
        {"a": {}},
        "9" * 30,
        "NaN",
        "-Infinity",
        "0x",
        "=",
        "a=",
        "2026-01-01T00:00:00Z",
        "9" * 5000,
        [None],
        "\x00",
    ),
)


def spans() -> Traced:
    """A failover and a race, as routeware exports them."""
    traced = Traced()
    for place in range(4):
        call = traced.call(at_ms=1000.0 * place)
        call.event("race_started", 20, link="b:m").event("budget_exceeded", 25, link="c:m", on_exceed="skip")
        call.attempt("a:m", 0.0, 90.0 + place, "race_lost", routeware__cost__usd=0.001)
        call.attempt("b:m", 20.0, 80.0 + place, routeware__attempt__trigger="race")
        call.end(92.0, routeware__call__selected="b:m", routeware__call__cost_usd=0.002)
    return traced


def table(source: random.Random) -> str:
    """A CSV of two links."""
    rows = [f"{'ab'[place % 2]},{1000 * source.lognormvariate(0, 0.5):.1f},ok,{place}" for place in range(60)]
    return "provider,latency_ms,status,prompt\n" + "\n".join(rows) + "\n"


def har(source: random.Random) -> Any:
    """Requests that a browser saved."""
    return {
        "log": {
            "entries": [
                {
                    "startedDateTime": f"2026-01-01T00:00:{place:02}Z",
                    "time": 1000 * source.random(),
                    "request": {"url": f"https://{'ab'[place % 2]}/x"},
                    "response": {"status": 200},
                }
                for place in range(20)
            ]
        }
    }


def objects(source: random.Random) -> Any:
    """Rows in JSON, as llmperf has them."""
    return [
        {"link": "ab"[place % 2], "latency_ms": 1000 * source.random(), "status": "ok", "error_code": None}
        for place in range(20)
    ]


def documents(source: random.Random) -> Any:
    """A JSON document that is read, before anything is broken in it."""
    exported = spans().spans()
    makers: list[Callable[[], Any]] = [
        lambda: otlp(exported),
        lambda: jaeger(exported),
        lambda: {"batches": otlp(exported)["resourceSpans"]},
        lambda: [json.loads(span.to_json()) for span in exported],
        lambda: har(source),
        lambda: objects(source),
        lambda: {"ttfts": [0.5, 1.0], "itls": [[0.1], [0.2, 0.3]], "errors": ["", ""]},
        lambda: [{"name": "a", "num_requests": 3, "num_failures": 1, "response_times": {"120": 3}}],
    ]
    return source.choice(makers)()


def broken(document: Any, source: random.Random) -> Any:
    """Put something odd in the place of a value, somewhere."""
    if isinstance(document, dict) and document and source.random() < 0.9:
        key = source.choice(list(document))
        return {**document, key: broken(document[key], source)}
    if isinstance(document, list) and document and source.random() < 0.9:
        place = source.randrange(len(document))
        return [*document[:place], broken(document[place], source), *document[place + 1 :]]
    return source.choice(ODD)


def cells(source: random.Random) -> str:
    """A table in which some cells, or the header, are odd."""
    lines = table(source).splitlines()
    for _ in range(source.randint(1, 4)):
        place = source.randrange(len(lines))
        parts = lines[place].split(",")
        parts[source.randrange(len(parts))] = str(source.choice([*ODD, '"', '"a\nb"', "1,5", "1e400", "-0", " "]))[
            :6000
        ]
        lines[place] = ",".join(parts)
    return source.choice(["\n", "\r\n", ""]).join(lines)


def content(source: random.Random) -> bytes:
    """The bytes of one hostile file."""
    kind = source.randrange(8)
    if kind == 0:
        return source.randbytes(source.randrange(3000))
    if kind == 1:
        return (
            source.choice([b"[", b'{"a":', b'[{"b":', b'"', b"{", b'{"data":[', b"1", b"\x1f\x8b", b",", b";\n"]) * 3000
        )
    if kind in (2, 3):
        text = cells(source).encode(source.choice(["utf-8", "utf-16", "utf-8-sig", "utf-16-le"]), "replace")
    else:
        document = documents(source)
        for _ in range(source.randint(0, 3)):
            document = broken(document, source)
        text = json.dumps(document, indent=source.choice([None, 2])).encode()
    if source.random() < 0.3:
        place = source.randrange(len(text) or 1)
        text = (
            text[:place] + source.choice([b"", source.randbytes(3), b"\x00", b"{", b'"', b"\xff"]) + text[place + 1 :]
        )
    if source.random() < 0.2:
        text = text[: source.randrange(len(text) or 1)]
    return gzip.compress(text)[: source.choice([None, -5])] if source.random() < 0.15 else text


def refused(path: Path) -> list[str]:
    """Run both commands on a file; return what they did wrong."""
    wrong = []
    for arguments in (["trace", str(path)], ["tune", str(path)], ["tune", str(path), "--target-p95", "900", "--json"]):
        result = CliRunner().invoke(app, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            wrong.append(f"{arguments[0]}: {result.exception!r}")
        elif result.exit_code not in (0, 1, 2, 3):
            wrong.append(f"{arguments[0]}: exit code {result.exit_code}")
        elif result.exit_code in (1, 2) and not (result.stderr.count("\n") == 1 and result.stderr[:-1].isprintable()):
            wrong.append(f"{arguments[0]}: no single printable line: {result.stderr!r}")
    return wrong


def run(count: int, seed: int, keep: Path) -> int:
    """Try ``count`` files; keep what goes wrong in a folder, and return how many did."""
    failed = 0
    for number in range(count):
        source = random.Random(f"{seed} {number}")
        path = keep / f"{seed}-{number}"
        path.write_bytes(content(source))
        wrong = refused(path)
        for each in wrong:
            sys.stdout.write(f"{path}: {each}\n")
        failed += bool(wrong)
        if not wrong:
            path.unlink()
    return failed


def main(arguments: list[str]) -> int:
    """Run from a shell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    failed = run(given.files, given.seed, Path(tempfile.mkdtemp()))
    sys.stdout.write(f"{given.files} files, {failed} with something wrong\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
