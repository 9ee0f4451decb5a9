"""The table of docs/errors.md: what the errors of each SDK become.

``python -m tests.real.sdks.table`` asks every SDK that is installed here, keeps the outcomes in ``outcomes.json``, and
writes the table anew. The SDKs need several environments; each run replaces the outcomes of its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from routeware.classify import ErrorSnapshot, classify, error_in_reply
from tests.real.sdks.clients import CLIENTS, Client
from tests.real.sdks.rpc import grpc_loopback, has_grpc
from tests.real.sdks.situations import SITUATIONS, Situation, body_of, loopback

__all__ = ["OUTCOMES", "PAGE", "known_outcomes", "outcome_of", "page_with_table"]

OUTCOMES = Path(__file__).parent / "outcomes.json"
PAGE = Path(__file__).parents[3] / "docs" / "errors.md"
_BEGIN, _END = "<!-- table of the SDKs: begin -->", "<!-- table of the SDKs: end -->"

Outcome = dict[str, Any]

LESS = {
    "aiohttp": "`raise_for_status` doesn't keep the body, so only the status is known. A blank body is `None`.",
    "botocore": "a body that is no JSON becomes a reply without fields. Report it, and it's read as what it is.",
    "cohere, google-genai": "an error under 200 is dropped while it is parsed. Use `@ask.accept`.",
    "grpcio, google-api-core, xai-sdk": (
        "a message that can't be parsed becomes `None`. A status doesn't say who made it, the server or the client, so"
        " a `DEADLINE_EXCEEDED` or `CANCELLED` may have cost something."
    ),
    "litellm": (
        "a lost connection and a body that is no JSON get a status of 500, a time-out one of 408. What was lost is"
        " found behind the error; a body that is no JSON isn't."
    ),
    "mcp": "the HTTP status is replaced by a JSON-RPC code, mostly -32603.",
    "ollama": "an error under 200, outside a stream, fails the SDK's own validation.",
}
"""Where an SDK keeps something back, and what that does."""


async def outcome_of(client: Client, situation: Situation) -> Outcome | None:
    """Ask one SDK in one situation; ``None`` if the situation cannot arise in its protocol."""
    if client.grpc and not has_grpc(situation):
        return None
    server = grpc_loopback(situation) if client.grpc else loopback(situation, body_of(client.bodies, situation))
    async with server as port:
        try:
            reply = await client.ask(port, situation.timeout_s)
        except Exception as error:  # noqa: BLE001 - whatever an SDK raises is what is looked at
            return _outcome(_classified(error), error)
    # Nothing was raised: the function stumbles over the reply, which it has reported.
    stumble = TypeError("'NoneType' object is not subscriptable")
    return _outcome(_classified(stumble, reported=error_in_reply(reply)), stumble)


def _classified(error: BaseException, reported: ErrorSnapshot | None = None) -> ErrorSnapshot:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no deprecated property may be touched
        return classify(error, reported=reported)


def _outcome(found: ErrorSnapshot, error: BaseException) -> Outcome:
    return {
        "category": found.category.value,
        "status": found.status if (found.status or 0) >= 400 else None,
        "retry_after_ms": found.retry_after_ms,
        "may_have_cost": found.may_have_cost,
        "raised": type(error).__qualname__,
    }


def known_outcomes() -> dict[str, dict[str, Outcome]]:
    """Read the outcomes of all SDKs, by SDK and situation."""
    found: dict[str, dict[str, Outcome]] = json.loads(OUTCOMES.read_text(encoding="utf-8"))
    return found


def page_with_table(page: str) -> str:
    """Put the table into the page, between its two marks."""
    before, _, rest = page.partition(_BEGIN)
    _, _, behind = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{table()}\n\n{_END}{behind}"


def table() -> str:
    """Write the table in Markdown: for each situation, the SDKs that agree on a line."""
    outcomes = known_outcomes()
    lines = [
        "| what goes wrong | category | status | may have cost | SDK |",
        "|---|---|---|---|---|",
    ]
    for situation in SITUATIONS:
        lines.extend(_lines_of(situation, outcomes))
    notes = [f"- **{name}**: {why}" for name, why in LESS.items()]
    return "\n".join([*lines, "", "Some SDKs say less than the provider does:", "", *notes])


def _lines_of(situation: Situation, outcomes: dict[str, dict[str, Outcome]]) -> Iterator[str]:
    found = {name: row for name, rows in outcomes.items() if (row := rows.get(situation.name)) is not None}
    cells = {name: _cells(row) for name, row in found.items()}
    first = situation.name
    counted = Counter(cells.values()).most_common()
    for number, (kind, _) in enumerate(counted):
        names = [name for name in found if cells[name] == kind]
        who = "all" if len(counted) == 1 else "all others" if number == 0 else ", ".join(names)
        yield f"| {first} | {kind} | {who} |"
        first = ""


def _cells(row: Outcome) -> str:
    wait = "" if row["retry_after_ms"] is None else f", wait {row['retry_after_ms'] / 1_000:g} s"
    status = row["status"] if row["status"] is not None else "none"
    return f"`{row['category']}`{wait} | {status} | {'yes' if row['may_have_cost'] else 'no'}"


async def _observe() -> dict[str, dict[str, Outcome]]:
    found: dict[str, dict[str, Outcome]] = {}
    for client in CLIENTS:
        if client.is_installed():
            print(f"{client.name} {version(client.distribution)}")  # noqa: T201 - a command
            rows = {situation.name: await outcome_of(client, situation) for situation in SITUATIONS}
            found[client.name] = {name: row for name, row in rows.items() if row is not None}
    return found


def _main() -> None:
    logging.disable(logging.CRITICAL)
    known = known_outcomes() if OUTCOMES.exists() else {}
    known.update(asyncio.run(_observe()))
    ordered = {client.name: known[client.name] for client in CLIENTS if client.name in known}
    OUTCOMES.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    _main()
