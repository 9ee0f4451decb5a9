"""What comes out when nothing answered: the provider's own error, with a few words about how it came to that."""

from __future__ import annotations

import dataclasses
import gc
import pickle
import weakref
from collections.abc import Callable

import pytest

from routeware import (
    AttemptTimeoutError,
    BudgetExceededError,
    DeadlineExceededError,
    ExhaustedError,
    LedgerUnavailableError,
    NoSessionError,
    PolicyError,
    ProviderCancelledError,
    ResultRejectedError,
    RoutewareError,
    SessionClosedError,
    record_of,
)
from tests.fakes.providers import (
    FatalError,
    HTTPStatusError,
    answers,
    busy,
    cancels_itself,
    fails,
    hangs,
    script,
    statuses,
)


def notes(error: BaseException) -> list[str]:
    """What was added to an error with notes."""
    return getattr(error, "__notes__", [])


async def test_the_last_provider_error_itself_is_raised() -> None:
    """`except aiohttp.ClientResponseError` around a call still works."""
    first, last = HTTPStatusError(503), HTTPStatusError(429)

    with pytest.raises(HTTPStatusError) as raised:
        await script(a=fails(0, first), b=fails(0, last)).ask()()

    assert raised.value is last


async def test_it_carries_one_note_per_attempt() -> None:
    """Category, status, class and times; no text of the provider's."""
    last = HTTPStatusError(429, "you sent: tell me a secret")
    providers = script(a=fails(20, HTTPStatusError(503, "key=sk-123")), b=fails(30, last))

    with pytest.raises(HTTPStatusError):
        await providers.ask()()

    first, second = notes(last)
    assert all(note.startswith("routeware:") for note in notes(last))
    assert "overloaded" in first
    assert "503" in first
    assert "rate_limit" in second
    assert "429" in second
    assert "HTTPStatusError" in second
    assert "20" in first
    assert "30" in second
    assert "secret" not in "".join(notes(last))
    assert "sk-123" not in "".join(notes(last))


async def test_an_ineligible_error_is_unchanged_but_for_the_notes() -> None:
    """Its class, its arguments, its cause and its context are its own."""
    cause = ValueError("cause")
    error = FatalError("mine")
    error.__cause__ = cause

    with pytest.raises(FatalError) as raised:
        await script(a=fails(0, error), b=answers(0)).ask()()

    assert raised.value is error
    assert raised.value.args == ("mine",)
    assert raised.value.__cause__ is cause
    assert len(notes(error)) == 1


async def test_notes_do_not_pile_up() -> None:
    """One object raised again and again, as mocks do: an earlier call's notes are replaced, anybody else's stay."""
    error = HTTPStatusError(503)
    error.add_note("mine")

    for _ in range(3):
        with pytest.raises(HTTPStatusError):
            await script(a=busy(), b=fails(0, error)).ask()()

    assert len(notes(error)) == 3
    assert notes(error)[0] == "mine"


async def test_the_latest_record_is_the_errors() -> None:
    """Where several calls raise one object."""
    error = HTTPStatusError(503)

    with pytest.raises(HTTPStatusError):
        await script(a=fails(0, error)).ask(label="first")()
    with pytest.raises(HTTPStatusError):
        await script(a=fails(0, error)).ask(label="second")()

    record = record_of(error)
    assert record is not None
    assert record.label == "second"


async def test_other_errors_have_no_record() -> None:
    """`None` for an error that no call raised."""
    assert record_of(ValueError()) is None


async def test_the_record_of_nested_calls_is_the_outermost_ones() -> None:
    """It passed through both."""
    inner = script(x=busy()).ask(label="inner")

    async def nest(attempt: object) -> object:
        return await inner()

    with pytest.raises(HTTPStatusError) as raised:
        await script(a=nest).ask(label="outer")()

    record = record_of(raised.value)
    assert record is not None
    assert record.label == "outer"


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    """`add_note` fails on these."""

    reason: str


async def test_frozen_exceptions_carry_notes_and_record() -> None:
    """They refuse `setattr`, and so `add_note`."""
    error = FrozenError("cold")

    with pytest.raises(FrozenError) as raised:
        await script(a=fails(0, error)).ask()()

    assert raised.value is error
    assert record_of(error) is not None
    assert len(notes(error)) == 1


async def test_what_lies_on_an_error_pickles() -> None:
    """A worker process sends it home, record and notes included."""
    error = ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        await script(a=busy(), b=fails(0, error)).ask(usd={"a": 0.1, "b": 0.1})()

    copy = pickle.loads(pickle.dumps(error))
    assert record_of(copy) == record_of(error) != None  # noqa: E711  # a chain of two comparisons
    assert notes(copy) == notes(error)


async def test_nothing_of_ours_holds_an_exception_after_a_call() -> None:
    """An exception holds its frames, and those hold everything."""

    class HeldError(ConnectionError):
        pass

    held: list[weakref.ref[HeldError]] = []

    async def fail(attempt: object) -> str:
        error = HeldError()
        held.append(weakref.ref(error))
        raise error

    for settings in ({}, {"race_after_ms": 0}):
        outcome = await script(a=fail, b=answers(10)).ask(**settings).outcome()
        assert outcome.value == "b"
    with pytest.raises(HeldError):
        await script(a=fail, b=fail).ask()()

    gc.collect()
    assert [ref() for ref in held] == [None] * 4


async def test_an_exhausted_chain_may_be_wrapped() -> None:
    """`wrap_errors=True`: one `except` serves every SDK."""
    last = HTTPStatusError(429)
    ask = script(a=busy(), b=fails(0, last)).ask(options={"wrap_errors": True})

    with pytest.raises(ExhaustedError) as raised:
        await ask()

    assert raised.value.__cause__ is last
    assert raised.value.labels == ("a", "b")
    assert statuses(record_of(raised.value)) == {"a": "failed", "b": "failed"}


async def test_a_wrapped_time_out_is_a_cause_too() -> None:
    """The last provider error is an AttemptTimeoutError."""
    with pytest.raises(ExhaustedError) as raised:
        await script(a=hangs()).ask(timeouts={"a": 10}, options={"wrap_errors": True})()

    assert isinstance(raised.value.__cause__, AttemptTimeoutError)


async def test_an_error_that_is_not_failed_over_on_is_not_wrapped() -> None:
    """It stays as it is."""
    with pytest.raises(FatalError):
        await script(a=fails(0, FatalError()), b=answers(0)).ask(options={"wrap_errors": True})()


async def test_a_rejected_result_raises() -> None:
    """Where the last failure to end was one: with the result, which is not in the text."""
    ask = script(a=busy(), b=answers(0, "a bad answer")).ask()
    ask.accept(lambda result: False)

    with pytest.raises(ResultRejectedError) as raised:
        await ask()

    assert raised.value.result == "a bad answer"
    assert raised.value.label == "b"
    assert "bad answer" not in str(raised.value)
    assert pickle.loads(pickle.dumps(raised.value)).result is None
    assert statuses(record_of(raised.value)) == {"a": "failed", "b": "rejected"}


async def test_an_error_after_a_rejected_result_raises() -> None:
    """The last failure to end is the one."""
    ask = script(a=answers(0), b=busy()).ask()
    ask.accept(lambda result: False)

    with pytest.raises(HTTPStatusError):
        await ask()


async def test_a_rejected_result_may_be_wrapped() -> None:
    """It becomes the cause, too."""
    ask = script(a=answers(0)).ask(options={"wrap_errors": True})
    ask.accept(lambda result: False)

    with pytest.raises(ExhaustedError) as raised:
        await ask()

    assert isinstance(raised.value.__cause__, ResultRejectedError)


async def test_a_rejected_result_that_is_raised_is_not_closed_and_the_others_are() -> None:
    """The caller may look at it; nobody gets the others."""
    from tests.fakes.providers import Closable

    first, last = Closable(), Closable()
    ask = script(a=answers(0, first), b=answers(0, last)).ask()
    ask.accept(lambda result: False)

    with pytest.raises(ResultRejectedError) as raised:
        await ask()

    assert raised.value.result is last
    assert (first.closed, last.closed) == (1, 0)


async def test_calling_it_wrongly_is_the_callers_error() -> None:
    """A TypeError as it is: no failover, and no provider function is entered."""
    providers = script(a=answers(0), b=answers(0))
    ask = providers.ask(on_error_kinds="any")

    with pytest.raises(TypeError):
        await ask("prompt", "too", "many")

    assert providers.started == {}


OURS: list[RoutewareError] = [
    PolicyError("cannot be", key="chain"),
    BudgetExceededError(
        kind="session", limit_usd=1, projected_usd=0.5, committed_usd=0.75, session_name="s", label="a"
    ),
    LedgerUnavailableError("away"),
    AttemptTimeoutError("a", 50),
    DeadlineExceededError(100),
    ResultRejectedError("a", "x"),
    ProviderCancelledError("a"),
    ExhaustedError(("a", "b")),
    NoSessionError("none"),
    SessionClosedError("left"),
]


@pytest.mark.parametrize("error", OURS, ids=lambda error: type(error).__name__)
def test_our_errors_pickle(error: RoutewareError) -> None:
    """With text, attributes and notes."""
    error.add_note("noted")

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert {**vars(copy), "result": None} == {**vars(error), "result": None}


@pytest.mark.parametrize(
    "raise_it",
    [
        script(a=hangs()).ask(timeouts={"a": 10}),
        script(a=hangs()).ask(deadline_ms=10),
        script(a=busy(), b=cancels_itself()).ask(),
        script(a=busy()).ask(options={"wrap_errors": True}),
        script(a=answers(0)).ask(usd={"a": 1}, per_call_usd=0.5),
        script(a=answers(0)).ask(usd={"a": 1}, session_usd=0.5),
    ],
)
async def test_our_errors_pickle_as_they_come_out(raise_it: Callable[[], object]) -> None:
    """Record, notes, causes and all."""
    with pytest.raises(RoutewareError) as raised:
        await raise_it()  # type: ignore[misc]

    copy = pickle.loads(pickle.dumps(raised.value))

    assert str(copy) == str(raised.value)
    assert record_of(copy) == record_of(raised.value)
