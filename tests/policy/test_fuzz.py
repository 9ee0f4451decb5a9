"""Whatever is written becomes a policy or a refusal."""

from __future__ import annotations

from tests.policy.fuzz import run


def test_random_policies_are_valid_or_refused() -> None:
    """A hundredth of the run in docs/development.md, with a seed of its own that stays."""
    valid, refused = run(2000, seed=20261128)

    assert valid > 300
    assert refused > 300
