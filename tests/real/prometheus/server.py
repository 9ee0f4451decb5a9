"""A Prometheus of the tests' own: it scrapes one address on loopback, many times a second, and answers queries."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode

import attrs

__all__ = ["MISSING", "Prometheus", "program", "running_prometheus", "scraped"]

MISSING = "no prometheus is installed (Debian: apt-get install prometheus)"

_CONFIGURATION = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: routeware
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

# The addresses are on this machine: no proxy of the environment's is to be asked.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def program(name: str = "prometheus") -> str | None:
    """The path of the program, or of another of its package: installed, or where the checks put it; else ``None``."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    unpacked = cache / "routeware-tests" / "prometheus" / "usr" / "bin"
    return shutil.which(name) or shutil.which(name, path=str(unpacked))


def scraped(port: int) -> str:
    """What a scrape of this port reads."""
    with _opener.open(f"http://127.0.0.1:{port}/metrics", timeout=30) as reply:
        text: str = reply.read().decode()
        return text


@attrs.frozen
class Prometheus:
    """A Prometheus that runs."""

    url: str

    def ask(self, query: str, at: float | None = None) -> dict[str, float]:
        """What a query gives, at a time in seconds since 1970, or now: values by their labels, as text.

        Raises:
            AssertionError: it is not a query.
        """
        url = f"{self.url}/api/v1/query?{urlencode({'query': query, 'time': at or time.time()})}"
        try:
            with _opener.open(url, timeout=30) as reply:
                told: Any = json.load(reply)
        except URLError as error:
            raise AssertionError(f"{query}: {error}") from None
        return {_labels(one["metric"]): float(one["value"][1]) for one in told["data"]["result"]}


@contextmanager
def running_prometheus(folder: Path, port: int) -> Iterator[Prometheus]:
    """Start a Prometheus that scrapes ``port`` and keeps what it reads in ``folder``; kill it at the end."""
    configuration = folder / "prometheus.yml"
    configuration.write_text(_CONFIGURATION.format(port=port), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        own = free.getsockname()[1]
    command = [
        str(program()),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{own}",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait(process, f"http://127.0.0.1:{own}", folder / "log")
            yield Prometheus(f"http://127.0.0.1:{own}")
        finally:
            process.kill()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            with _opener.open(f"{url}/-/ready", timeout=1):
                return
        except (URLError, OSError):
            said = log.read_text(encoding="utf-8", errors="replace")
            assert process.poll() is None, f"Prometheus has ended:\n{said}"
            assert time.monotonic() < until, f"Prometheus does not answer:\n{said}"
            time.sleep(0.05)


def _labels(metric: dict[str, str]) -> str:
    return ", ".join(value for key, value in sorted(metric.items()) if key.startswith("routeware_"))
