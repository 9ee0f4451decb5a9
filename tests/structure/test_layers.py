"""Imports point from the bottom of the list to the top, never back; walls that only imports can breach stand.

The modules are read, not run, so an import inside a function or under ``TYPE_CHECKING`` counts like any other.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "routeware"

LAYERS = (
    "errors",
    "text",
    "restoring",
    "locks",
    "money",
    "policy",
    "classify",
    "threshold",
    "health",
    "records",
    "pricing",
    "observers",
    "budget",
    "telemetry",
    "engine",
    "decorator",
    "testing",
    "contrib",
    "lab",
    "demo",
    "cli",
)
"""From the top to the bottom; each may be a module or a package of that name."""

CORE = LAYERS[: LAYERS.index("contrib")]
"""The layers that know no foreign library but attrs and, in one file, OpenTelemetry's API."""

BESIDE = ("threshold", *LAYERS[LAYERS.index("testing") :])
"""The layers that ``import routeware`` leaves alone. Only latency targets need ``threshold``, an eighth of the rest."""

SOURCES = sorted(PACKAGE.rglob("*.py"))


def layer_of(path: Path) -> str:
    """The name in the list that a file belongs to; ``__init__`` for the file that gathers the public names."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Every module (or name in one) that a file imports, absolute, with the line that does."""
    folder = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*folder[: len(folder) - node.level + 1]] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def own_imports(path: Path) -> Iterator[tuple[int, str]]:
    """The layers that a file imports; importing from the package itself counts as ``__init__``."""
    for line, name in imported(path):
        top, _, rest = name.partition(".")
        if top == PACKAGE.name:
            layer = rest.partition(".")[0]
            yield line, layer if layer in LAYERS else "__init__"


def offences(path: Path) -> Iterator[str]:
    """The lines of a file that import something at its own height or below."""
    own = layer_of(path)
    if own not in LAYERS:
        return
    for line, layer in own_imports(path):
        where = f"{path.relative_to(ROOT)}:{line}: {own}"
        if layer == "__init__" and own in CORE:
            yield f"{where} imports the package itself, which imports everything"
        elif layer not in {"__init__", own} and LAYERS.index(layer) > LAYERS.index(own):
            yield f"{where} imports {layer}, which stands below it"


def test_every_file_has_a_layer() -> None:
    """A file that nobody placed is a file without rules."""
    strangers = {layer_of(path) for path in SOURCES} - {*LAYERS, "__init__", "__main__"}

    assert not strangers, f"not in the list of layers: {sorted(strangers)}"


def test_imports_point_upwards() -> None:
    """What stands lower may know what stands higher, never the other way round; so there is no circle either."""
    found = [offence for path in SOURCES for offence in offences(path)]

    assert not found, "\n".join(found)


def test_an_offending_line_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check sees imports inside functions, under TYPE_CHECKING, relative ones, and ``from routeware import x``."""
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path / "routeware")
    module = tmp_path / "routeware" / "money.py"
    module.parent.mkdir()
    module.write_text(
        "from routeware.errors import PolicyError\n"
        "if TYPE_CHECKING:\n"
        "    from routeware.policy import Link\n"
        "def late():\n"
        "    import routeware.telemetry\n"
        "    from .engine import x\n"
        "    from . import budget\n"
        "    from routeware import decorator, routed\n"
    )

    assert [offence.replace("\\", "/") for offence in offences(module)] == [
        "routeware/money.py:3: money imports policy, which stands below it",
        "routeware/money.py:5: money imports telemetry, which stands below it",
        "routeware/money.py:6: money imports engine, which stands below it",
        "routeware/money.py:7: money imports budget, which stands below it",
        "routeware/money.py:8: money imports decorator, which stands below it",
        "routeware/money.py:8: money imports the package itself, which imports everything",
    ]


def test_opentelemetry_is_met_in_one_file() -> None:
    """Of the core only telemetry knows OpenTelemetry: facts, money and tasks do not."""
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in SOURCES
        if layer_of(path) in {*CORE, "__init__"} - {"telemetry"}
        for line, name in imported(path)
        if name.partition(".")[0] == "opentelemetry"
    ]

    assert not found, "\n".join(found)


def test_the_core_imports_attrs_and_the_standard_library() -> None:
    """A foreign library is met in one file, under contrib, lab, demo or cli; pytest where it is what runs a file."""
    # annotationlib is of the standard library from 3.14 on.
    known = {*sys.stdlib_module_names, "annotationlib", "routeware", "attrs", "opentelemetry"}
    run_by_pytest = {PACKAGE / "testing" / "plugin.py", PACKAGE / "testing" / "ledgers" / "suite.py"}
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in SOURCES
        if layer_of(path) in {*CORE, "__init__"}
        for line, name in imported(path)
        if name.partition(".")[0] not in known | ({"pytest"} if path in run_by_pytest else set())
    ]

    assert not found, "\n".join(found)


def test_the_test_kit_is_imported_without_pytest() -> None:
    """Users of unittest need not have it."""
    code = "import sys; sys.modules['pytest'] = None; import routeware.testing"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_nothing_above_imports_contrib() -> None:
    """What stands above contrib, the public names included, works without any of its libraries."""
    found = [
        f"{path.relative_to(ROOT)}:{line} imports contrib"
        for path in SOURCES
        if layer_of(path) in {*CORE, "__init__"}
        for line, layer in own_imports(path)
        if layer == "contrib"
    ]

    assert not found, "\n".join(found)


def test_a_forked_child_waits_for_no_lock() -> None:
    """What the core shares between threads is under locks that a child makes anew; the books have one of their own."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} makes a lock that stays held in a forked child"
        for path in SOURCES
        if layer_of(path) in {*CORE, "__init__"} - {"locks", "testing"} and path != PACKAGE / "budget" / "caps.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"RLock", "threading.RLock", "threading.Lock"}
    ]

    assert not found, "\n".join(found)


def test_only_the_command_line_prints() -> None:
    """A library that prints spoils its user's output; what it draws, it gives to the command line."""
    found = [
        f"{path.relative_to(ROOT)}:{line} prints"
        for path in SOURCES
        if layer_of(path) != "cli"
        for line in prints(path)
    ]

    assert not found, "\n".join(found)


def prints(path: Path) -> Iterator[int]:
    """The lines of a file that call ``print``, ``console.print`` or ``typer.echo``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {"print", "echo"}:
            yield node.lineno


def test_a_module_keeps_its_privates() -> None:
    """What begins with an underscore is used in the file that makes it, and nowhere else."""
    found = [
        f"{path.relative_to(ROOT)}:{line} uses {name} of elsewhere"
        for path in SOURCES
        for line, name in intrusions(path)
    ]

    assert not found, "\n".join(found)


def intrusions(path: Path) -> Iterator[tuple[int, str]]:
    """The private names that a file uses, or imports, without making them itself."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    made = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    made |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    made |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    for node in nodes:
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in made:
            yield node.lineno, node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, alias.name) for alias in node.names if is_private(alias.name))


def is_private(name: str) -> bool:
    """Whether a name is one file's own; names like ``__dict__`` are the language's, and a few are of named tuples."""
    return name.startswith("_") and not name.endswith("__") and name not in {"_asdict", "_fields", "_make", "_replace"}


LOADED_BY_THE_IMPORT = """
import json, sys
before = set(sys.modules)
import routeware
origins = {name: getattr(module, "__file__", None) for name, module in sys.modules.items() if name not in before}
print(json.dumps(origins))
"""


def test_importing_routeware_loads_attrs_and_the_opentelemetry_api_only() -> None:
    """No aiohttp, no SDK, no Redis, no price catalogue: a fresh interpreter tells."""
    told = subprocess.run(
        [sys.executable, "-c", LOADED_BY_THE_IMPORT], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = json.loads(told.stdout)

    # The API's own dependencies: importlib_metadata (which needs zipp) in some releases, typing_extensions in all.
    expected = {"routeware", "attr", "attrs", "opentelemetry", "importlib_metadata", "zipp", "typing_extensions"}
    strangers = {name.partition(".")[0] for name in loaded} - expected - set(sys.stdlib_module_names)
    sdk = {name for name in loaded if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))}
    lower = {name for name in loaded if name.startswith(tuple(f"routeware.{layer}" for layer in BESIDE))}
    assert not strangers, f"also loaded: {sorted(strangers)}"
    assert not sdk, f"the API is enough: {sorted(sdk)}"
    assert not lower, f"loaded without being asked for: {sorted(lower)}"
