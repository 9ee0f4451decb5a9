"""What is refused before anything is called says what is wrong, where, and what would be right."""

from __future__ import annotations

import pytest

import routeware
from routeware import NoSessionError, PolicyError
from tests.fakes.providers import answers, script


async def test_a_link_without_a_price_is_named_by_its_place_in_the_chain() -> None:
    """Where a session's cap is what makes a price necessary."""
    providers = script(a=answers(0), b=answers(0))

    async with routeware.session("day", limit_usd=1):
        with pytest.raises(PolicyError) as raised:
            await providers.ask(usd={"a": 0.25})()

    assert raised.value.key == "chain[1].price"
    assert "session 'day'" in raised.value.problem
    assert providers.started == {}


async def test_a_policy_that_caps_a_session_names_itself_where_none_is_open() -> None:
    """And says how one is opened."""
    ask = script(a=answers(0)).ask(usd={"a": 0.25}, session_usd=1, label="cheap")

    with pytest.raises(NoSessionError, match=r"^cheap sets budget\.session_usd.*async with routeware\.session\("):
        await ask()
