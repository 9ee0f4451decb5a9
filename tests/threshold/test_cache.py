"""What one decorated function has learned, and what its views share of it."""

from __future__ import annotations

import pytest

from routeware import RoutingPolicy
from routeware.threshold import LearnerCache, Observation


def chain(*links: str, **latency: float) -> RoutingPolicy:
    """A policy with a target."""
    return RoutingPolicy(chain=links, latency={"target_p95_ms": 1000, "race_after_ms": 1000, **latency})


def test_a_function_has_one_learner_for_the_same_rules() -> None:
    """A view that is made for every call goes on where the one before was; a deadline changes nothing about it."""
    memory = LearnerCache()

    assert memory.learner(chain("a:m", "b:m")) is memory.learner(chain("a:m", "b:m", deadline_ms=9000))
    assert memory.learner(chain("a:m", "b:m")) is not memory.learner(chain("a:m", "b:m", target_p95_ms=900))
    assert memory.learner(chain("a:m", "b:m")) is not memory.learner(chain("b:m", "a:m"))


def test_views_share_what_is_known_of_their_links() -> None:
    """The windows belong to the links, in whatever order and under whatever target they are tried."""
    memory = LearnerCache()
    first = memory.learner(chain("a:m", "b:m"))
    second = memory.learner(chain("b:m", "a:m", target_p95_ms=900))
    assert first is not None
    assert second is not None

    first.histories[0].as_primary.add(0.5, Observation.ANSWERED, now=1.0)

    assert second.report().links[1].as_primary.attempts == 1


@pytest.mark.parametrize(
    "policy",
    [
        RoutingPolicy(chain=["a:m", "b:m"]),
        RoutingPolicy(chain=["a:m", "b:m"], latency={"race_after_ms": 5}),
        chain("a:m"),
        RoutingPolicy(
            chain=["a:m", "b:m"],
            failover={"max_attempts": 1},
            latency={"target_p95_ms": 1000, "race_after_ms": 1000},
        ),
    ],
)
def test_without_a_target_or_a_backup_there_is_nothing_to_learn(policy: RoutingPolicy) -> None:
    """A fixed threshold is the policy's own affair."""
    assert LearnerCache().learner(policy) is None


def test_memory_is_bounded() -> None:
    """A policy that is made up at every call leaves nothing behind; what is used stays."""
    memory = LearnerCache()
    kept = chain("a:m", "b:m")
    learner = memory.learner(kept)
    for place in range(200):
        memory.learner(chain(f"a{place}:m", f"b{place}:m"))
        assert memory.learner(kept) is learner

    assert len(memory._learners) == 16
    assert len(memory._histories) == 64
