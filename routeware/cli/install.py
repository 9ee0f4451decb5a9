"""The installed distribution: its version, and the command that installs an extra by the same installer.

routeware is on no package index, so ``pip install 'routeware[demo]'`` would fail, or install whatever else has this
name there. Installers record where a distribution came from (PEP 610) and which of them it was, so the command can be
given whole.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

__all__ = ["command", "uvx_command", "version_line"]

_AGAIN = "ROUTEWARE_RUN_AGAIN"


def version_line() -> str:
    """Return the line that a bug report begins with."""
    try:
        return f"routeware {version('routeware')}"
    except PackageNotFoundError:
        return "routeware, run from its source"


def command(extra: str) -> str:
    """Return the command that installs ``extra``, or what to do where its source is not known."""
    origin = _read("direct_url.json")
    if origin is None:
        return f"install the extra '{extra}' from where routeware came, like: pip install '/path/to/routeware[{extra}]'"
    wanted = shlex.quote(_requirement(origin, extra))
    if (Path(sys.prefix) / "uv-receipt.toml").exists():
        return f"uv tool install --force {wanted}"
    if (Path(sys.prefix) / "pipx_metadata.json").exists():
        return f"pipx install --force {wanted}"
    if (_read("INSTALLER") or "").strip() == "uv":
        return f"uv pip install --python {shlex.quote(sys.executable)} {wanted}"
    return f"{shlex.quote(sys.executable)} -m pip install {wanted}"


def uvx_command(extra: str, arguments: Sequence[str]) -> list[str] | None:
    """Return the command that runs this one again with ``extra``, in an environment that uvx made for one run.

    Nothing can be installed into such an environment that the next run would find. ``None`` in any other environment,
    and where the command runs again already.
    """
    origin, uv = _read("direct_url.json"), os.environ.get("UV")
    if origin is None or uv is None or _AGAIN in os.environ or "archive-v" not in Path(sys.prefix).parent.name:
        return None
    os.environ[_AGAIN] = "1"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    run = [uv, "tool", "run", "--python", version, "--from", _requirement(origin, extra)]
    return [*run, "routeware", *arguments]


def _requirement(origin: str, extra: str) -> str:
    return f"routeware[{extra}] @ {json.loads(origin)['url']}"


def _read(name: str) -> str | None:
    try:
        return distribution("routeware").read_text(name)
    except PackageNotFoundError:
        return None
