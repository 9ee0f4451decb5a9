"""docs/tracing.md lists every event that the code can leave, with its level and its fields."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

Event = tuple[str, str, frozenset[str]]
"""An event's name, its level in the log, and the names of its fields."""


def events_of(path: Path) -> Iterator[Event]:
    """The events that a file leaves: by `emit`, by the log's own method, or as a pair that is handed to `emit`."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        nodes = list(ast.walk(function))
        for node in nodes:
            match node:
                case ast.Call(ast.Attribute(attr="emit"), [ast.Constant(str(name)), *level], keywords):
                    yield name, level_of(level), frozenset(str(one.arg) for one in keywords)
                case ast.Call(ast.Attribute(attr="event"), [ast.Constant(str(name)), level, ast.Name()]):
                    yield name, level_of([level]), next(keys(one) for one in nodes if isinstance(one, ast.Dict))
                case ast.Return(ast.Tuple([ast.Constant(str(name)), ast.Dict() as fields])):
                    yield name, "WARNING", keys(fields)


def level_of(arguments: list[ast.expr]) -> str:
    """The level that is handed over; `emit` has one of its own."""
    return ast.unparse(arguments[0]).removeprefix("logging.") if arguments else "DEBUG"


def keys(fields: ast.Dict) -> frozenset[str]:
    """The keys of a literal."""
    return frozenset(ast.literal_eval(key) for key in fields.keys if key is not None)


def rows() -> Iterator[Event]:
    """The rows of the documentation's table."""
    page = (ROOT / "docs" / "tracing.md").read_text(encoding="utf-8")
    _, _, section = page.partition("## All events\n")
    for line in section.partition("\n## ")[0].splitlines():
        if line.startswith("| `"):
            name, level, fields, _ = (cell.strip() for cell in line.strip("|").split(" | "))
            yield name.strip("`"), level, frozenset(one.strip("`") for one in fields.split(", "))


def test_the_documentation_lists_every_event() -> None:
    """Whoever adds an event, or a field of one, adds it there."""
    parts = ("engine", "telemetry", "threshold")
    files = [path for part in parts for path in sorted((ROOT / "routeware" / part).rglob("*.py"))]
    left = {event for path in files for event in events_of(path)}

    assert len(left) >= 16
    assert set(rows()) == left
    assert len(list(rows())) == len(left)
