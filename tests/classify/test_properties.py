"""Whatever an error carries, is raised from or holds: classifying it gives plain values."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from routeware.classify import classify
from routeware.errors import ErrorCategory
from tests.fakes.any_errors import errors


@given(errors(), st.booleans())
def test_classifying_never_raises_and_gives_plain_values(error: BaseException, with_text: bool) -> None:
    """Whatever the attributes are."""
    found = classify(error, with_text=with_text)

    assert isinstance(found.category, ErrorCategory)
    assert found.status is None or (type(found.status) is int and 100 <= found.status <= 599)
    assert found.code is None or (type(found.code) is str and len(found.code) <= 64)
    assert found.retry_after_ms is None or (type(found.retry_after_ms) is float and 0 <= found.retry_after_ms < 1e300)
    assert type(found.may_have_cost) is bool
    assert type(found.message) is str
    assert pickle.loads(pickle.dumps(found)) == found
