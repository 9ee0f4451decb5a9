"""The command that installs a missing extra: never from a package index, where routeware is not."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

from routeware.cli import install

CHECKOUT = '{"url": "file:///srv/routeware", "dir_info": {}}'


class Distribution:
    """What an installer wrote down."""

    def __init__(self, **files: str) -> None:
        self._files = files

    def read_text(self, name: str) -> str | None:
        """Give one of its files."""
        return self._files.get(name.partition(".")[0])


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment of its own, in which the interpreter seems to be."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/srv/app/bin/python")
    return tmp_path


def came_by(monkeypatch: pytest.MonkeyPatch, installer: str) -> None:
    """Let routeware have come from a checkout, by this installer."""
    found = Distribution(direct_url=CHECKOUT, INSTALLER=installer)
    monkeypatch.setattr(install, "distribution", lambda name: found)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("installer", "command"),
    [
        ("pip\n", "/srv/app/bin/python -m pip install 'routeware[demo] @ file:///srv/routeware'"),
        ("uv", "uv pip install --python /srv/app/bin/python 'routeware[demo] @ file:///srv/routeware'"),
    ],
)
def test_the_command_names_the_source_and_the_tool(
    installer: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they were when routeware was installed."""
    came_by(monkeypatch, installer)

    assert install.command("demo") == command


def test_pipx_installs_again_what_it_installed(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environments belong to pipx, which uses pip in them."""
    came_by(monkeypatch, "pip")
    (installed / "pipx_metadata.json").write_text("{}")

    assert install.command("lab") == "pipx install --force 'routeware[lab] @ file:///srv/routeware'"


def test_uv_installs_a_tool_again(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environments belong to uv, and an upgrade would drop what was installed past it."""
    came_by(monkeypatch, "uv")
    (installed / "uv-receipt.toml").touch()

    assert install.command("demo") == "uv tool install --force 'routeware[demo] @ file:///srv/routeware'"


def test_uvx_runs_the_command_again_with_the_extra_and_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment for one run is no place to install into."""
    came_by(monkeypatch, "uv")
    monkeypatch.delenv("ROUTEWARE_RUN_AGAIN", raising=False)
    monkeypatch.setenv("UV", "/bin/uv")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "archive-v0" / "x7"))

    again = install.uvx_command("demo", ["demo", "--requests", "5"])

    assert again is not None
    assert again[:4] == ["/bin/uv", "tool", "run", "--python"]
    assert again[5:] == ["--from", "routeware[demo] @ file:///srv/routeware", "routeware", "demo", "--requests", "5"]
    assert install.uvx_command("demo", ["demo"]) is None
    monkeypatch.delenv("ROUTEWARE_RUN_AGAIN")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert install.uvx_command("demo", ["demo"]) is None


def test_an_unknown_source_is_named_by_a_placeholder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the source is on the path and nothing was installed."""

    def missing(name: str) -> Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    advice = "install the extra 'demo' from where routeware came, like: pip install '/path/to/routeware[demo]'"
    monkeypatch.setattr(install, "distribution", missing)
    assert install.command("demo") == advice

    monkeypatch.setattr(install, "distribution", lambda name: Distribution(INSTALLER="pip"))
    assert install.command("demo") == advice
