"""A policy, prepared: what every call under it would work out again is worked out once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from routeware.classify import (
    ErrorSnapshot,
    classify,
    eligible,
    error_in_reply,
    failed_over_by_status,
    snapshot_from_hook,
    statuses_taken,
)
from routeware.engine.registrations import LinkStats, Registrations
from routeware.errors import PolicyError, ResultRejectedError
from routeware.health import CooldownRule, Health, note_policy
from routeware.locks import Lock
from routeware.money import Price, Tariff, Usage, amount_usd, meter, nanos, per_request, plain_meter, unpriced_by
from routeware.observers import FOREIGN, Failure
from routeware.policy import FailoverRules, Link, RoutingPolicy, spread_places
from routeware.pricing import PriceBook, tariff_of
from routeware.telemetry import EventLog, LinkSpans, Metrics, Tracing

__all__ = ["DEFAULT_TIMEOUT_MS", "PreparedLink", "PreparedPolicy", "bare_link"]

logger = logging.getLogger("routeware")

DEFAULT_TIMEOUT_MS = 120_000.0
"""The time-out of an attempt after which another may follow, where nothing else is set."""

_PREPARING = Lock()


class PreparedLink:
    """One link of a policy, ready to be tried.

    Attributes:
        link: the link.
        tariff: its price; ``None`` where that is unknown.
        cost: what a usage costs here now, in nano-dollars; ``None`` where that is unknown.
        plain_cost: the same for input and output alone; ``None`` where no plain price is known.
        unpriced: which counts of a usage have no price now.
        is_flat: True if an answer costs the same whatever its size, so that its size need not be guessed.
        timeout_s: its own time-out, or the policy's for all links; ``None`` where neither is set.
        followed_timeout_s: the same where another attempt may follow: 120 s where neither is set.
        idle_timeout_s: how long a stream's reader waits for an item after the first; ``None`` without a bound.
        stats: what was learned of it.
        label: the link's label.
        spans: what the spans of its attempts have in common.
    """

    __slots__ = (
        "cost",
        "followed_timeout_s",
        "idle_timeout_s",
        "is_flat",
        "label",
        "link",
        "plain_cost",
        "spans",
        "stats",
        "tariff",
        "timeout_s",
        "unpriced",
    )

    def __init__(
        self,
        link: Link,
        tariff: Tariff | None,
        timeout_ms: float | None,
        stats: LinkStats,
        spans: LinkSpans,
        idle_timeout_ms: float | None = None,
    ) -> None:
        self.link = link
        self.label = link.label
        self.tariff = tariff
        self.cost = _meter(tariff)
        self.plain_cost = plain_meter(tariff) if isinstance(tariff, Price) else None
        self.unpriced = _gaps(tariff)
        self.is_flat = isinstance(tariff, Price) and per_request(tariff)
        self.timeout_s = _seconds(timeout_ms)
        self.followed_timeout_s = (DEFAULT_TIMEOUT_MS if timeout_ms is None else timeout_ms) / 1000
        self.idle_timeout_s = _seconds(link.idle_timeout_ms if link.idle_timeout_ms is not None else idle_timeout_ms)
        self.stats = stats
        self.spans = spans

    @property
    def price(self) -> Price | None:
        """The plain price in force now, for the record."""
        tariff = self.tariff
        if tariff is None or isinstance(tariff, Price):
            return tariff
        try:
            return tariff.price(datetime.now(UTC))
        except FOREIGN as error:  # an answer must not be lost to a price list
            _warn_broken(error)
            return None


def bare_link(link: Link) -> PreparedLink:
    """Prepare ``link`` without a policy around it: for an attempt that is made by hand."""
    return PreparedLink(link, link.price, link.timeout_ms, LinkStats(), ("", {}, {}, {}))


def _meter(tariff: Tariff | None) -> Callable[[Usage], int | None]:
    if tariff is None:
        return lambda _usage: None
    if isinstance(tariff, Price):
        return meter(tariff)

    def cost(usage: Usage) -> int | None:
        try:
            amount = tariff.cost_usd(usage, datetime.now(UTC))
            return None if amount is None else nanos(amount_usd(amount, "tariff"))
        except FOREIGN as error:  # foreign code: what it cost is unknown then
            _warn_broken(error)
            return None

    return cost


def _gaps(tariff: Tariff | None) -> Callable[[Usage], tuple[str, ...]]:
    if tariff is None:
        return lambda _usage: ()
    if isinstance(tariff, Price):
        return tariff.unpriced

    def unpriced(usage: Usage) -> tuple[str, ...]:
        try:
            return unpriced_by(tariff, usage, datetime.now(UTC))
        except FOREIGN as error:  # foreign code: its mistake must not lose the answer
            _warn_broken(error)
            return ()

    return unpriced


def _warn_broken(error: BaseException) -> None:
    logger.warning("a tariff could not be read (%s): the cost is unknown", type(error).__qualname__)


class PreparedPolicy:
    """One policy for one decorated function. Its settings stay in ``policy``; here is what is made of them.

    Attributes:
        policy: what it was made from.
        registrations: those of the decorated function.
        tracing: what makes its spans.
        metrics: what makes its meters.
        log: what logs its events.
        max_attempts: how many attempts one call may start, in all its rounds.
        most_attempts: how many attempts one round through the chain may start.
        links: the chain, prepared; empty until :meth:`ask_prices` was called.
        learner: finds the race threshold of each call; ``None`` where the policy has no target.
        race_after_s: the fixed race threshold; ``None`` where no race can happen.
        deadline_s: the time that a whole call has; ``None`` without a bound.
        health: which links keep failing; ``None`` without cooldown.
        cooldown: how long they are passed over; ``None`` without cooldown.
        retries: further rounds through the chain.
        retry_budget: what these rounds are taken from.
        is_elaborate: True if it sets a call more than a chain: cooldown, further rounds, drawn links, a latency target.
        spreads: the places of the chain whose links are drawn, as (first, after the last).
        spread_key: whose order these links have; ``None`` draws it at each call.
        per_call_cap: the cap on one call, in nano-dollars.
        session_cap: the cap on the innermost session, in nano-dollars.
        is_capped: True if there is one or the other.
        span_attributes: what the call's span starts with.

    Raises:
        PolicyError: a cap stands in the policy, and a link has no price.
    """

    __slots__ = (
        "_prices",
        "_statuses",
        "_unpriced",
        "cooldown",
        "deadline_s",
        "health",
        "is_capped",
        "is_elaborate",
        "learner",
        "links",
        "log",
        "max_attempts",
        "metrics",
        "most_attempts",
        "per_call_cap",
        "policy",
        "race_after_s",
        "registrations",
        "retries",
        "retry_budget",
        "session_cap",
        "span_attributes",
        "spread_key",
        "spreads",
        "tracing",
    )

    def __init__(
        self,
        policy: RoutingPolicy,
        registrations: Registrations,
        tracing: Tracing,
        metrics: Metrics,
        prices: PriceBook,
        *,
        health: Health | None,
        spread_key: str | None,
    ) -> None:
        self.policy = policy
        self.tracing = tracing
        self.metrics = metrics
        self.log = EventLog(policy, tracing.broken)
        self.max_attempts = policy.max_attempts  # a property of the policy, which reads the whole chain
        self.most_attempts = min(self.max_attempts, len(policy.chain))  # in each round every link is tried at most once
        # Where there is no second attempt there is no race.
        self.race_after_s = _seconds(policy.latency.race_after_ms) if self.max_attempts > 1 else None
        self.deadline_s = _seconds(policy.latency.deadline_ms)
        failover = policy.failover
        self.cooldown = _cooldown(failover)
        self.health = None if self.cooldown is None else health
        if health is not None:
            note_policy(health, (link.label for link in policy.chain), cools=self.cooldown is not None)
        self.retries = failover.retries
        # A view without health of its own still shares the function's budget of retries.
        self.retry_budget = (registrations.health if health is None else health).retries
        self.spreads = spread_places(policy.chain)
        self.spread_key = spread_key
        self.learner = registrations.learner(policy)
        self.is_elaborate = bool(self.health is not None or self.learner is not None or self.retries or self.spreads)
        self.per_call_cap = _nanos(policy.budget.per_call_usd)
        self.session_cap = _nanos(policy.budget.session_usd)
        self.is_capped = policy.budget.capped
        self.span_attributes = tracing.call_attributes(policy)
        self._statuses = statuses_taken(policy.failover)
        self.registrations = registrations
        self._prices = prices
        self.links: tuple[PreparedLink, ...] = ()
        self._unpriced: tuple[str, ...] = ()
        if self.is_capped:
            self.ask_prices()  # now, so that a missing one is reported when the function is decorated
            self.refuse_unpriced("the policy's budget")

    def ask_prices(self) -> tuple[PreparedLink, ...]:
        """Prepare the chain. What the price book raises comes out here, before anything is called."""
        policy = self.policy
        links = tuple(
            PreparedLink(
                link,
                tariff_of(link.price, link.provider, link.model, self._prices),
                policy.failover.on_timeout_ms if link.timeout_ms is None else link.timeout_ms,
                self.registrations.stats(link),
                self.tracing.link_spans(link),
                policy.failover.idle_timeout_ms,
            )
            for link in policy.chain
        )
        with _PREPARING.held:
            if not self.links:  # another thread's first call may have prepared it meanwhile: all calls see one chain
                self._unpriced = tuple(one.link.label for one in links if one.tariff is None)
                self.links = links
            return self.links

    def refuse_unpriced(self, whose: str) -> None:
        """Refuse links without a price under a cap: their possible cost is unknown.

        Raises:
            PolicyError: there is one, and the policy does not allow it.
        """
        if self._unpriced and not self.policy.budget.allow_unpriced:
            index = [one.link.label for one in self.links].index(self._unpriced[0])
            raise PolicyError(
                f"the price of {self._unpriced[0]} is unknown, and {whose} caps spending: give the link a price (or"
                " routed(prices=...)), or set budget.allow_unpriced",
                key=f"chain[{index}].price",
            )

    def judge(self, error: BaseException, reply: object = None) -> Failure:
        """Say what ``error`` means for a call.

        Most errors that a chain fails over on carry a status that decides it, and that they were not billed. They are
        classified in full only when a record, a span or a log line asks.

        Args:
            error: what the attempt ended with.
            reply: what its function reported last, if anything. Where that is an error that came under 200, it tells
                what the function stumbled over.
        """
        if self.registrations.classify is None and failed_over_by_status(error, self._statuses):
            return Failure(error, self.classified, True, True)  # by name they take three times as long
        snapshot, by_hook = self._classify(error, reply)
        fails_over = eligible(snapshot, self.policy.failover, by_hook=by_hook)
        return Failure(error, self.classified, fails_over, not snapshot.may_have_cost, snapshot)

    def classified(self, error: BaseException) -> ErrorSnapshot:
        """Classify ``error`` in full."""
        return self._classify(error)[0]

    def _classify(self, error: BaseException, reply: object = None) -> tuple[ErrorSnapshot, bool]:
        hook, with_text = self.registrations.classify, self.policy.observe.error_messages
        reported = None if reply is None else error_in_reply(reply)
        if hook is not None and not isinstance(error, ResultRejectedError | asyncio.CancelledError):
            try:
                answer = hook(error)
                return snapshot_from_hook(answer, error, with_text=with_text, reported=reported), answer is not None
            except FOREIGN as failure:  # it must not hide the provider's
                logger.warning("the classify hook failed (%s): classified without it", type(failure).__qualname__)
        return classify(error, with_text=with_text, reported=reported), False


def _cooldown(rules: FailoverRules) -> CooldownRule | None:
    if rules.cooldown_ms is None:
        return None
    return CooldownRule(rules.cooldown_ms / 1000, rules.cooldown_after, rules.cooldown_max_ms / 1000)


def _seconds(amount_ms: float | None) -> float | None:
    return None if amount_ms is None else amount_ms / 1000


def _nanos(amount_usd: float | None) -> int | None:
    return None if amount_usd is None else nanos(amount_usd)
