"""Policy files as editors, shells and strangers leave them: read, or refused in one line with the place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from routeware import PolicyError, RoutingPolicy

PLAIN = b'label = "x"\nchain = ["a:b"]\n'


def load(folder: Path, content: bytes, table: str | None = None) -> RoutingPolicy:
    """Write a policy's file and read it."""
    file = folder / "policy.toml"
    file.write_bytes(content)
    return RoutingPolicy.from_toml(file, table=table)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + PLAIN.replace(b"\n", b"\r\n"),
    ],
    ids=["byte order mark", "CRLF", "both"],
)
def test_what_editors_on_windows_write_is_read(tmp_path: Path, content: bytes) -> None:
    """Notepad and PowerShell begin a file with a byte order mark, of which TOML says nothing."""
    assert load(tmp_path, content).label == "x"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_other_encodings_are_named_as_the_reason(tmp_path: Path, encoding: str) -> None:
    """PowerShell 5's ``>`` writes UTF-16."""
    content = 'label = "é"\nchain = ["a:b"]\n'.encode(encoding)

    with pytest.raises(PolicyError, match=r"UTF-16|UTF-8|TOML"):
        load(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"chain = " + b"[" * 3000 + b"]" * 3000, "nested too deeply"),
        (b"chain = ['a:b']\nlabel = " + b"{a = " * 3000 + b"1" + b"}" * 3000, "nested too deeply"),
        (b"chain = ['a:b']\n[latency]\ndeadline_ms = " + b"9" * 5000, "integer"),
        (b"chain = ['a:b']\n[latency]\ndeadline_ms = -" + b"9" * 5000, "integer"),
        (b"chain = ['a:b']\n[failover]\nmax_attempts = 0x" + b"f" * 5000, "a whole number of at least 1"),
        (b"chain = ['a:b']\n[latency]\ndeadline_ms = 1e400", "a finite number above 0"),
        (b"chain = ['a:b']\n[latency]\ndeadline_ms = 2026-02-30", r"TOML|policy"),
        (b"chain = ['a:b']\n" + b"a." * 300 + b"b = 1", "there is no such setting"),
        (b"chain = ['a:b']\n[" + b"a." * 3000 + b"b]\nc = 1", "there is no such setting"),
        (b'chain = ["a:b"]\n"' + b"k" * 90_000 + b'" = 1', "there is no such setting"),
        (b"\x00" * 100, "TOML"),
        (b"#" * (1024 * 1024 + 1), "is no policy"),
    ],
)
def test_hostile_files_are_refused_in_a_line(tmp_path: Path, content: bytes, problem: str) -> None:
    """Whatever is in a file, its reader gets a PolicyError of readable length that names the file."""
    with pytest.raises(PolicyError, match=problem) as refused:
        load(tmp_path, content)

    told = str(refused.value)
    assert told.endswith(f"(in {tmp_path}{os.sep}policy.toml)")
    assert len(told) < 2500
    assert refused.value.__cause__ is None


def test_the_tables_of_a_hostile_file_are_not_listed_without_end(tmp_path: Path) -> None:
    """A table that is not there is answered with those that are, some of them, and in any depth."""
    deep = b"[" + b"a." * 3000 + b"chain]\nb = 1\n"

    with pytest.raises(PolicyError, match="there is no such table") as refused:
        load(tmp_path, deep, table="zzz")

    assert len(str(refused.value)) < 2500
    assert load(tmp_path, b"[x]\nchain = ['a:b']", table="x").chain[0].provider == "a"
