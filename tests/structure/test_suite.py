"""How the suite itself is built: what tests share is a fake, not another test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent.parent


def imported(file: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, by its full name, with the line."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""


def test_no_test_module_imports_another() -> None:
    """Importing one would run its fixtures and marks twice, and moving it would break the other."""
    offending = [
        f"{file.relative_to(TESTS)}:{line} imports {module}"
        for file in TESTS.rglob("*.py")
        for line, module in imported(file)
        if module.startswith("tests.") and module.rpartition(".")[2].startswith("test_")
    ]

    assert offending == []
