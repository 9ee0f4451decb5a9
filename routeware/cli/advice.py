"""Likely mistakes in a valid policy: pure, one function for each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator

import attrs

from routeware.cli.screen import dollars, milliseconds
from routeware.engine.prepared import DEFAULT_TIMEOUT_MS
from routeware.money import MOST_COUNT, plain_usage
from routeware.policy import LatencyRules, Link, OnExceed, RoutingPolicy

__all__ = ["Finding", "attempt_timeouts", "findings"]

_SDKS = {
    "openai": ("openai", "azure", "azure.ai.openai", "azure.ai.inference", "deepseek", "openrouter", "x_ai", "xai"),
    "anthropic": ("anthropic", "claude"),
    "google-genai": ("google", "gemini", "gcp.gemini", "gcp.gen_ai", "gcp.vertex_ai", "vertex_ai", "google-vertex"),
    "mistralai": ("mistral", "mistral_ai", "mistralai"),
    "cohere": ("cohere",),
    "groq": ("groq",),
    "ollama": ("ollama",),
    "botocore": ("bedrock", "aws", "aws.bedrock", "amazon_bedrock"),
}
_SDK_OF = {provider: sdk for sdk, providers in _SDKS.items() for provider in providers}

# Shorter times are probably mistakes: no model answers within the last of them.
_SHORTEST_WAIT_MS = 5
_SHORTEST_TIMEOUT_MS = 50
_SHORTEST_ANSWER_MS = 200

# Waited in every call while a provider hangs, this is felt.
_LONG_TIMEOUT_MS = 5_000

_OTHERS_FAULT = {"default", "any"}


@attrs.frozen
class Finding:
    """A surprise: the setting that it comes from, and what happens."""

    key: str
    text: str


def attempt_timeouts(policy: RoutingPolicy) -> list[float | None]:
    """Return how long an attempt at each link really has, where none before it was skipped; ``None`` is without end."""
    bounds = ((_timeout(policy, place), policy.latency.deadline_ms) for place in range(len(policy.chain)))
    return [min((bound for bound in pair if bound is not None), default=None) for pair in bounds]


def _timeout(policy: RoutingPolicy, place: int) -> float | None:
    """Return the link's own bound, leaving the deadline aside."""
    for given in (policy.chain[place].timeout_ms, policy.failover.on_timeout_ms):
        if given is not None:
            return given
    return DEFAULT_TIMEOUT_MS if place + 1 < policy.max_attempts else None


def findings(policy: RoutingPolicy) -> list[Finding]:
    """Return everything that may surprise, the chain first."""
    return [finding for check in _CHECKS for finding in check(policy)]


def _same_twice(policy: RoutingPolicy) -> Iterator[Finding]:
    places = Counter((link.provider, link.model) for link in policy.chain)
    for (provider, model), count in places.items():
        if count > 1:
            text = f"{provider}:{model} is listed {count} times: after a failure it is retried without a pause"
            yield Finding("chain", text)
    models = {(link.provider, link.model, link.label) for link in policy.chain}
    for label, count in Counter(label for _, _, label in models).items():
        if count > 1:
            yield Finding("chain", f"{count} different links are called {label!r}: traces cannot tell them apart")


def _nowhere_to_go(policy: RoutingPolicy) -> Iterator[Finding]:
    if len(policy.chain) == 1 and (_races(policy) or _has_rules(policy)):
        yield Finding("chain", "there is one link, so nothing to race with or to fail over to")


def _attempts(policy: RoutingPolicy) -> Iterator[Finding]:
    wanted, count = policy.failover.max_attempts, policy.max_attempts
    if count < len(policy.chain):
        unless = " unless earlier ones are skipped" if policy.budget.on_exceed is OnExceed.SKIP else ""
        yield Finding("failover.max_attempts", f"at {count}, links after number {count} are never tried{unless}")
    if wanted is not None and wanted > count:
        rounds = f" in each of {1 + policy.failover.retries} rounds" if policy.failover.retries else ""
        text = f"{wanted} attempts, but each of the {len(policy.chain)} links is tried at most once{rounds}"
        yield Finding("failover.max_attempts", text)


def _hanging_link(policy: RoutingPolicy) -> Iterator[Finding]:
    if len(policy.chain) == 1 or policy.max_attempts == 1 or _races(policy) or policy.failover.cooldown_ms is not None:
        return
    waits = attempt_timeouts(policy)[: min(len(policy.chain), policy.max_attempts) - 1]
    longest_ms = max((math.inf if wait is None else wait for wait in waits), default=0.0)
    if longest_ms >= _LONG_TIMEOUT_MS:
        text = f"not set, so while a link hangs every call waits {milliseconds(longest_ms)} for it first"
        yield Finding("failover.cooldown_ms", text)


def _rules_without_default(policy: RoutingPolicy) -> Iterator[Finding]:
    kinds = policy.failover.on_error_kinds
    if len(policy.chain) == 1 or not _has_rules(policy) or not _OTHERS_FAULT.isdisjoint(kinds or ()):
        return
    key = "failover.on_error_kinds" if kinds is not None else "failover.on_status"
    text = 'these rules replace the default ones; add the kind "default" to fail over on ordinary outages as well'
    yield Finding(key, text)


def _own_fault_fails_over(policy: RoutingPolicy) -> Iterator[Finding]:
    if "any" in (policy.failover.on_error_kinds or ()):
        text = '"any" repeats bad requests and refused content at every link, and each may be paid for'
        yield Finding("failover.on_error_kinds", text)
    for status in (400, 422):
        if status in (policy.failover.on_status or ()):
            yield Finding("failover.on_status", f"{status} is the request's own fault, and is repeated at every link")


def _mixed_sdks(policy: RoutingPolicy) -> Iterator[Finding]:
    known = (_sdk(link) for link in policy.chain)
    sdks = list(dict.fromkeys(sdk for sdk in known if sdk is not None))
    if len(sdks) > 1:
        text = f"the SDKs of {' and '.join(sdks)} raise errors of their own; routed(wrap_errors=True) makes them one"
        yield Finding("chain", text)


def _seconds(policy: RoutingPolicy) -> Iterator[Finding]:
    for key, amount, shortest in _times(policy):
        whole = amount == int(amount)
        if 0 < amount < (shortest if whole else max(shortest, 2 * _SHORTEST_TIMEOUT_MS)):
            text = f"{milliseconds(amount)} is very short; if seconds were meant, write {amount * 1000:g}"
            yield Finding(key, text)


def _times(policy: RoutingPolicy) -> Iterator[tuple[str, float, int]]:
    """Give each time that is set, with the shortest that is likely to be meant."""
    latency = policy.latency
    times = [
        ("failover.on_timeout_ms", policy.failover.on_timeout_ms, _SHORTEST_TIMEOUT_MS),
        ("latency.race_after_ms", latency.race_after_ms, _SHORTEST_WAIT_MS),
        ("latency.target_p95_ms", latency.target_p95_ms, _SHORTEST_WAIT_MS),
        ("latency.deadline_ms", latency.deadline_ms, _SHORTEST_TIMEOUT_MS),
    ]
    for place, link in enumerate(policy.chain):
        shortest = _SHORTEST_TIMEOUT_MS if _sdk(link) is None else _SHORTEST_ANSWER_MS
        times.append((f"chain[{place}].timeout_ms", link.timeout_ms, shortest))
    yield from ((key, amount, shortest) for key, amount, shortest in times if amount is not None)


def _race_too_late(policy: RoutingPolicy) -> Iterator[Finding]:
    after = policy.latency.race_after_ms
    if after is None or policy.latency.target_ms is not None:
        return
    if policy.latency.deadline_ms is not None and after >= policy.latency.deadline_ms:
        text = f"no race ever starts: the deadline of {milliseconds(policy.latency.deadline_ms)} comes first"
        yield Finding("latency.race_after_ms", text)
        return
    timeouts = attempt_timeouts(policy)
    for place in range(min(policy.max_attempts - 1, len(policy.chain))):
        timeout = timeouts[place]
        if timeout is not None and after >= timeout:
            text = f"{policy.chain[place].label} is never raced: its time-out of {milliseconds(timeout)} comes first"
            yield Finding("latency.race_after_ms", text)


def _race_at_once(policy: RoutingPolicy) -> Iterator[Finding]:
    if policy.latency.race_after_ms != 0 or policy.max_attempts == 1:
        return
    if policy.latency.target_ms is not None:
        yield Finding("latency.race_after_ms", "0 is the latest start, too: every race for the target starts at once")
    else:
        width = min(policy.latency.race_width, _most_in_flight(policy))
        yield Finding("latency.race_after_ms", f"0 sends every call to {width} links at once, and may pay for all")


def _race_too_wide(policy: RoutingPolicy) -> Iterator[Finding]:
    width = policy.latency.race_width
    most = _most_in_flight(policy)
    if _races(policy) and width > most > 1:
        yield Finding("latency.race_width", f"{width} are never in flight: {most} may be started")
    if policy.latency.target_ms is not None and min(width, most) > 2:
        text = f"at {width}, further links join slow races for the target; max_extra counts the first one only"
        yield Finding("latency.race_width", text)


def _target_too_late(policy: RoutingPolicy) -> Iterator[Finding]:
    target, deadline = policy.latency.target_ms, policy.latency.deadline_ms
    if target is None or policy.max_attempts == 1:
        return
    first, timeout = policy.chain[0], _timeout(policy, 0)
    if deadline is not None and target >= deadline:
        text = f"no call lasts so long: the deadline of {milliseconds(deadline)} comes first"
        yield Finding(_target_key(policy), text)
    elif timeout is not None and target >= timeout:
        text = f"{first.label} is cut off before that, by its time-out of {milliseconds(timeout)}, and counts as late"
        yield Finding(_target_key(policy), text)


def _prior_too_late(policy: RoutingPolicy) -> Iterator[Finding]:
    after, target = policy.latency.race_after_ms, policy.latency.target_ms
    if after is not None and target is not None and after >= target and policy.max_attempts > 1:
        text = "not before the target, so while too little is known a race starts when the call is late already"
        yield Finding("latency.race_after_ms", text)


def _target_without_means(policy: RoutingPolicy) -> Iterator[Finding]:
    latency = policy.latency
    if latency.target_ms is None or policy.max_attempts == 1:
        return
    if latency.max_extra == 0:
        swap = "; all that can change is the order, in an outage" if latency.swap_in_outage else ""
        yield Finding("latency.max_extra", f"0 allows no extra attempt, so nothing races for the target{swap}")
    elif latency.explore >= latency.max_extra:
        text = f"all {latency.max_extra:g} extra attempts a call go into learning, and none into races for the target"
        yield Finding("latency.explore", text)


def _settings_without_effect(policy: RoutingPolicy) -> Iterator[Finding]:
    if not _races(policy) and policy.latency.race_width != LatencyRules().race_width:
        yield Finding("latency.race_width", "nothing races without race_after_ms or target_p95_ms")
    given = policy.to_dict()
    for section, needed, is_set, keys in (
        ("latency", "target_p95_ms", policy.latency.target_ms, ("max_extra", "explore", "swap_in_outage", "by_size")),
        ("failover", "cooldown_ms", policy.failover.cooldown_ms, ("cooldown_after", "cooldown_max_ms")),
        ("failover", "retries", policy.failover.retries or None, ("backoff_ms", "backoff_max_ms")),
    ):
        for key in (key for key in keys if is_set is None and key in given.get(section, {})):
            yield Finding(f"{section}.{key}", f"means nothing without {needed}")
    spreads = [link.spread for link in policy.chain]
    for at, link in enumerate(policy.chain):
        if link.spread is None and link.weight != 1:
            yield Finding(f"chain[{at}].weight", "means nothing without spread")
        elif link.spread is not None and spreads.count(link.spread) == 1:
            yield Finding(f"chain[{at}].spread", f"no other link has {link.spread!r}, so there is no order to draw")


def _no_time_for_failover(policy: RoutingPolicy) -> Iterator[Finding]:
    latency, deadline, first = policy.latency, policy.latency.deadline_ms, policy.chain[0]
    targeted = latency.target_ms is not None
    if deadline is None or policy.max_attempts == 1 or (latency.race_after_ms is not None and not targeted):
        return
    timeout = _timeout(policy, 0)
    if timeout is None or timeout >= deadline:
        # A target that the primary meets alone starts no races.
        when = " in a call that is not raced" if targeted else ""
        text = f"when {first.label} hangs{when}, nothing else is tried: its time-out is not shorter than the deadline"
        yield Finding("latency.deadline_ms", text)


def _caps(policy: RoutingPolicy) -> Iterator[Finding]:
    if not policy.budget.capped:
        return
    if unpriced := [link for link in policy.chain if link.price is None]:
        if policy.budget.allow_unpriced:
            text = f"{_few(unpriced)} has no price here, and counts as nothing under the cap unless prices= knows it"
        else:
            text = f"{_few(unpriced)} has no price here; without one in prices= the function is refused when decorated"
        yield Finding("chain[].price", text)
    if unlimited := [link for link in policy.chain if link.max_output_tokens is None and _pays_for_output(link)]:
        text = f"{_few(unlimited)} has none, so projections assume 1,024 tokens, or the most seen so far"
        yield Finding("chain[].max_output_tokens", text)


def _cap_below_one_answer(policy: RoutingPolicy) -> Iterator[Finding]:
    if policy.budget.on_exceed is OnExceed.WARN:
        return
    for key, cap in (("per_call_usd", policy.budget.per_call_usd), ("session_usd", policy.budget.session_usd)):
        for link in policy.chain:
            if cap is not None and (least := _longest_answer_usd(link)) > cap:
                text = f"{link.label} is never started: its longest answer alone is projected at {dollars(least)}"
                yield Finding(f"budget.{key}", text)


def _exceed_without_cap(policy: RoutingPolicy) -> Iterator[Finding]:
    if policy.budget.on_exceed is OnExceed.WARN and not policy.budget.capped:
        yield Finding("budget.on_exceed", "warn softens only caps that are set in the policy, and there is none")


def _error_texts(policy: RoutingPolicy) -> Iterator[Finding]:
    if policy.observe.error_messages:
        yield Finding("observe.error_messages", "providers quote prompts and keys in the errors that this records")


_CHECKS: tuple[Callable[[RoutingPolicy], Iterator[Finding]], ...] = (
    _same_twice,
    _nowhere_to_go,
    _attempts,
    _rules_without_default,
    _own_fault_fails_over,
    _mixed_sdks,
    _seconds,
    _race_too_late,
    _race_at_once,
    _race_too_wide,
    _target_too_late,
    _prior_too_late,
    _target_without_means,
    _settings_without_effect,
    _no_time_for_failover,
    _hanging_link,
    _caps,
    _cap_below_one_answer,
    _exceed_without_cap,
    _error_texts,
)


def _races(policy: RoutingPolicy) -> bool:
    return policy.latency.race_after_ms is not None or policy.latency.target_ms is not None


def _target_key(policy: RoutingPolicy) -> str:
    return "latency.target_p95_ms" if policy.latency.target_p99_ms is None else "latency.target_p99_ms"


def _has_rules(policy: RoutingPolicy) -> bool:
    return policy.failover.on_status is not None or policy.failover.on_error_kinds is not None


def _most_in_flight(policy: RoutingPolicy) -> int:
    """Return the number of attempts that a race may have: each link once, however many rounds there are."""
    return min(policy.max_attempts, len(policy.chain))


def _sdk(link: Link) -> str | None:
    return _SDK_OF.get(link.provider.strip().lower())


def _few(links: tuple[Link, ...] | list[Link]) -> str:
    """Name some links as one subject: ``a``, ``each of a and b``."""
    names = list(dict.fromkeys(link.label for link in links))
    return names[0] if len(names) == 1 else f"each of {', '.join(names[:-1])} and {names[-1]}"


def _pays_for_output(link: Link) -> bool:
    return link.price is None or link.price.output_usd_per_mtok > 0


def _longest_answer_usd(link: Link) -> float:
    if link.price is None or link.max_output_tokens is None:
        return 0.0
    return link.price.cost_usd(plain_usage(0, min(link.max_output_tokens, MOST_COUNT))) or 0.0
