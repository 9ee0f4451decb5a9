"""The shape of the doing half: who assigns a field, which steps a life takes, what nobody may ask."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from routeware import Link
from routeware.engine.execution import Execution
from routeware.engine.life import LIFE, Life
from routeware.engine.prepared import bare_link
from routeware.engine.registrations import NO_REQUEST
from routeware.records import AttemptTrigger

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "routeware"
DOING = ("engine", "budget", "telemetry", "decorator", "observers.py")
"""What has state to guard: from the attempt to the ledger."""

MUTATING = frozenset({"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "update"})


def sources(*parts: str) -> list[Path]:
    """All files of these packages and modules."""
    found = [PACKAGE / part for part in parts]
    return sorted(file for one in found for file in ([one] if one.is_file() else one.rglob("*.py")))


def parsed(file: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(file.read_text(encoding="utf-8"))


# One writer.


def classes(tree: ast.AST) -> Iterator[ast.ClassDef]:
    """All classes of a file."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def fields(owner: ast.ClassDef) -> set[str]:
    """The fields that a class has: what its methods assign to ``self``, its annotations, and its slots."""
    assigned = {target.attr for target in stores(owner) if is_self(target.value)}
    annotated = {node.target.id for node in owner.body if isinstance(node, ast.AnnAssign) and is_name(node.target)}
    return assigned | annotated


def stores(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Every attribute that is assigned or deleted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node


def changes(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Every attribute whose value is changed in place: by a method of a container, or by one of its items."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATING:
            if node.func.attr == "add" and len(node.args) != 1:
                continue  # what an OpenTelemetry instrument adds has attributes
            inner = node.func.value
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            inner = node.value
        else:
            continue
        if isinstance(inner, ast.Attribute):
            yield inner


def is_self(node: ast.AST) -> bool:
    """Whether an expression is the object of the method itself."""
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


def is_name(node: ast.AST) -> bool:
    """Whether an expression is a plain name."""
    return isinstance(node, ast.Name)


def offences(files: list[Path], root: Path) -> list[str]:
    """The lines that write a field of a class which another module defines."""
    trees = {file: parsed(file) for file in files}
    known = {owner.name: fields(owner) for tree in trees.values() for owner in classes(tree)}
    homes: dict[str, set[Path]] = defaultdict(set)
    for file, tree in trees.items():
        for owner in classes(tree):
            inherited: set[str] = set().union(*(known.get(ast.unparse(base), set()) for base in owner.bases))
            for field in fields(owner) - inherited:
                homes[field].add(file)
    found = []
    for file, tree in trees.items():
        for node in (*stores(tree), *changes(tree)):
            if is_self(node.value) or node.attr.startswith("__") or node.attr not in homes:
                continue
            if file not in homes[node.attr]:
                where = ", ".join(sorted(str(home.relative_to(root)) for home in homes[node.attr]))
                found.append(f"{file.relative_to(root)}:{node.lineno} writes {ast.unparse(node)}, a field of {where}")
        found += [f"{file.relative_to(root)}:{line} sets an attribute by its name" for line in setters(tree)]
    found += inherited_writes(trees, root)
    return sorted(found)


def setters(tree: ast.AST) -> Iterator[int]:
    """The lines that set an attribute of something else past the syntax."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"setattr", "delattr"}:
            yield node.lineno


def inherited_writes(trees: dict[Path, ast.Module], root: Path) -> list[str]:
    """The lines of a subclass that write a field which its base class, in another module, assigns itself."""
    everywhere = [(file, owner) for file, tree in trees.items() for owner in classes(tree)]
    known = {owner.name: (file, owner) for file, owner in everywhere}
    found = []
    for file, owner in everywhere:
        for base in owner.bases:
            home, above = known.get(ast.unparse(base), (file, owner))
            if home == file:
                continue
            theirs = fields(above)
            found += [
                f"{file.relative_to(root)}:{node.lineno} writes {ast.unparse(node)}, a field of its base {above.name}"
                for node in stores(owner)
                if is_self(node.value) and node.attr in theirs
            ]
    return found


def test_a_field_has_one_writer() -> None:
    """It is assigned in the module that defines its class; others call a method that is named after what happened."""
    found = offences(sources(*DOING), ROOT)

    assert not found, "\n".join(found)


def test_an_offending_line_is_named(tmp_path: Path) -> None:
    """Assignments, deletions, changes in place, `setattr`, and fields of a base class."""
    (tmp_path / "call.py").write_text(
        "class Call:\n"
        "    def __init__(self):\n"
        "        self.attempts = []\n"
        "        self.ended = None\n"
        "        self.counts = {}\n"
    )
    (tmp_path / "other.py").write_text(
        "class Other(Call):\n"
        "    def end(self):\n"
        "        self.ended = 1\n"
        "        self.mine = 1\n"
        "def conclude(call, error):\n"
        "    call.ended = 1\n"
        "    call.attempts.append(1)\n"
        "    call.counts['a'] += 1\n"
        "    del call.ended\n"
        "    setattr(call, 'ended', 2)\n"
        "    error.__cause__ = None\n"
        "    error.status = 1\n"
        "    return call.attempts.index(1)\n"
    )

    found = offences(sorted(tmp_path.glob("*.py")), tmp_path)

    assert [line.replace("\\", "/").partition(" ")[0] for line in found] == [
        "other.py:10",
        "other.py:3",
        "other.py:6",
        "other.py:7",
        "other.py:8",
        "other.py:9",
    ]
    assert "other.py:6 writes call.ended, a field of call.py" in found


# A life with names.

STEPS = {
    "waiting": {"running", "ended"},
    "running": {"answered", "ended", "detached"},
    "answered": {"ended", "detached"},
    "detached": {"ended"},
    "ended": set(),
}

REACHED = {
    "waiting": (),
    "running": ("running",),
    "answered": ("running", "answered"),
    "detached": ("running", "detached"),
    "ended": ("running", "ended"),
}
"""By which steps an attempt comes to each place in its life."""


def lived(*steps: str) -> Execution:
    """Take an attempt through these steps, by the methods that are named after them."""
    execution = Execution(bare_link(Link(provider="a", model="m")), NO_REQUEST, 1, AttemptTrigger.INITIAL)
    for step in steps:
        take(execution, step)
    return execution


def take(execution: Execution, step: str) -> None:
    """Take one step."""
    match step:
        case "running":
            execution.start(1.0, None)
        case "answered":
            execution.give("a result")
            execution.accept()
        case "detached":
            execution.detach()
        case "ended":
            execution.end(2.0)


def test_the_table_of_steps_is_this_one() -> None:
    """Whoever adds a step adds it here, too, and says why."""
    assert {life.value: {step.value for step in steps} for life, steps in LIFE.items()} == STEPS


@pytest.mark.parametrize(("life", "step"), list(product(REACHED, ("running", "detached", "ended"))))
def test_an_attempt_takes_no_other_step(life: str, step: str) -> None:
    """A step that the table does not have is an error of the engine, found where it is made."""
    execution = lived(*REACHED[life])
    assert execution.life is Life(life)

    if step in STEPS[life]:
        take(execution, step)
        assert execution.life is Life(step)
    else:
        with pytest.raises(AssertionError, match=f"{life} cannot be {step}"):
            take(execution, step)


def test_an_answer_after_its_life_is_over_is_kept_and_no_step() -> None:
    """What comes after the end, or after its call went on, is for settling and closing only."""
    for life in ("detached", "ended"):
        execution = lived(*REACHED[life], "answered")
        assert (execution.life, execution.has_value) == (Life(life), True)


def test_the_life_is_written_in_one_method() -> None:
    """So that the table cannot be passed by."""
    writers = {
        function.name
        for file in sources("engine")
        for function in ast.walk(parsed(file))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in stores(function)
        if node.attr == "life"
    }

    assert writers == {"__init__", "_step"}


# What nobody asks.


def test_nowhere_is_the_class_of_a_ledger_asked() -> None:
    """A ledger answers or raises; what it is, is nobody's business, so everybody can write one."""
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno} asks {ast.unparse(node)}"
        for file in sources(*DOING, "contrib", "records.py", "pricing")
        for node in ast.walk(parsed(file))
        if asks_for_a_class(node) and re.search(r"Ledger\b", ast.unparse(node))
    ]

    assert not found, "\n".join(found)


def asks_for_a_class(node: ast.AST) -> bool:
    """Whether an expression depends on the class of something."""
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) in {"isinstance", "issubclass"}
    if isinstance(node, ast.Compare):
        return any(ast.unparse(side).startswith("type(") for side in (node.left, *node.comparators))
    return isinstance(node, ast.MatchClass)


def test_every_kind_of_event_is_handled() -> None:
    """The `match` over events of a race ends where the type checker proves that nothing is left."""
    matches = [node for node in ast.walk(parsed(PACKAGE / "engine" / "race.py")) if isinstance(node, ast.Match)]
    over_events = [match for match in matches if "event" in ast.unparse(match.subject)]

    assert over_events
    for match in over_events:
        assert "assert_never" in ast.unparse(match.cases[-1]), f"race.py:{match.lineno}"


def test_a_cancellation_is_never_swallowed_by_its_base() -> None:
    """`except BaseException` passes on what it caught, or says in a comment why it does not."""
    found = []
    for file in sources(*DOING):
        text = file.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(parsed(file)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            catches_all = node.type is None or "BaseException" in ast.unparse(node.type)
            raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            if catches_all and not raises and "#" not in "".join(text[node.lineno - 1 : node.body[0].end_lineno]):
                found.append(f"{file.relative_to(ROOT)}:{node.lineno}")

    assert not found, "\n".join(found)
