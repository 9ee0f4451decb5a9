"""How to install an extra of routeware into the environment that runs: from where it came, by the tool that brought it.

routeware is on no package index, so ``pip install 'routeware[demo]'`` would fail, or install whatever else has this
name there. Installers record where a distribution came from (PEP 610) and which of them it was, so the command can be
given whole.
"""

from __future__ import annotations

import json
import shlex
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

__all__ = ["command"]


def command(extra: str) -> str:
    """Return the command that installs ``extra``, or what to do where its source is not known."""
    origin = _read("direct_url.json")
    if origin is None:
        return f"install the extra '{extra}' from where routeware came, like: pip install '/path/to/routeware[{extra}]'"
    wanted = shlex.quote(f"routeware[{extra}] @ {json.loads(origin)['url']}")
    if (Path(sys.prefix) / "pipx_metadata.json").exists():
        return f"pipx install --force {wanted}"
    if (_read("INSTALLER") or "").strip() == "uv":
        return f"uv pip install --python {shlex.quote(sys.executable)} {wanted}"
    return f"{shlex.quote(sys.executable)} -m pip install {wanted}"


def _read(name: str) -> str | None:
    try:
        return distribution("routeware").read_text(name)
    except PackageNotFoundError:
        return None
