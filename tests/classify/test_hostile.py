"""Errors that nobody would write, and that come anyway: classifying never raises, and always gives plain values."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest

from routeware.classify import ErrorSnapshot, classify, error_type
from routeware.classify.reading import remembered
from routeware.errors import ErrorCategory
from tests.fakes.failing import Answering, Lying, RaisingMapping, Untrue


def test_properties_that_raise_say_nothing() -> None:
    """Whatever they raise, also what is no ``Exception``."""

    class RaisingError(Exception):
        @property
        def status_code(self) -> int:
            raise RuntimeError

        @property
        def status(self) -> int:
            raise GeneratorExit

        @property
        def response(self) -> object:
            raise AttributeError

        @cached_property
        def code(self) -> str:
            raise KeyError

    assert classify(RaisingError()) == ErrorSnapshot(
        category=ErrorCategory.GENERIC, message=f"generic {error_type(RaisingError())}"
    )


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interruption_is_let_through(stop: type[BaseException]) -> None:
    """Control-C may arrive while a property is being read."""

    class InterruptedByUserError(Exception):
        @property
        def status_code(self) -> int:
            raise stop

    with pytest.raises(stop):
        classify(InterruptedByUserError())


def test_properties_that_work_are_read() -> None:
    """An honest class may compute its status."""

    class ComputedError(Exception):
        @property
        def status_code(self) -> int:
            return 429

        @cached_property
        def code(self) -> str:
            return "insufficient_quota"

    found = classify(ComputedError())

    assert (found.category, found.status, found.code) == (ErrorCategory.QUOTA, 429, "insufficient_quota")


def test_properties_in_c_are_read_by_the_names_of_their_types() -> None:
    """Aiohttp's responses compute their headers once, in a descriptor of one type or another."""

    def reify(of: object) -> object:
        class Descriptor:
            def __get__(self, instance: object, _owner: type) -> dict[str, str]:
                return {"retry-after": "3"}

        Descriptor.__name__ = "under_cached_property"
        return Descriptor()

    response = type("Response", (), {"status": 429, "headers": reify(None)})()
    error = RuntimeError()
    vars(error)["response"] = response

    assert classify(error).retry_after_ms == 3_000.0


def test_deprecated_properties_are_never_touched() -> None:
    """Neither those that warn nor those that are marked; nor one that has no getter."""
    touched: list[str] = []

    def marked(_self: object) -> int:
        touched.append("marked")
        return 429

    marked.__deprecated__ = "use another"  # type: ignore[attr-defined]  # as typing_extensions.deprecated does

    class OldError(Exception):
        @property
        def status_code(self) -> int:
            touched.append("status_code")
            warnings.warn("use status instead", DeprecationWarning, stacklevel=2)
            return 429

        status = property(marked)
        response = property(None, lambda _self, _value: None)

        @cached_property
        def raw_response(self) -> object:
            touched.append("raw_response")
            warnings.warn("gone", DeprecationWarning, stacklevel=2)
            return None

    assert classify(OldError()).status is None
    assert touched == []


def test_the_instances_own_attribute_comes_before_a_property() -> None:
    """An old name is kept as a warning property, the new one in the instance."""

    class RenamedError(Exception):
        @property
        def status(self) -> int:
            raise AssertionError("touched")

    error = RenamedError()
    vars(error)["status"] = 503

    assert classify(error).status == 503


def test_what_the_class_defines_counts_and_methods_do_not() -> None:
    """Some SDKs fix the status in the class; gRPC's ``code`` is a method."""

    class FixedError(Exception):
        status_code = 404

        def code(self) -> str:
            raise AssertionError("called")

    assert classify(FixedError()).status == 404


def test_slots_are_read() -> None:
    """An error without a ``__dict__`` of its own names still has values."""

    class SlottedError(Exception):
        __slots__ = ("code", "status_code")
        code: str
        status_code: int

    error = SlottedError()
    assert classify(error).status is None

    error.status_code, error.code = 429, "insufficient_quota"
    assert classify(error).category is ErrorCategory.QUOTA


def test_frozen_dataclasses_are_read() -> None:
    """They refuse to be written to, not to be read."""

    @dataclass(frozen=True)
    class FrozenError(Exception):
        status_code: int
        code: str

    assert classify(FrozenError(400, "content_filter")).category is ErrorCategory.CONTENT_POLICY


def test_who_answers_to_every_name_says_nothing() -> None:
    """A mock or a proxy has no status, only answers."""

    class ProxyError(Exception):
        def __getattr__(self, name: str) -> int:
            return 429

    assert classify(ProxyError()).status is None
    for response in (Answering(), Mock(), MagicMock(), Untrue(), Lying()):
        error = ConnectionRefusedError()
        vars(error).update(response=response, body=response, headers=response, retry_after=response, status=response)
        found = classify(error)
        assert (found.category, found.status, found.retry_after_ms) == (ErrorCategory.TRANSIENT_NETWORK, None, None)


def test_a_mock_that_was_told_its_status_has_it() -> None:
    """Tests make responses like that."""
    error = RuntimeError()
    vars(error)["response"] = Mock(status_code=429, headers={"retry-after": "1"})

    assert (classify(error).status, classify(error).retry_after_ms) == (429, 1_000.0)


def test_hidden_dictionaries_and_causes_do_not_matter() -> None:
    """``__dict__`` and ``__cause__`` can be properties, too; the class of an error can lie."""

    class HiddenError(Exception):
        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise RuntimeError

        @property
        def __cause__(self) -> Any:  # type: ignore[override]
            raise RuntimeError

        @property  # type: ignore[misc]
        def __class__(self) -> Any:
            return ExceptionGroup

        @property
        def args(self) -> Any:  # type: ignore[override]
            raise RuntimeError

        def __str__(self) -> str:
            raise RuntimeError

    found = classify(HiddenError(), with_text=True)

    assert found.category is ErrorCategory.GENERIC
    assert found.message.startswith("generic ")


def test_an_error_that_cannot_be_printed_has_its_plain_message() -> None:
    """``str`` can raise, or give something odd."""

    class Loud(str):
        __slots__ = ()

        def __getitem__(self, key: Any) -> str:
            raise RuntimeError

    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    class LoudError(Exception):
        def __str__(self) -> str:
            return Loud("HTTP 429")

    assert classify(MuteError(), with_text=True).message == f"generic {error_type(MuteError())}"
    assert classify(LoudError(), with_text=True).message == "HTTP 429"
    assert classify(LoudError()).status == 429


def test_a_class_may_have_no_module() -> None:
    """Then its name stands alone."""
    kind = type("RateLimitError", (Exception,), {"__module__": None})

    assert classify(kind()).message == "rate_limit RateLimitError"


def test_a_long_status_in_prose_is_no_code() -> None:
    """Nor is it kept anywhere."""
    error = RuntimeError()
    vars(error)["status"] = "A" * 100_000

    assert classify(error).code is None


def test_mappings_that_raise_say_nothing() -> None:
    """As bodies, responses, details or headers."""
    error = RuntimeError()
    hostile = RaisingMapping()
    vars(error).update(body=hostile, response=hostile, details=[hostile, 3, None], headers=hostile)

    assert classify(error).category is ErrorCategory.GENERIC


def test_bodies_that_are_no_json_or_too_deep_say_nothing() -> None:
    """Some SDKs keep the text of the body only."""
    for body in ("[" * 50_000, "{", "3", '"error"', '{"error": "x"}', "x" * 100_000):
        error = RuntimeError()
        vars(error).update(status_code=400, body=body)
        assert classify(error).category is ErrorCategory.BAD_REQUEST


def test_what_is_remembered_of_types_is_bounded() -> None:
    """Some libraries make exception classes as they go."""
    asked: list[type] = []

    @remembered
    def of(kind: type) -> type:
        asked.append(kind)
        return kind

    kinds = [type(f"Made{number}", (), {}) for number in range(600)]

    for kind in kinds:
        assert of(kind) is kind
        assert of(kind) is kind

    assert asked == kinds
    assert of(kinds[0]) is kinds[0]
    assert len(asked) == 601
