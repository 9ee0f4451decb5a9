"""A policy on the screen, in plain text: its links, its rules in words, and the findings."""

from __future__ import annotations

from collections.abc import Sequence

from routeware.cli.advice import Finding, attempt_timeouts, findings
from routeware.cli.check_prices import Quote, quotes
from routeware.cli.layout import table
from routeware.cli.screen import dollars, milliseconds, write
from routeware.money import Price
from routeware.policy import BudgetRules, FailoverRules, RoutingPolicy
from routeware.text import visible

__all__ = ["show"]


def show(policy: RoutingPolicy, file: str) -> None:
    """Print what ``policy``, which came from ``file``, does."""
    quoted = quotes(policy)
    write(f"{visible(file)} is valid: {visible(policy.label)}\n")
    write(f"{_links(policy, quoted)}\n")
    write(f"{_rules(policy, quoted)}\n")
    write(_found(findings(policy)))


def _links(policy: RoutingPolicy, quoted: Sequence[Quote]) -> str:
    rows = [("", "link", "time-out", "$/Mtok in", "out", "output")]
    for number, (link, timeout_ms, quote) in enumerate(
        zip(policy.chain, attempt_timeouts(policy), quoted, strict=True), 1
    ):
        place = f"{link.provider}:{link.model}"
        name = link.label if link.label == place else f"{link.label} ({place})"
        timeout = "none" if timeout_ms is None else milliseconds(timeout_ms)
        output = "any" if link.max_output_tokens is None else f"{link.max_output_tokens:,} tok"
        rows.append((str(number), visible(name), timeout, *_rates(quote.price), output))
    return table(rows, flexible=1, right=(0, 2, 3, 4, 5))


def _rates(price: Price | None) -> tuple[str, str]:
    if price is None:
        return "not given", "not given"
    per_request = f" + {dollars(price.request_usd)}/req" if price.request_usd else ""
    return f"{dollars(price.input_usd_per_mtok)}", f"{dollars(price.output_usd_per_mtok)}{per_request}"


def _rules(policy: RoutingPolicy, quoted: Sequence[Quote]) -> str:
    rules = {
        "fails over on": _failover(policy.failover),
        "attempts": f"{policy.max_attempts} at most",
        **_persistence(policy.failover),
        "race": _race(policy),
        **_target(policy),
        "deadline": _deadline(policy.latency.deadline_ms),
        "budget": _budget(policy.budget),
        **_prices(quoted),
    }
    return table(list(rules.items()), flexible=1)


def _failover(rules: FailoverRules) -> str:
    default = "rate limits, quotas, overload, server errors, lost connections"
    if rules.on_status is None and rules.on_error_kinds is None:
        return f"time-outs, {default}, rejected results (the default rules)"
    statuses = [f"status {', '.join(map(str, rules.on_status))}"] if rules.on_status else []
    kinds = [f"default ({default})" if kind == "default" else kind for kind in rules.on_error_kinds or ()]
    return ", ".join(["time-outs", *statuses, *kinds, "rejected results"])


def _persistence(rules: FailoverRules) -> dict[str, str]:
    """Say when a failing link is passed over, and how often the chain is gone through again."""
    said = {}
    if rules.cooldown_ms is not None:
        row = "a failure" if rules.cooldown_after == 1 else f"{rules.cooldown_after} failures in a row"
        longest = milliseconds(rules.cooldown_max_ms)
        said["cooldown"] = f"a link is passed over for {milliseconds(rules.cooldown_ms)} after {row}, {longest} at most"
    if rules.retries:
        rounds = "another round" if rules.retries == 1 else f"{rules.retries} more rounds"
        said["retries"] = (
            f"{rounds} when every link has failed, after at most {milliseconds(rules.backoff_ms)} at first"
        )
    return said


def _race(policy: RoutingPolicy) -> str:
    after, target = policy.latency.race_after_ms, policy.latency.target_ms
    if (after is None and target is None) or policy.max_attempts == 1:
        return "none"
    in_flight = f"{policy.latency.race_width} in flight at most"
    if target is None:
        return f"the next link joins after {milliseconds(after or 0)}, {in_flight}"
    later = "as the target needs it" if after is None else "as the target needs it, never later"
    first_ms = target / 2 if after is None else after
    return f"the next link joins after {milliseconds(first_ms)} at first, then {later}, {in_flight}"


def _target(policy: RoutingPolicy) -> dict[str, str]:
    """Say what latency is asked for, and what that may cost."""
    latency = policy.latency
    if latency.target_ms is None or policy.max_attempts == 1:
        return {}
    swap = "; in an outage the second link goes first" if latency.swap_in_outage else ""
    share = "95%" if latency.target_p99_ms is None else "99%"
    asked = f"{share} of calls within {milliseconds(latency.target_ms)}"
    if latency.by_size:
        asked += ", by size of the request"
    return {"target": f"{asked}, for at most {latency.max_extra:g} extra attempts a call{swap}"}


def _deadline(deadline_ms: float | None) -> str:
    return "none" if deadline_ms is None else f"{milliseconds(deadline_ms)} for the whole call"


def _budget(budget: BudgetRules) -> str:
    caps = [
        *([f"{dollars(budget.per_call_usd)} a call"] if budget.per_call_usd is not None else []),
        *([f"{dollars(budget.session_usd)} a session, which has to be open"] if budget.session_usd is not None else []),
    ]
    return f"{', '.join(caps)}; over it: {budget.on_exceed.value}" if caps else "no cap in the policy"


def _prices(quoted: Sequence[Quote]) -> dict[str, str]:
    """Show the catalogue's prices for the links that have none in the policy."""
    told = []
    for number, quote in enumerate(quoted, 1):
        if quote.matched is not None:
            told.append(f"{number} as {quote.matched} in {quote.source}, if that is given as prices=")
        elif quote.source is not None and quote.price is None:
            nearest = f"; nearest: {', '.join(quote.nearest)}" if quote.nearest else ""
            told.append(f"{number} is not in {quote.source}{nearest}")
    return {"prices": "\n".join(told)} if told else {}


def _found(found: Sequence[Finding]) -> str:
    if not found:
        return "No warnings."
    return table([("warning", f"{finding.key}: {finding.text}") for finding in found], flexible=1, gap=1)
