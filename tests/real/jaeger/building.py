"""Where the Jaeger of these tests is, and how it gets there: built by Go, once for each version, into a cache folder.

``python3 tests/real/jaeger/building.py`` builds it where it is not there yet, which takes minutes, and says where it
is. Only the standard library is needed, so that it can run before anything is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["binary", "build", "why_missing"]

HERE = Path(__file__).parent

_NEEDS_GO = (1, 24)


def binary() -> Path:
    """The path of the program, whether it is there or not. Another go.sum is another version."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "routeware-tests" / f"jaeger-{_version()}" / "all-in-one"


def why_missing() -> str | None:
    """Why there is no Jaeger to test against, in one line; ``None`` where there is."""
    if binary().exists():
        return None
    if not _has_go():
        return f"no Jaeger: it is built by Go {'.'.join(map(str, _NEEDS_GO))} or newer, which is not installed"
    return "no Jaeger yet: `python3 tests/real/jaeger/building.py` builds it, once, in some minutes"


def build() -> None:
    """Build the program, where it is not there yet.

    Raises:
        subprocess.CalledProcessError: Go could not.
    """
    target = binary()
    if target.exists():
        return
    # What was cut off in the middle must not pass for the program: it is built beside its place, and moved there.
    unfinished = target.parent.with_name(f"{target.parent.name}.{os.getpid()}")
    environment = {**os.environ, "GOBIN": str(unfinished), "GOWORK": "off"}
    try:
        subprocess.run(["go", "install", "tool"], cwd=HERE, env=environment, check=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        (unfinished / target.name).replace(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _version() -> str:
    found = re.search(r"github\.com/jaegertracing/jaeger (\S+)", (HERE / "go.mod").read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


def _has_go() -> bool:
    try:
        told = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True, cwd=HERE).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    found = re.match(r"go(\d+)\.(\d+)", told)
    return found is not None and (int(found[1]), int(found[2])) >= _NEEDS_GO


if __name__ == "__main__":
    if _has_go():
        build()
    sys.stdout.write(f"{why_missing() or binary()}\n")
