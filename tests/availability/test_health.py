"""A link's health: what counts, how long pauses are, who probes, and whose clock it is."""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
import weakref

import pytest

from routeware import Attempt, RoutingPolicy, routed
from routeware.errors import ErrorCategory
from routeware.health import (
    COUNTED,
    CooldownRule,
    Health,
    LinkHealth,
    LinkStates,
    RetryBudget,
    Ticket,
    note_policy,
)
from routeware.health.pauses import LOCK
from routeware.locks import Lock
from tests.fakes.clock import JumpingLoop
from tests.fakes.forks import exit_code_of_child

BUSY = ErrorCategory.OVERLOADED
RULE = CooldownRule(pause_s=10.0, after=3, longest_s=60.0)


def links(draw: float = 0.0) -> LinkStates:
    """Give states whose chance is ``draw`` every time."""
    return LinkStates(lambda: draw)


def fail(states: LinkStates, now: float, *, times: int = 1, retry_after_ms: float | None = None, **how: object) -> None:
    """Let attempts at link ``a`` start and fail at ``now``."""
    for _ in range(times):
        category = how.get("category", BUSY)
        assert isinstance(category, ErrorCategory)
        states.failed(states.claim("a", now), RULE, category, retry_after_ms, now)


def seen(states: LinkStates, now: float) -> LinkHealth:
    """Report the only link."""
    (link,) = states.report(now)
    return link


def test_failures_in_a_row_begin_a_pause() -> None:
    """One failure is an accident; ``cooldown_after`` of them are an outage."""
    states = links()

    fail(states, 1.0, times=2)
    assert states.cooling_until("a", 1.0) is None
    started = states.failed(states.claim("a", 2.0), RULE, BUSY, None, 2.0)

    assert started == ("a", "overloaded", 3, 10_000.0)
    assert states.cooling_until("a", 2.0) == 12.0
    assert seen(states, 4.0) == LinkHealth(
        label="a", state="cooling", failures=3, pauses=1, left_ms=8_000.0, category="overloaded"
    )


def test_an_answer_ends_the_row() -> None:
    """A provider that fails now and then is not out."""
    states = links()

    fail(states, 1.0, times=2)
    assert states.answered(states.claim("a", 1.0)) is False
    fail(states, 2.0, times=2)

    assert states.cooling_until("a", 2.0) is None
    assert states.answered(states.claim("a", 3.0)) is False
    assert states.answered(states.claim("a", 3.0)) is False


def test_a_link_that_never_failed_has_no_state() -> None:
    """Health costs nothing where everything is well."""
    states = links()

    assert states.answered(states.claim("a", 0.0)) is False
    states.said_nothing(states.claim("a", 0.0))

    assert states.report(0.0) == ()


@pytest.mark.parametrize("category", sorted(set(ErrorCategory) - COUNTED - {ErrorCategory.QUOTA, ErrorCategory.AUTH}))
def test_what_the_provider_is_not_to_blame_for_says_nothing(category: ErrorCategory) -> None:
    """A rejected answer or a bad request is no reason to leave a provider alone."""
    states = links()

    fail(states, 1.0, times=10, category=category)

    assert states.report(1.0) == ()


@pytest.mark.parametrize("category", [ErrorCategory.QUOTA, ErrorCategory.AUTH])
def test_a_spent_account_begins_the_longest_pause_at_once(category: ErrorCategory) -> None:
    """The next call would be refused, too."""
    states = links()

    fail(states, 1.0, category=category)

    assert states.cooling_until("a", 1.0) == 61.0


def test_a_retry_after_is_kept_and_not_shortened_by_a_later_one() -> None:
    """A provider that asks for seven seconds gets seven, whatever another reply says meanwhile."""
    states = links()
    late, longer = states.claim("a", 0.5), states.claim("a", 0.5)

    fail(states, 1.0, category=ErrorCategory.RATE_LIMIT, retry_after_ms=7_000)
    assert states.cooling_until("a", 1.0) == 8.0

    assert states.failed(late, RULE, ErrorCategory.RATE_LIMIT, 2_000, 2.0) is None
    assert states.cooling_until("a", 2.0) == 8.0
    assert states.failed(longer, RULE, ErrorCategory.RATE_LIMIT, 20_000, 2.0) is None
    assert states.cooling_until("a", 2.0) == 22.0
    assert seen(states, 2.0).pauses == 1


def test_a_retry_after_is_bounded_by_the_longest_pause() -> None:
    """A day is asked for now and then, by mistake."""
    states = links()

    fail(states, 0.0, category=ErrorCategory.RATE_LIMIT, retry_after_ms=86_400_000)

    assert states.cooling_until("a", 0.0) == 60.0


def test_calls_that_fail_together_are_one_pause() -> None:
    """What was started before the pause began says nothing about it."""
    states = links()
    together = [states.claim("a", 0.0) for _ in range(100)]
    answer = states.claim("a", 0.0)

    for ticket in together:
        states.failed(ticket, RULE, BUSY, None, 5.0)
    states.answered(answer)

    link = seen(states, 5.0)
    assert (link.pauses, link.failures, link.left_ms) == (1, 3, 10_000.0)


def test_when_a_pause_is_over_exactly_one_attempt_probes() -> None:
    """A hundred waiting calls do not fall on a provider that has just come back."""
    states = links()
    fail(states, 0.0, times=3)
    assert states.cooling_until("a", 9.9) == 10.0
    assert seen(states, 11.0).state == "cooling"

    assert states.cooling_until("a", 10.0) is None
    probe = states.claim("a", 10.0)

    assert probe.probe
    assert states.cooling_until("a", 11.0) == 10.0
    assert not states.claim("a", 11.0).probe
    assert (seen(states, 11.0).state, seen(states, 11.0).left_ms) == ("probing", 0.0)
    assert states.answered(probe) is True
    assert seen(states, 11.0) == LinkHealth(label="a", state="ready", failures=0, pauses=0, left_ms=0.0, category=None)


def test_a_failed_probe_begins_a_longer_pause() -> None:
    """Each pause in a row is twice the one before, up to the longest."""
    states = links()
    fail(states, 0.0, times=3)
    ends = [10.0]

    for _ in range(4):
        fail(states, ends[-1])
        until = states.cooling_until("a", ends[-1])
        assert until is not None
        ends.append(until)

    assert [after - before for before, after in itertools.pairwise(ends)] == [20.0, 40.0, 60.0, 60.0]
    assert seen(states, ends[-1]).failures == 7


def test_a_failed_probe_waits_for_what_is_asked_if_that_is_longer() -> None:
    """A Retry-After lengthens a pause that would begin anyway, and never shortens it."""
    for retry_after_ms, length_s in ((2_000, 20.0), (50_000, 50.0)):
        states = links()
        fail(states, 0.0, times=3)

        fail(states, 10.0, retry_after_ms=retry_after_ms)

        assert states.cooling_until("a", 10.0) == 10.0 + length_s


def test_a_probe_that_says_nothing_leaves_the_next_call_to_probe() -> None:
    """A caller that cancels its call must not keep a link out of service."""
    states = links()
    fail(states, 0.0, times=3)

    first = states.claim("a", 10.0)
    states.said_nothing(first)
    second = states.claim("a", 11.0)
    states.said_nothing(first)
    states.failed(second, RULE, ErrorCategory.BAD_REQUEST, None, 11.0)
    third = states.claim("a", 12.0)

    assert (first.probe, second.probe, third.probe) == (True, True, True)


def test_a_last_resort_that_answers_ends_the_pause_and_one_that_fails_does_not_change_it() -> None:
    """An answer is an answer, whichever call got it."""
    states = links()
    fail(states, 0.0, times=3)

    fail(states, 2.0)
    assert states.cooling_until("a", 2.0) == 10.0
    fail(states, 2.0, retry_after_ms=9_000)
    assert states.cooling_until("a", 2.0) == 11.0

    assert states.answered(states.claim("a", 3.0)) is True
    assert states.cooling_until("a", 3.0) is None


def test_up_to_a_tenth_is_added_at_random() -> None:
    """Processes that failed together do not come back together."""
    states = links(draw=0.5)

    fail(states, 0.0, times=3)

    assert states.cooling_until("a", 0.0) == 10.5


def test_what_is_known_is_bounded() -> None:
    """A policy function that makes up labels does not fill the memory; links that cool are kept longest."""
    states = links()
    fail(states, 0.0, times=3)

    for number in range(2_000):
        ticket = states.claim(f"link-{number}", 0.0)
        states.failed(ticket, RULE, BUSY, None, 0.0)
        states.answered(ticket)

    assert len(states.report(0.0)) <= 1_024
    assert states.cooling_until("a", 0.0) == 10.0


def test_when_everything_known_cools_the_oldest_goes() -> None:
    """The bound holds in the worst case, too."""
    states = links()

    for number in range(1_100):
        states.failed(states.claim(f"link-{number}", 0.0), RULE, ErrorCategory.QUOTA, None, 0.0)

    assert len(states.report(0.0)) == 1_024
    assert states.cooling_until("link-0", 0.0) is None
    assert states.answered(Ticket("link-0", 0, probe=False)) is False
    states.said_nothing(Ticket("link-0", 0, probe=True))


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


async def test_a_trip_that_no_policy_heeds_says_so_with_the_remedy(caplog: pytest.LogCaptureFixture) -> None:
    """A policy without cooldown goes on calling the link, and a mistyped label is nobody's."""
    health = Health()
    health.trip("p:a", for_ms=1_000)
    assert not _warnings(caplog)  # it may be given to a function later

    @routed(RoutingPolicy(chain=["p:a", "p:b"]), health=health)
    async def ask(attempt: Attempt) -> str:
        return attempt.label

    health.trip("p:a", for_ms=1_000)
    health.trip("p:A", for_ms=1_000)

    assert await ask() == "p:a"
    assert _warnings(caplog) == [
        "a pause of 'p:a' changes nothing: no policy with this link sets failover.cooldown_ms",
        "a pause of 'p:A' changes nothing: no link has this label; there are 'p:a', 'p:b'",
    ]


async def test_a_trip_that_one_policy_heeds_is_no_mistake(caplog: pytest.LogCaptureFixture) -> None:
    """Functions that share a health may differ in their policies, and so may views."""

    @routed(RoutingPolicy(chain=["p:a", "p:b"]))
    async def ask(attempt: Attempt) -> str:
        return attempt.label

    cooling = ask.with_policy(RoutingPolicy(chain=["p:a", "p:b"], failover={"cooldown_ms": 5_000}))
    assert ask.health is not None
    ask.health.trip("p:a", for_ms=60_000)

    assert (await ask(), await cooling()) == ("p:a", "p:b")
    assert not _warnings(caplog)


async def test_of_more_labels_than_are_kept_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """A policy function that makes up labels fills no memory, and none of them is called wrong."""
    health = Health()
    for number in range(1_100):
        note_policy(health, [f"link-{number}"], cools=False)

    health.trip("link-1099", for_ms=1_000)

    assert not _warnings(caplog)


async def test_a_link_can_be_tripped_and_reset_by_hand() -> None:
    """Before maintenance, and after it."""
    health = Health(draw=lambda: 0.0)

    health.trip("a", for_ms=5_000)
    health.trip("b", for_ms=5_000)
    health.trip("a", for_ms=1_000)

    first, second = health.report()
    assert (first.label, first.state, first.left_ms, first.category) == ("a", "cooling", 5_000.0, "manual")
    health.reset("a")
    assert [link.state for link in health.report()] == ["ready", "cooling"]
    health.reset()
    assert [link.state for link in health.report()] == ["ready", "ready"]
    assert second.pauses == 1


async def test_what_was_in_flight_at_a_reset_says_nothing() -> None:
    """Somebody who resets a link knows something that older attempts do not."""
    health = Health()
    states = health.states(asyncio.get_running_loop())
    ticket = states.claim("a", 0.0)
    health.trip("a", for_ms=1)

    health.reset()

    assert states.failed(ticket, RULE, ErrorCategory.QUOTA, 5_000, 0.0) is None
    assert health.report()[0].state == "ready"


@pytest.mark.parametrize("for_ms", [0, -1, True, float("nan"), float("inf"), "5", None])
def test_a_pause_by_hand_is_a_number_above_zero(for_ms: object) -> None:
    """A mistake is an error, not an endless pause."""
    with pytest.raises(ValueError, match="for_ms has to be a number of milliseconds above 0"):
        Health().trip("a", for_ms=for_ms)  # type: ignore[arg-type]


def test_loops_on_the_process_clock_share_one_state() -> None:
    """A pause outlives ``asyncio.run``, and is seen without a loop."""
    health = Health()

    async def trip() -> None:
        health.trip("a", for_ms=60_000)

    asyncio.run(trip())

    assert health.report()[0].state == "cooling"
    with asyncio.Runner() as runner:
        states = health.states(runner.get_loop())
        assert states.cooling_until("a", time.monotonic()) is not None


def test_a_loop_with_its_own_clock_has_its_own_state_which_dies_with_it() -> None:
    """A pause that ends at second 30 of one clock means nothing on another."""
    health = Health()
    loop = JumpingLoop()
    states = health.states(loop)
    states.trip("a", 30.0, 0.0)

    assert health.states(loop) is states
    assert health.report() == ()

    gone = weakref.ref(loop)
    loop.close()
    del loop
    gc.collect()
    assert gone() is None
    assert len(health._own_clocks) == 0


def test_a_foreign_loop_on_the_process_clock_shares_the_state() -> None:
    """One example is uvloop, which reads the same clock."""

    class Foreign(asyncio.SelectorEventLoop):
        def time(self) -> float:
            return time.monotonic()

    health = Health()
    loop, plain = Foreign(), asyncio.new_event_loop()
    try:
        assert health.states(loop) is health.states(plain)
    finally:
        loop.close()
        plain.close()


def test_ten_retries_then_a_tenth_for_each_answer() -> None:
    """In a long outage retries stay a small share of the traffic."""
    budget = RetryBudget()
    budget.give_back()

    taken = [budget.take() for _ in range(11)]
    for _ in range(10):
        budget.give_back()

    assert taken == [True] * 10 + [False]
    assert (budget.take(), budget.take()) == (True, False)


def test_a_process_forked_while_the_lock_is_held_does_not_hang() -> None:
    """The thread that would release the lock does not exist in the child."""
    code = exit_code_of_child([LOCK], _trip_a_link)

    assert code == 0


def _trip_a_link() -> None:
    Health().trip("a", for_ms=1)


def test_the_collector_may_run_under_the_lock() -> None:
    """A lost call that is closed there hands its probe back, from inside."""
    states = links()
    fail(states, 0.0, times=3)
    probe = states.claim("a", 10.0)

    with LOCK.held:
        states.said_nothing(probe)

    assert states.claim("a", 10.0).probe


def test_a_platform_without_fork_has_a_lock_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows cannot fork."""
    monkeypatch.delattr("os.register_at_fork", raising=False)

    with Lock().held:
        pass
