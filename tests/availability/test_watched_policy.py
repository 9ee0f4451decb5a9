"""A policy file that changes while calls are made: the last good policy stays in force."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from routeware import Attempt, PolicyError, RoutingPolicy, routed
from tests.fakes.providers import pause

FIRST = 'chain = ["a:m"]\n'
SECOND = 'chain = ["b:m", "c:m"]\nlabel = "second"\n'


def remove(path: Path) -> None:
    """Take the file away, if it is there."""
    path.unlink(missing_ok=True)


def overwrite(path: Path, text: str, moment: os.stat_result) -> None:
    """Write into the file itself, a nanosecond after ``moment`` by its clock."""
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(moment.st_atime_ns, moment.st_mtime_ns + 1))


def write(path: Path, text: str) -> None:
    """Replace a file as deployments do: written beside it, then renamed over it."""
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with the first policy."""
    write(tmp_path / "policy.toml", FIRST)
    return tmp_path / "policy.toml"


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """The log lines about the file: level and text."""
    return [(record.levelname, record.getMessage()) for record in caplog.records if "policy file" in record.msg]


async def test_a_new_policy_is_in_force_at_the_next_look(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """At most every ``every_ms``, on the loop's clock; the log says what is in force now."""
    caplog.set_level(logging.INFO, "routeware")
    policy = RoutingPolicy.watch_toml(path, every_ms=500)
    before = policy()

    write(path, SECOND)
    await pause(499)
    assert policy() is before
    await pause(1)
    assert policy().label == "second"

    assert lines(caplog) == [("INFO", f"policy file {path}: second, along b:m, c:m is in force now")]


async def test_a_file_that_changed_without_changing_the_policy_gives_the_same_object(path: Path) -> None:
    """What was prepared for it is found again."""
    policy = RoutingPolicy.watch_toml(path)
    before = policy()

    write(path, f"# a comment\n{FIRST}")
    await pause(1_000)

    assert policy() is before


@pytest.mark.parametrize("wrong", ["chain = [", "chain = []\n", 'chain = ["a:m"]\nunknown = 1\n', "", None])
async def test_a_file_that_is_wrong_or_gone_leaves_the_last_good_policy(
    path: Path, wrong: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once, at WARNING, with the file and what is wrong; and once more when it is right again."""
    caplog.set_level(logging.INFO, "routeware")
    policy = RoutingPolicy.watch_toml(path)
    before = policy()

    for _ in range(3):
        if wrong is None:
            remove(path)
        else:
            write(path, wrong)
        await pause(1_000)
        assert policy() is before
    ((level, text),) = lines(caplog)
    assert level == "WARNING"
    assert str(path) in text

    write(path, FIRST)
    await pause(1_000)
    assert policy() is before
    assert lines(caplog)[1:] == [("INFO", f"policy file {path} is right again: routing_policy(chain=1), along a:m")]
    write(path, SECOND)
    await pause(1_000)
    assert policy().label == "second"


async def test_a_file_that_is_half_written_with_the_same_size_is_read_again(path: Path) -> None:
    """Time, size and inode may all be as they were when the rest arrives within one tick of the file's clock."""
    policy = RoutingPolicy.watch_toml(path)
    moment = os.stat(path)  # noqa: PTH116 - a path's own method would block the loop no less
    overwrite(path, "chain = [broken", moment)
    await pause(1_000)
    policy()

    overwrite(path, 'chain=["b:c"] #', moment)
    await pause(1_000)

    assert policy().chain[0].label == "b:c"


async def test_a_new_policy_with_an_unpriced_link_under_a_cap_counts_as_wrong(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the decorated function knows its prices; calls go on with the policy from before."""
    caplog.set_level(logging.INFO, "routeware")
    labels: list[str] = []

    @routed(RoutingPolicy.watch_toml(path), prices={})
    async def ask(attempt: Attempt) -> None:
        labels.append(attempt.label)

    await ask()
    write(path, 'chain = ["b:m"]\n[budget]\nper_call_usd = 1\n')
    await pause(1_000)
    await ask()
    await pause(1_000)
    await ask()

    assert labels == ["a:m", "a:m", "a:m"]
    assert [level for level, _ in lines(caplog)].count("WARNING") == 1


async def test_another_policy_that_cannot_be_followed_is_still_an_error() -> None:
    """A policy function of one's own has no policy from before."""

    @routed(lambda: RoutingPolicy(chain=["a:b"], budget={"per_call_usd": 1}), prices={})
    async def ask(attempt: Attempt) -> None:
        """Never called."""

    with pytest.raises(PolicyError, match="the price of a:b is unknown"):
        await ask()


async def test_a_first_policy_that_cannot_be_followed_is_an_error(path: Path) -> None:
    """There is none to go back to."""
    write(path, 'chain = ["b:m"]\n[budget]\nper_call_usd = 1\n')

    @routed(RoutingPolicy.watch_toml(path), prices={})
    async def ask(attempt: Attempt) -> None:
        """Never called."""

    with pytest.raises(PolicyError, match="the price of b:m is unknown"):
        await ask()


def test_outside_of_a_loop_the_process_clock_counts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script may ask for its policy before it starts a loop."""
    now = [5.0]
    monkeypatch.setattr("routeware.policy.files.time.monotonic", lambda: now[0])
    policy = RoutingPolicy.watch_toml(path, table=None)

    write(path, SECOND)
    now[0] = 6.0

    assert policy().label == "second"


def test_a_clock_that_goes_back_is_another_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop of a test's own begins at 0, and must not wait until it catches up with the machine."""
    now = [5_000.0]
    monkeypatch.setattr("routeware.policy.files.time.monotonic", lambda: now[0])
    policy = RoutingPolicy.watch_toml(path)

    write(path, SECOND)
    now[0] = 0.0

    assert policy().label == "second"


def test_a_first_read_that_fails_raises_as_from_toml(tmp_path: Path) -> None:
    """A service does not start without a policy."""
    with pytest.raises(FileNotFoundError):
        RoutingPolicy.watch_toml(tmp_path / "none.toml")
    write(tmp_path / "wrong.toml", "chain = 5")
    with pytest.raises(PolicyError):
        RoutingPolicy.watch_toml(tmp_path / "wrong.toml")


@pytest.mark.parametrize("every_ms", [0, -1, True, "1"])
def test_how_often_is_a_number_above_zero(path: Path, every_ms: object) -> None:
    """As any time in a policy."""
    with pytest.raises(PolicyError, match="every_ms"):
        RoutingPolicy.watch_toml(path, every_ms=every_ms)  # type: ignore[arg-type]


def test_a_table_of_a_larger_file(tmp_path: Path) -> None:
    """As for ``from_toml``."""
    write(tmp_path / "service.toml", f"[shop.routing]\n{FIRST}")

    assert RoutingPolicy.watch_toml(tmp_path / "service.toml", table="shop.routing")().chain[0].label == "a:m"
