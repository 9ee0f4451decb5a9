"""What the script in Redis changes, it changes as a whole: keys that are not its own, neighbours, commands it lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from routeware import BudgetExceededError, LedgerUnavailableError, PolicyError
from routeware.budget import Balance, Tally
from routeware.contrib.redis import RedisLedger
from routeware.testing.ledgers import an_id, fresh
from tests.real.ledgers.proxy import Proxy
from tests.real.ledgers.servers import RedisServer
from tests.real.ledgers.waiting import comes_to

DOCS = Path(__file__).parents[3] / "docs" / "ledgers.md"


def prefix() -> str:
    """Keys that no other test sees."""
    return f"test-{uuid4().hex}"


@pytest.mark.parametrize(
    "spoil", ["SET {key} text", "RPUSH {key} a", "HSET {key} settled 1.5", "HSET {key} reserved x"]
)
async def test_a_key_that_is_no_tally_leaves_the_other_tallies_alone(redis: RedisServer, spoil: str) -> None:
    """All keys are read and checked before any is written: money is in all tallies of a call, or in none."""
    name = prefix()
    async with RedisLedger(redis.url, prefix=name) as ledger:
        good, bad = fresh(100), fresh(100)
        await ledger.tally(good)
        redis.tell(spoil.format(key=f"{{{name}}}:tally:{bad.name}"))
        for asking in (
            ledger.hold(an_id(), [good, bad], 10),
            ledger.settle(an_id(), [good, bad], 10, 5),
            ledger.tally(bad),
            ledger.set_limit(bad),
            ledger.release_uncertain(bad.name),
        ):
            with pytest.raises(LedgerUnavailableError):
                await asking

        assert await ledger.tally(good) == Balance()
        assert list(await ledger.hold(an_id(), [good], 10)) == [Balance(reserved=10)]


async def test_a_sum_without_room_leaves_the_other_tallies_alone(redis: RedisServer) -> None:
    """The server's numbers end at 2^63."""
    async with RedisLedger(redis.url, prefix=prefix()) as ledger:
        good, full = fresh(), fresh()
        large, id = 2**62 - 1, an_id()
        await ledger.settle(an_id(), [full], large, 0)
        await ledger.settle(an_id(), [full], large // 2, 0)
        await ledger.hold(id, [full], large)
        for asking in (
            ledger.settle(an_id(), [good, full], large, 0),
            ledger.settle(id, [good, full], large, 0),
            ledger.hold(an_id(), [good, full], large),
            ledger.hold(an_id(), [good, full], large),
        ):
            with pytest.raises(OverflowError):
                await asking

        assert await ledger.tally(good) == Balance()
        assert await ledger.tally(full) == Balance(large + large // 2, 0, large)


async def test_a_history_that_is_none_keeps_a_limit_from_changing(redis: RedisServer) -> None:
    """A change that cannot be written down is not made."""
    name = prefix()
    async with RedisLedger(redis.url, prefix=name) as ledger:
        tally = fresh(100)
        await ledger.tally(tally)
        await ledger.settle(an_id(), [tally], 0, 5)
        redis.tell(f"SET {{{name}}}:history:{tally.name} text")
        for asking in (ledger.set_limit(Tally(tally.name, 5)), ledger.release_uncertain(tally.name)):
            with pytest.raises(LedgerUnavailableError):
                await asking

        assert await ledger.tally(tally) == Balance(uncertain=5)


async def test_a_lease_on_a_key_that_is_no_tally_any_more_stops_nobody(redis: RedisServer) -> None:
    """It ends like any other, and there is nothing to give back."""
    name = prefix()
    async with RedisLedger(redis.url, prefix=name, lease_s=0.2) as gone, RedisLedger(redis.url, prefix=name) as ledger:
        spoilt, good = fresh(100), fresh(100)
        await gone.hold(an_id(), [spoilt], 10)
        await gone.hold(an_id(), [good], 10)
        await gone.leases.stop()
        redis.tell(f"SET {{{name}}}:tally:{spoilt.name} text")

        await comes_to(ledger, good, Balance(uncertain=10))
        assert redis.tell(f"ZCARD {{{name}}}:leases") == ":0\r\n"


async def test_a_question_that_fails_does_not_harm_those_that_travel_with_it(redis: RedisServer) -> None:
    """What is asked in one turn of the loop is one request: each of its questions has its own answer."""
    name = prefix()
    async with Proxy(redis.port) as proxy, RedisLedger(proxy.url, prefix=name) as ledger:
        good, full, bad = fresh(100), fresh(5), fresh()
        await ledger.tally(good)
        redis.tell(f"SET {{{name}}}:tally:{bad.name} text")
        before = proxy.replies
        held, refused, failed, other = await asyncio.gather(
            ledger.hold(an_id(), [good], 10),
            ledger.hold(an_id(), [full], 10),
            ledger.hold(an_id(), [bad], 10),
            ledger.tally(Tally(good.name, 7)),
            return_exceptions=True,
        )

        assert proxy.replies == before + 1
        assert held == [Balance(reserved=10)]
        assert isinstance(refused, BudgetExceededError)
        assert isinstance(failed, LedgerUnavailableError)
        assert isinstance(other, PolicyError)


async def test_more_than_a_request_carries_is_asked_all_the_same(redis: RedisServer) -> None:
    """In several requests, and every answer belongs to its question."""
    async with Proxy(redis.port) as proxy, RedisLedger(proxy.url, prefix=prefix(), connections=2) as ledger:
        tallies = [fresh() for _ in range(700)]
        told = await asyncio.gather(*(ledger.settle(an_id(), [t], n, 0) for n, t in enumerate(tallies)))

        assert [balances[0].settled for balances in told] == list(range(700))
        assert proxy.replies <= 4


def documented_rules() -> str:
    """The rules of the user that docs/ledgers.md shows."""
    (line,) = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("ACL SETUSER")]
    return line.partition("routeware ")[2]


@pytest.fixture
def user(redis: RedisServer) -> Iterator[str]:
    """A user with the rules of the docs, and no right besides."""
    name = f"user-{uuid4().hex}"
    rules = documented_rules().replace(">the-password", ">s3cr3t-pw").replace("{routeware}", f"{{{name}}}")
    assert redis.tell(f"ACL SETUSER {name} {rules}") == "+OK\r\n"
    yield name
    redis.tell(f"ACL DELUSER {name}")


async def test_the_documented_rules_are_enough(redis: RedisServer, user: str) -> None:
    """For all that a ledger does, the command line included."""
    url = redis.url.replace("//", f"//{user}:s3cr3t-pw@")
    async with RedisLedger(url, prefix=user, expire_s=60, lease_s=0.2) as ledger:
        tally, id = fresh(100), an_id()
        await ledger.tally(tally)
        await ledger.hold(id, [tally, fresh()], 10)
        await ledger._renew([id])
        await ledger.settle(id, [tally, fresh()], 5, 5)
        await ledger.hold(an_id(), [tally], 10)
        await ledger.leases.stop()
        await comes_to(ledger, tally, Balance(5, 15, 0))
        await ledger.set_limit(Tally(tally.name, 200))
        await ledger.release_uncertain(tally.name)

        assert len(await ledger.kept()) == 2
        assert len(await ledger.history(tally.name)) == 2


@pytest.mark.parametrize("missing", ["hincrby", "zadd", "pexpire", "set", "rpush"])
async def test_a_user_who_may_not_do_all_of_it_changes_nothing(redis: RedisServer, user: str, missing: str) -> None:
    """Redis would stop the script in the middle. The first request asks for every right, and the error names them."""
    if "redis_version:6" in redis.tell("INFO server"):
        pytest.skip("a script cannot ask for its rights before Redis 7")
    redis.tell(f"ACL SETUSER {user} -{missing}")
    url = redis.url.replace("//", f"//{user}:s3cr3t-pw@")
    async with RedisLedger(url, prefix=user, expire_s=60) as ledger, RedisLedger(redis.url, prefix=user) as looking:
        tally = fresh(100)
        for _ in range(2):
            with pytest.raises(LedgerUnavailableError, match=missing.upper()):
                await ledger.hold(an_id(), [tally], 10)
        assert await looking.kept() == []

        redis.tell(f"ACL SETUSER {user} +{missing}")
        assert list(await ledger.hold(an_id(), [tally], 10)) == [Balance(reserved=10)]


async def test_a_user_without_the_keys_changes_nothing(redis: RedisServer, user: str) -> None:
    """A ledger with a prefix that the user may not touch."""
    url = redis.url.replace("//", f"//{user}:s3cr3t-pw@")
    async with RedisLedger(url, prefix=f"{user}-2") as ledger:
        with pytest.raises(LedgerUnavailableError) as raised:
            await ledger.hold(an_id(), [fresh()], 10)
    assert "s3cr3t" not in str(raised.value)


async def test_a_wrong_password_is_said_at_once_and_not_repeated(redis: RedisServer, user: str) -> None:
    """By the server's words; the password is in no error, cause or context."""
    async with RedisLedger(redis.url.replace("//", f"//{user}:wr0ng-pw@"), prefix=user) as ledger:
        with pytest.raises(LedgerUnavailableError) as raised:
            await ledger.tally(fresh())
    error: BaseException | None = raised.value
    while error is not None:
        assert "wr0ng" not in str(error)
        error = error.__cause__ or error.__context__
    assert "could not be asked" in str(raised.value)


@pytest.mark.parametrize("url", ["", "localhost", "http://:s3cr3t-pw@h", "redis://:s3cr3t-pw/x@h", "redis://h:99999"])
def test_what_is_no_url_is_refused_without_being_repeated(url: str) -> None:
    """When the ledger is made, and without redis-py."""
    with pytest.raises(PolicyError) as raised:
        RedisLedger(url)
    assert raised.value.key == "url"
    assert "s3cr3t" not in repr(raised.value)
    assert raised.value.__cause__ is raised.value.__context__ is None


async def test_a_url_that_redis_py_cannot_read_is_refused_without_being_repeated() -> None:
    """When it is first used."""
    async with RedisLedger("redis://:s3cr3t-pw@h?socket_timeout=soon") as ledger:
        with pytest.raises(PolicyError) as raised:
            await ledger.tally(fresh())
    assert raised.value.key == "url"
    assert "s3cr3t" not in repr(raised.value)
