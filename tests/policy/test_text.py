"""Text that other people wrote: encodable, bounded, visible, and no name for money if it is ambiguous."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeware import PolicyError
from routeware.text import bounded, checked_ledger_name, visible


@given(st.text(st.characters(codec=None), max_size=400))
def test_whatever_comes_in_can_be_encoded(text: str) -> None:
    """Exporters encode UTF-8, and one bad span loses the whole batch."""
    out = bounded(text)

    out.encode()
    assert len(out) == min(len(text), 256)
    visible(text).encode()
    assert visible(text).isprintable()


def test_good_text_stays_as_it_is() -> None:
    """Only what can't be encoded is replaced."""
    assert bounded("claude-sonnet-4-5") == "claude-sonnet-4-5"
    assert bounded("Grüße, 世界 🙂") == "Grüße, 世界 🙂"
    assert bounded("a\ud83eb") == "a\ufffdb"
    assert visible("Grüße, 世界 🙂") == "Grüße, 世界 🙂"


def test_control_characters_are_spelled_out() -> None:
    """They rewrite the screen, and a line break forges a row."""
    assert visible("a\x1b[31mb\n\x7f\x9b") == "a\\x1b[31mb\\x0a\\x7f\\x9b"
    assert visible("\u202egnp\ud83e\U000e0001") == "\\u202egnp\\ud83e\\U000e0001"


@pytest.mark.parametrize("name", ["tenant-\udce9", "a\nb", "a\x1b[2K", "a\x00", "\x9b"])
def test_a_ledgers_name_is_one_that_can_be_kept_and_told_apart(name: str) -> None:
    """Two budgets that look alike, or one that can't be stored, are refused when the session is opened."""
    with pytest.raises(PolicyError, match="control character or a lone surrogate") as refused:
        checked_ledger_name(name)

    assert refused.value.key == "session.name"
    str(refused.value).encode()
    assert visible(str(refused.value)) == str(refused.value)


@pytest.mark.parametrize("name", ["tenant-7", "Grüße 世界 🙂", "a b/c:d", ""])
def test_other_names_are_names(name: str) -> None:
    """Spaces, other scripts and emoji among them."""
    assert checked_ledger_name(name) == name
