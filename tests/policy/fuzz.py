"""Policies at random, good and bad, as mappings and as files: each is a policy or a ``PolicyError``, never a traceback.

``python -m tests.policy.fuzz 200000 [seed]`` runs it at length; the tests run a hundredth of that with a fixed seed.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from routeware import BudgetRules, FailoverRules, LatencyRules, Link, ObserveRules, PolicyError, Price, RoutingPolicy
from routeware.cli.advice import findings
from routeware.cli.check import run as check

_PARTS = (RoutingPolicy, Link, FailoverRules, LatencyRules, BudgetRules, ObserveRules, Price)
_NAMES = sorted({field.name for part in _PARTS for field in attrs.fields(part)})
_SECTIONS = {"failover": FailoverRules, "latency": LatencyRules, "budget": BudgetRules, "observe": ObserveRules}

_FLAGS = {"allow_unpriced", "swap_in_outage", "error_messages"}

_STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -0.0, 1, -1, 2, 0.4, 1e-300, 1e308, float("inf"), float("nan"), 2**63, 10**400, 10**5000),
    *("", " ", "a:b", "a:", ":", "default", "any", "ABORT", "warn", "\x1b[2J", "\ud800", "é" * 300, "x" * 5000, "a, b"),
    *(b"bytes", [], {}, (), set(), frozenset({1}), [[]], [None], {"": 1}, {1: 2}, {"provider": "a"}, object, 3j),
)
_LIKELY: dict[str, tuple[Any, ...]] = {
    "chain": (["a:b"], ["openai:m", "anthropic:n"], [{"provider": "a", "model": "m"}, "c:d", "c:d"]),
    "price": ({"input_usd_per_mtok": 3, "output_usd_per_mtok": 15}, {"web_search_usd": 0.01}, {"request_usd": 1e12}),
    "on_status": ([429, 503], [400]),
    "on_error_kinds": ("default, auth", ["any"], []),
    "on_exceed": ("abort", "skip", "downgrade", "Warn "),
}


def _fitting(draw: random.Random, name: str) -> Any:
    if name.endswith(("_ms", "_usd", "_mtok")):
        return draw.choice((draw.randint(1, 5000), round(draw.uniform(0.001, 2), 3)))
    if name in {"max_extra", "explore", "uncertain_share"}:
        return draw.choice((0, round(draw.uniform(0, 0.1), 3)))
    if name in {"max_output_tokens", "max_attempts", "race_width"}:
        return draw.randint(2, 9)
    return draw.random() < 0.5 if name in _FLAGS else draw.choice(("a", "shop", "x\x1b[2Jy", "世界"))


def value(draw: random.Random, name: str, depth: int = 3) -> Any:
    """Draw what may stand under a setting's name: most often something that fits it."""
    if draw.random() < 0.85:
        return draw.choice(_LIKELY[name]) if name in _LIKELY else _fitting(draw, name)
    if depth and draw.random() < 0.3:
        inner = [value(draw, draw.choice(_NAMES), depth - 1) for _ in range(draw.randint(0, 3))]
        return inner if draw.random() < 0.5 else {draw.choice(_NAMES): one for one in inner}
    return draw.choice(_STRANGE)


def part(draw: random.Random, kind: type[Any]) -> dict[Any, Any]:
    """Draw the settings of one part: some of its own, and now and then a stranger."""
    own = [field.name for field in attrs.fields(kind)]
    chosen = draw.sample(own, draw.randint(0, min(3, len(own))))
    if draw.random() < 0.05:
        chosen.append(draw.choice((*_NAMES, "lable", "\x1b", "", "k" * 3000)))
    return {name: value(draw, name) for name in chosen}


def settings(draw: random.Random) -> Any:
    """Draw the settings of a policy."""
    if draw.random() < 0.02:
        return draw.choice(_STRANGE)
    links = [{"provider": draw.choice("ab"), "model": "m", **part(draw, Link)} for _ in range(draw.randint(1, 3))]
    chain = links if draw.random() < 0.8 else value(draw, "chain")
    sections = {name: part(draw, kind) for name, kind in _SECTIONS.items() if draw.random() < 0.5}
    more = {draw.choice((*_NAMES, "x")): draw.choice(_STRANGE)} if draw.random() < 0.05 else {}
    return {"chain": chain, **sections, **more}


_BYTES: tuple[Callable[[random.Random], bytes], ...] = (
    lambda draw: b"[" * draw.choice((1, 10, 3000)),
    lambda draw: b"{a=" * draw.choice((1, 10, 3000)),
    lambda draw: b"9" * draw.choice((1, 400, 5000)),
    lambda draw: b"0x" + b"f" * draw.choice((1, 400, 5000)),
    lambda draw: b"a." * draw.choice((1, 10, 3000)),
    lambda draw: draw.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\r", b"\x1b", b"\xed\xa0\x80", b'"""', b"'''")),
    lambda draw: draw.choice((b"=", b"]", b"}", b"[[", b",", b"#", b"\n", b"inf", b"nan", b"1979-05-27T07:32:00Z")),
    lambda draw: draw.randbytes(draw.randint(1, 8)),
)
_WHOLE = b"""label = "shop"
chain = [{ provider = "a", model = "x", timeout_ms = 800, price = { output_usd_per_mtok = 10 } }, "b:y"]
[failover]
on_status = [429, 503]
[latency]
race_after_ms = 250
[budget]
per_call_usd = 0.05
"""


def content(draw: random.Random) -> bytes:
    """Draw a file: a good one in which some bytes were replaced."""
    text = bytearray(_WHOLE)
    for _ in range(draw.randint(0, 3)):
        at = draw.randrange(len(text) + 1)
        text[at : at + draw.randint(0, 10)] = draw.choice(_BYTES)(draw)
    return bytes(text)


def try_settings(draw: random.Random) -> bool:
    """Try one mapping; whether it was a policy."""
    given = settings(draw)
    try:
        policy = RoutingPolicy.from_dict(given)
    except PolicyError as error:
        str(error).encode(errors="backslashreplace")
        return False
    findings(policy)
    told = json.loads(json.dumps(policy.to_dict()))
    assert RoutingPolicy.from_dict(told) == policy, given
    return True


def try_file(draw: random.Random, file: Path) -> bool:
    """Try one file with the command that checks it; whether it was a policy."""
    file.write_bytes(content(draw))
    out, err, code = io.StringIO(), io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            check(file, as_json=draw.random() < 0.3)
        except SystemExit as left:
            code = left.code
    refusal = 1 if _is_utf8(file.read_bytes()) else 2
    assert code in {None, refusal}, (code, err.getvalue())
    assert err.getvalue().count("\n") <= 1
    return code is None


def _is_utf8(read: bytes) -> bool:
    try:
        read.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shown(what: object) -> str:
    try:
        return f"{what!r:.2000}"
    except ValueError:
        return "settings with a number that has no repr"


def run(count: int, seed: int) -> tuple[int, int]:
    """Try ``count`` policies, nine of ten as mappings; how many were policies, and how many were refused."""
    draw, valid = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "policy.toml"
        for number in range(count):
            state = draw.getstate()
            try:
                valid += try_file(draw, file) if number % 10 == 0 else try_settings(draw)
            except BaseException:
                draw.setstate(state)
                what = content(draw) if number % 10 == 0 else settings(draw)
                sys.stderr.write(f"seed {seed}, number {number}: {_shown(what)}\n")
                raise
    return valid, count - valid


if __name__ == "__main__":
    amount = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    good, bad = run(amount, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    print(f"{amount} policies: {good} valid, {bad} refused, no traceback")  # noqa: T201 - a command of its own
