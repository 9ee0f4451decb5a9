"""A Jaeger of the tests' own: started on free loopback ports, asked over HTTP, stopped by its process."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode

import attrs

from tests.real.jaeger.building import binary

__all__ = ["Jaeger", "running_jaeger", "tags_of"]

T = TypeVar("T")

_LOOPBACK = "127.0.0.1"
_TRIES = 3
# Listeners that nobody here talks to: on a port of the system's choice, and never open to the network.
_UNUSED = (
    "--collector.http-server.host-port",
    "--collector.grpc-server.host-port",
    "--query.grpc-server.host-port",
    "--http-server.host-port",
    "--processor.jaeger-binary.server-host-port",
    "--processor.jaeger-compact.server-host-port",
    "--processor.zipkin-compact.server-host-port",
)
_USED = (
    "--collector.otlp.http.host-port",
    "--collector.otlp.grpc.host-port",
    "--query.http-server.host-port",
    "--admin.http.host-port",
)

# The addresses are on this machine: no proxy of the environment's is to be asked.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@attrs.frozen
class Jaeger:
    """A Jaeger that runs.

    Attributes:
        process: its process.
        otlp_url: where it takes spans, by OTLP over HTTP.
        query_url: where its page is, and where it answers queries.
    """

    process: subprocess.Popen[bytes]
    otlp_url: str
    query_url: str

    def get(self, path: str, **parameters: str) -> Any:
        """What its query API answers, decoded; ``None`` for what it does not have."""
        url = f"{self.query_url}{path}" + (f"?{urlencode(parameters)}" if parameters else "")
        try:
            with _opener.open(url, timeout=10) as reply:
                return json.load(reply)
        except HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                raise

    def trace(self, trace_id: str, *, spans: int) -> dict[str, Any]:
        """A trace in Jaeger's JSON, as soon as it has so many spans."""

        def look() -> dict[str, Any] | None:
            found = self.get(f"/api/traces/{trace_id}")
            return found["data"][0] if found and len(found["data"][0]["spans"]) >= spans else None

        return eventually(look, f"{spans} spans of trace {trace_id}")

    def has(self, service: str, *, traces: int) -> None:
        """Wait until it has so many traces of a service, and all of their spans: it takes them in one by one."""
        sizes: list[list[int]] = [[]]

        def look() -> bool | None:
            found = self.get("/api/traces", service=service, limit="1000")["data"]
            sizes.append(sorted(len(trace["spans"]) for trace in found))
            time.sleep(0.1)
            return True if len(sizes[-1]) == traces and sizes[-1] == sizes[-2] else None

        eventually(look, f"{traces} traces of {service}")

    def search(self, service: str, **tags: str) -> set[str]:
        """The ids of the traces of a service with a span that has these tags; names have ``__`` for a dot."""
        wanted = {key.replace("__", "."): value for key, value in tags.items()}
        found = self.get("/api/traces", service=service, tags=json.dumps(wanted), limit="1000")
        return {trace["traceID"] for trace in found["data"]}

    def everything(self) -> str:
        """All that it has stored, as text: services, operations, traces in both of its forms."""
        parts: list[object] = [self.get("/api/services")]
        for service in parts[0]["data"] or []:  # type: ignore[index]  # JSON
            parts.append(self.get(f"/api/services/{service}/operations"))
            traces = self.get("/api/traces", service=service, limit="10000")
            parts.append(traces)
            parts += [self.get(f"/api/v3/traces/{trace['traceID']}") for trace in traces["data"]]
        return json.dumps(parts)


@contextmanager
def running_jaeger(log: Path) -> Iterator[Jaeger]:
    """Start a Jaeger that answers, and stop it at the end. What it says goes into the file ``log``."""
    jaeger = _started(log)
    try:
        yield jaeger
    finally:
        _stop(jaeger.process)


def eventually(look: Callable[[], T | None], what: str, *, within_s: float = 60.0) -> T:
    """What ``look`` finds, as soon as it finds something."""
    until = time.monotonic() + within_s
    while (found := look()) is None:
        assert time.monotonic() < until, f"waited {within_s:.0f} s in vain for {what}"
        time.sleep(0.02)
    return found


def tags_of(owner: Mapping[str, Any], key: str = "tags") -> dict[str, Any]:
    """Tags, or the fields of a log, as a dict; each key is there once."""
    pairs = [(tag["key"], tag["value"]) for tag in owner[key]]
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def _started(log: Path) -> Jaeger:
    for _ in range(_TRIES):
        otlp, grpc, query, admin = _free_ports(len(_USED))
        with log.open("ab") as output:
            process = subprocess.Popen(_command((otlp, grpc, query, admin)), stdout=output, stderr=output)
        if _answers(process, f"http://{_LOOPBACK}:{admin}/"):
            return Jaeger(process, f"http://{_LOOPBACK}:{otlp}", f"http://{_LOOPBACK}:{query}")
        _stop(process)  # somebody else took one of the ports, which were free a moment ago
    raise AssertionError(f"Jaeger did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


def _command(ports: tuple[int, ...]) -> list[str]:
    used = [f"{flag}={_LOOPBACK}:{port}" for flag, port in zip(_USED, ports, strict=True)]
    unused = [f"{flag}={_LOOPBACK}:0" for flag in _UNUSED]
    return [str(binary()), "--collector.otlp.enabled=true", "--memory.max-traces=10000", *used, *unused]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((_LOOPBACK, 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _answers(process: subprocess.Popen[bytes], url: str, *, within_s: float = 60.0) -> bool:
    until = time.monotonic() + within_s
    while process.poll() is None and time.monotonic() < until:
        try:
            with _opener.open(url, timeout=1):
                return True
        except (URLError, OSError):
            time.sleep(0.02)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()  # asked to end, it would wait for its idle connections, and there is nothing to save
    process.wait()
