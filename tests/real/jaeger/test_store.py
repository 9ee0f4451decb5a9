"""Recognisable secrets go through every path, and everything that Jaeger has stored is searched for them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

import routeware
from tests.fakes.providers import answers, cancelled_at, converts, hangs, script
from tests.fakes.secrets import HEADER, KEY, PATHS, PROMPT, SECRETS, LeakyError
from tests.real.jaeger.sending import Sender
from tests.real.jaeger.server import Jaeger

VARIANTS = [(racing, capped) for racing in (None, 20) for capped in (False, True)]
CALLS = len(PATHS) * len(VARIANTS) + 2


async def test_no_secret_is_in_jaegers_store(jaeger: Jaeger, sender: Sender, caplog: pytest.LogCaptureFixture) -> None:
    """In no tag, log, status, operation or process; what is meant to be there is found, so the search can find."""
    caplog.set_level(logging.DEBUG)
    outcomes = await asyncio.gather(
        *(one_call(path, racing, capped, sender) for path in PATHS for racing, capped in VARIANTS),
        cancelled(sender),
        rejected(sender),
        return_exceptions=True,
    )
    assert len(outcomes) == CALLS
    await asyncio.sleep(1)  # the straggler has ended, too
    sender.flush()

    jaeger.has(sender.service, traces=CALLS)
    stored = jaeger.everything()
    assert [secret for secret in SECRETS if secret in stored] == []
    assert "tenant-under-test" in stored
    assert "tests.fakes.secrets.LeakyError" in stored
    said = "".join(caplog.handler.format(record) + repr(vars(record)) for record in caplog.records)
    assert [secret for secret in SECRETS if secret in said] == []


async def one_call(path: str, racing: float | None, capped: bool, sender: Sender) -> Any:
    """A call whose providers, errors and arguments are full of secrets."""
    ask = script(**PATHS[path]()).ask(
        race_after_ms=racing,
        on_timeout_ms=100,
        on_error_kinds="any",
        usd={"a": 0.25, "b": 0.25},
        per_call_usd=0.25 if capped else None,
        on_exceed="skip",
        options=sender.options,
    )
    async with routeware.session("tenant-under-test"):
        return await ask(PROMPT, api_key=KEY, headers={"authorization": HEADER})


async def cancelled(sender: Sender) -> None:
    """A call that is cancelled while both of its providers raise errors over it."""
    providers = script(a=converts(hangs(), LeakyError()), b=converts(hangs(), LeakyError()))
    await cancelled_at(providers.ask(race_after_ms=10, options=sender.options)(PROMPT), 50)


async def rejected(sender: Sender) -> None:
    """A call whose result is turned down."""
    ask = script(a=answers(0, PROMPT)).ask(options=sender.options)
    ask.accept(lambda result: False)
    await ask(PROMPT)
