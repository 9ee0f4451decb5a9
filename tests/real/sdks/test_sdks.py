"""What each SDK raises, over a loopback server, becomes what the table of docs/errors.md says.

They need environments of their own: the extra ``sdks`` in one, LiteLLM in another, aiohttp 3.9.5 in a third.
``python -m tests.real.sdks.table`` writes the outcomes and the table anew.
"""

from __future__ import annotations

import pytest

from tests.real.sdks.clients import CLIENTS, Client, are_wanted_here
from tests.real.sdks.situations import SITUATIONS, Situation
from tests.real.sdks.table import known_outcomes, outcome_of

# The SDKs' own warnings are not ours; classifying must not add any, and ``outcome_of`` sees to that.
pytestmark = pytest.mark.filterwarnings("default")

if not are_wanted_here():
    pytest.skip("the extra sdks is not installed", allow_module_level=True)

KNOWN = known_outcomes()


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
async def test_an_error_becomes_what_the_table_says(client: Client, situation: Situation) -> None:
    """A real client, a real error; some SDKs say less than the provider does, and the table shows it."""
    if not client.is_installed():
        pytest.skip(f"{client.name} is not installed")

    found = await outcome_of(client, situation)

    expected = KNOWN[client.name].get(situation.name)
    # The name of the class is the SDK's to change; what it means is not.
    assert _meaning(found) == _meaning(expected)


def _meaning(outcome: dict[str, object] | None) -> dict[str, object] | None:
    return None if outcome is None else {key: value for key, value in outcome.items() if key != "raised"}
