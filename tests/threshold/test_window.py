"""The windows of attempts that everything is learned from."""

from __future__ import annotations

import math
import random
import tracemalloc

import pytest

from routeware.threshold import LinkHistory, Observation, Window


@pytest.mark.parametrize(("window", "kept"), [(LinkHistory("a").as_primary, 600), (LinkHistory("a").as_backup, 400)])
def test_a_window_remembers_the_latest_attempts(window: Window, kept: int) -> None:
    """Memory is bounded, and what was long ago is forgotten. Backups are rarer."""
    for call in range(1500):
        window.add(float(call), Observation.ANSWERED, now=float(call))

    assert len(window) == kept
    assert window.curve().quantile(0.001) == 1500.0 - kept
    assert [elapsed_s for elapsed_s, _, _ in window.latest(3)] == [1499.0, 1498.0, 1497.0]


def test_failures_are_a_share_and_no_latency() -> None:
    """An error that comes at once must not look like a quick answer."""
    window = Window()
    window.add(0.01, Observation.FAILED, now=1.0)
    for _ in range(3):
        window.add(2.0, Observation.ANSWERED, now=1.0)

    assert window.failed_share == 0.25
    assert window.curve().beyond(1.0) == 1.0


def test_a_window_forgets_by_age_and_by_number() -> None:
    """Failures that are forgotten count no more."""
    window = Window()
    for now in range(10):
        window.add(1.0, Observation.FAILED if now < 5 else Observation.ANSWERED, now=float(now))

    window.forget_before(3.0)
    assert (len(window), window.failed_share) == (7, pytest.approx(2 / 7))

    window.keep_latest(4)
    assert (len(window), window.failed_share) == (4, 0.0)
    assert window.curve(2).beyond(0.5) == 1.0


def test_what_is_forgotten_by_age_may_keep_the_latest() -> None:
    """A function that is called six times an hour would otherwise know nothing of its backup."""
    window = Window()
    for now in range(10):
        window.add(1.0, Observation.ANSWERED, now=float(now))

    window.forget_before(100.0, but=4)
    assert len(window) == 4

    window.forget_before(100.0, but=4)
    assert len(window) == 4


def test_forgetting_keeps_the_order_of_time_in_a_full_window() -> None:
    """The window is a ring: its oldest attempt may lie anywhere in it."""
    window = Window(kept=5)
    for call in range(8):
        window.add(float(call), Observation.ANSWERED, now=float(call), size=float(call))

    window.keep_latest(3)
    window.add(8.0, Observation.CENSORED, now=8.0, size=None)

    assert [(lasted, size) for lasted, _, size in window.latest(9)] == [(8.0, None), (7.0, 7.0), (6.0, 6.0), (5.0, 5.0)]
    assert window.censored == 1


def test_sizes_are_remembered_with_their_attempts() -> None:
    """Numbers, then texts, and unknown ones among them."""
    window = Window(kept=4)
    for size in (10.0, None, "long", 12.0, "short", None):
        window.add(1.0, Observation.ANSWERED, now=0.0, size=size)

    assert [size for _, _, size in window.latest(9)] == [None, "short", 12.0, "long"]

    window.keep_latest(2)
    assert window.sizes == ["short", None]


def test_a_functions_windows_are_small() -> None:
    """A service may decorate hundreds of functions: 64 kB each at most, in an outage too."""
    drawn = random.Random(1)
    tracemalloc.start()
    links = [LinkHistory("a"), LinkHistory("b")]
    for call in range(2000):
        for link in links:
            for window in (link.as_primary, link.as_backup):
                window.add(drawn.random(), Observation.ANSWERED, now=float(call), size=drawn.random())
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert not math.isnan(held)
    assert held < 60_000
