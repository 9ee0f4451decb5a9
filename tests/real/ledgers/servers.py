"""A Redis of one's own: on a free port of the loopback, in a folder of its own, stopped by its process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

__all__ = ["RedisServer", "need_redis"]

_PATIENCE_S = 60.0


def need_redis() -> None:
    """Skip where there is no server to start; fail where every check runs."""
    if shutil.which("redis-server") is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is not installed (Debian: apt-get install redis-server)")
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")


def free_port() -> int:
    """A port of the loopback that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


class RedisServer:
    """A server that writes every change to its file before it answers, so that it may be killed."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        # Without a snapshot: what is in the log of changes is all there is.
        settings = ["--save", "", "--appendonly", "yes", "--appendfsync", "no", "--loglevel", "warning"]
        self._process = subprocess.Popen([*command, *settings, *self._arguments], stdout=subprocess.DEVNULL)
        until = time.monotonic() + _PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None, "redis-server has ended"
            assert time.monotonic() < until, "redis-server does not answer"
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, as a restart does, or otherwise."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(_PATIENCE_S)

    def freeze(self) -> None:
        """Let it hang: connections stay open, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def tell(self, command: str) -> str:
        """What it answers to a command, as far as that is one line."""
        with socket.create_connection(("127.0.0.1", self.port), 1) as line:
            line.sendall(f"{command}\r\n".encode())
            return line.recv(4096).decode()

    def _answers(self) -> bool:
        try:
            return self.tell("PING").startswith("+PONG")
        except OSError:
            return False
