"""``routeware check`` shows what a policy does when links fail: cooldown and further rounds."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from routeware.cli.app import app


@pytest.mark.parametrize(
    ("failover", "words"),
    [
        (
            "cooldown_ms = 5_000",
            "cooldown a link is passed over for 5,000 ms after 5 failures in a row, 60,000 ms at most",
        ),
        (
            "cooldown_ms = 50\ncooldown_after = 1",
            "cooldown a link is passed over for 50 ms after a failure, 60,000 ms at",
        ),
        ("retries = 1", "retries another round when every link has failed, after at most 500 ms at first"),
        ("retries = 3\nbackoff_ms = 200", "retries 3 more rounds when every link has failed, after at most 200 ms at"),
    ],
)
def test_check_shows_cooldown_and_retries(tmp_path: Path, failover: str, words: str) -> None:
    """In words, with the defaults of what is not set."""
    file = tmp_path / "policy.toml"
    file.write_text(f'chain = ["a:x", "b:y"]\n[failover]\n{failover}\n')

    assert words in " ".join(CliRunner().invoke(app, ["check", str(file)]).stdout.split())


def test_check_is_silent_on_what_is_off(tmp_path: Path) -> None:
    """A line that says none for everything hides the rest."""
    file = tmp_path / "policy.toml"
    file.write_text('chain = ["a:x", "b:y"]\n')

    shown = CliRunner().invoke(app, ["check", str(file)]).stdout
    assert "\ncooldown" not in shown
    assert "\nretries" not in shown
