"""Recognisable secrets, errors that quote all of them, and the paths that a call full of them may take."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from routeware import Attempt
from tests.fakes.providers import answers, converts, fails, hangs, in_a_group, reports, stubborn

PROMPT = "prompt-3f9a"
ANSWER = "answer-77c1"
KEY = "sk-live-51d0"
HEADER = "header-b4e2"
BODY = "body-e90d"
SECRETS = (PROMPT, ANSWER, KEY, HEADER, BODY)
URL = f"https://api.example.invalid/v1/chat?key={KEY}"


class Response:
    """What an SDK's error carries."""

    status_code = 429
    url = URL
    text = BODY
    content = BODY.encode()

    def __init__(self) -> None:
        self.headers = {"authorization": HEADER, "retry-after": "1", "x-request-id": HEADER}

    def json(self) -> object:
        return {"error": {"message": BODY}}

    def __repr__(self) -> str:
        return f"<Response {URL} {BODY}>"


class LeakyError(Exception):
    """An error that quotes everything, as those of SDKs do."""

    def __init__(self, status: int | None = 429, code: object = None) -> None:
        super().__init__(f"{status} for {URL}: you sent {PROMPT}, header {HEADER}, got {BODY}")
        self.url = URL
        self.request = {"url": URL, "json": PROMPT}
        self.body = {"error": {"message": f"{BODY} {PROMPT}"}}
        self.response = Response() if status == 429 else None
        self.message = str(self)
        if status is not None:
            self.status_code = status
        if code is not None:
            self.code = code


def chained() -> Exception:
    """Secrets in the cause and in the context, too."""
    error = LeakyError()
    error.__cause__ = ConnectionError(f"{URL} {PROMPT}")
    error.__context__ = OSError(f"{KEY}")
    return error


async def _parse(attempt: Attempt) -> object:
    return json.loads(f"<html>{BODY} {KEY}")


PATHS: dict[str, Callable[[], dict[str, Any]]] = {
    "an answer": lambda: {"a": answers(0, {"text": ANSWER, "usage": {"prompt_tokens": 1, "completion_tokens": 1}})},
    "a failure": lambda: {"a": fails(0, LeakyError()), "b": answers(0, ANSWER)},
    "an exhausted chain": lambda: {"a": fails(0, LeakyError()), "b": fails(0, chained())},
    "an error without a status": lambda: {"a": fails(0, LeakyError(None))},
    "a code that is a sentence": lambda: {"a": fails(0, LeakyError(code=f"bad key {KEY} in {URL}"))},
    "a status in a text": lambda: {"a": fails(0, RuntimeError(f"HTTP 429 for {URL}: {BODY}"))},
    "a group": lambda: {"a": in_a_group(fails(0, LeakyError()), fails(0, chained()))},
    "a lost race": lambda: {"a": stubborn(10, hangs(), then=fails(0, LeakyError())), "b": answers(0, ANSWER)},
    "a straggler": lambda: {"a": stubborn(1000, hangs(), then=answers(0, ANSWER)), "b": answers(0, ANSWER)},
    "a time-out": lambda: {"a": converts(hangs(), LeakyError()), "b": converts(hangs(), LeakyError())},
    "a dear attempt": lambda: {"a": reports(100, answers(0, ANSWER))},
    "a lookup": lambda: {"a": fails(0, KeyError(KEY)), "b": answers(0, ANSWER)},
    "json": lambda: {"a": _parse},
}
