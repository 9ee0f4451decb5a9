"""No file makes `trace` or `tune` raise, however broken it is; a share of what `python -m tests.lab.hostile` tries."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("numpy")

from tests.lab.hostile import run


def test_a_broken_file_is_one_line_of_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is wrong with it."""
    assert run(40, seed=7, keep=tmp_path) == 0, capsys.readouterr().out
