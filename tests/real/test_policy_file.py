"""Three processes follow one policy file under load, whatever happens to the file: no call fails."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

ROOT = Path(__file__).parents[2]


def replace(path: Path, text: str) -> None:
    """Replace a file as deployments do: written beside it, then renamed over it."""
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


async def all_say(workers: list[Process], line: bytes) -> None:
    """Wait until each process has written this line, and none before it."""
    for worker in workers:
        assert worker.stdout is not None
        assert await worker.stdout.readline() == line


async def ended(worker: Process) -> tuple[dict[str, int], dict[str, int]]:
    """Let a process end; give its answers and its errors."""
    told, _ = await worker.communicate(b"")  # before CPython 3.12 nothing else closes its standard input
    assert worker.returncode == 0
    answered, failed = json.loads(told)
    return answered, failed


async def test_no_call_of_three_processes_fails_whatever_happens_to_the_file(tmp_path: Path) -> None:
    """Broken, right, gone, half-written, right: the last good policy answers, and each is logged once."""
    path = tmp_path / "policy.toml"
    replace(path, 'chain = ["a:m"]\n')
    command = (sys.executable, "-m", "tests.real.policy_worker", str(path))
    workers = [await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, cwd=ROOT) for _ in range(3)]
    try:
        await all_say(workers, b"CALLING\n")
        replace(path, "chain = [")
        await all_say(workers, b"WARNING\n")
        replace(path, 'chain = ["b:m"]\n')
        await all_say(workers, b"INFO\n")
        path.unlink()
        await all_say(workers, b"WARNING\n")
        with path.open("w", encoding="utf-8") as file:  # in place: every length of it is there for a moment
            for character in 'chain = ["c:m"]\n':
                file.write(character)
                file.flush()
                await asyncio.sleep(0.01)
        await all_say(workers, b"INFO\n")
        told = [await ended(worker) for worker in workers]
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()

    for answered, failed in told:
        assert failed == {}
        assert set(answered) == {"a:m", "b:m", "c:m"}
