"""The providers of ``routeware demo --serve``, for the pages' scripts that use real SDKs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from routeware.demo.playground import playground


@contextmanager
def providers() -> Iterator[str]:
    """Serve on a loop in a thread, and give the address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    serving = playground(0, lambda _: None)
    try:
        url = asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result()
        try:
            yield url
        finally:
            asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def sdks_environment(url: str, openai: str = "/openai/v1") -> dict[str, str]:
    """Return the variables that send both SDKs there."""
    return {
        "OPENAI_API_KEY": "none",
        "OPENAI_BASE_URL": f"{url}{openai}",
        "ANTHROPIC_API_KEY": "none",
        "ANTHROPIC_BASE_URL": f"{url}/anthropic",
    }
