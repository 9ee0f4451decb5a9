"""``routeware check``: validates a policy, shows its effective settings and prices, and flags likely mistakes.

By the standard library alone: a pipeline that checks a policy before it is deployed need not install anything but the
core. :func:`run` is the command without its arguments; what reads them is ``app`` where typer is there, else the
package itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from routeware.cli import screen
from routeware.cli.advice import Finding, attempt_timeouts, findings
from routeware.cli.screen import dollars, milliseconds, paragraph, table, write
from routeware.errors import PolicyError
from routeware.money import Price
from routeware.policy import BudgetRules, FailoverRules, Link, RoutingPolicy
from routeware.text import visible

if TYPE_CHECKING:
    from routeware.contrib.genai_prices import Catalogue

__all__ = ["CODES", "SUMMARY", "Quote", "quotes", "run", "show"]

CODES = (
    "Exit codes: 0 valid, with or without warnings; 1 not valid; 2 the file cannot be read, the output cannot be "
    "written, or a wrong argument."
)

SUMMARY = """Validate a policy, show its effective settings, and flag likely mistakes.

The effective settings include each link's time-out and price."""


def run(file: Path, *, table: str | None = None, as_json: bool = False) -> None:
    """Check the policy in ``file``, and print what it does.

    Raises:
        SystemExit: With a code of ``CODES``, where there is nothing more to print.
    """
    try:
        policy = RoutingPolicy.from_toml(file, table=table)
    except PolicyError as error:
        if isinstance(error.__cause__, UnicodeDecodeError):
            screen.fail(f"cannot read it: {error}", 2)
        if as_json:
            with screen.output():
                screen.print_json({"file": str(file), "valid": False, "key": error.key, "error": str(error)})
            raise SystemExit(1) from None
        # The argument of from_toml is an option here.
        screen.fail(re.sub(r"did you mean table='(.*?)'\?", r"did you mean --table \1?", f"not valid: {error}"), 1)
    except OSError as error:
        screen.fail(f"cannot read {file}: {error.strerror or error}", 2)
    with screen.output():
        if as_json:
            screen.print_json({"file": str(file), "valid": True, **_resolved(policy)})
        else:
            show(policy, str(file))


def _resolved(policy: RoutingPolicy) -> dict[str, Any]:
    """Return the effective policy as plain JSON."""
    rows = zip(policy.chain, attempt_timeouts(policy), quotes(policy), strict=True)
    return {
        "label": policy.label,
        "max_attempts": policy.max_attempts,
        "links": [{"label": link.label, "timeout_ms": ms, "price": quote.to_dict()} for link, ms, quote in rows],
        "policy": policy.to_dict(),
        "warnings": [{"key": finding.key, "text": finding.text} for finding in findings(policy)],
    }


@attrs.frozen(kw_only=True)
class Quote:
    """The price of one link.

    Attributes:
        price: today's, of a short prompt; ``None`` if it is unknown.
        source: ``policy``, or the catalogue with its version; ``None`` if there is no catalogue to ask.
        matched: what the catalogue calls the model, where it knows it.
        nearest: what the catalogue has instead, where it does not.
    """

    price: Price | None = None
    source: str | None = None
    matched: str | None = None
    nearest: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any] | None:
        """Return plain JSON; ``None`` if no catalogue was asked."""
        if self.source is None:
            return None
        told = attrs.asdict(self, filter=lambda field, _: field.name not in {"price", "nearest"})
        rates = None if self.price is None else attrs.asdict(self.price, filter=lambda _, rate: rate is not None)
        return {"price": rates, **told, "nearest": list(self.nearest)}


def quotes(policy: RoutingPolicy) -> list[Quote]:
    """One for each link. The catalogue is loaded, which takes a while, only if a link has no price of its own."""
    asked = any(link.price is None for link in policy.chain)
    book = _catalogue() if asked else None
    return [_quote(link, book) for link in policy.chain]


def _catalogue() -> Catalogue | None:
    from routeware.contrib.genai_prices import catalogue

    try:
        return catalogue()
    except ModuleNotFoundError:
        return None


def _quote(link: Link, book: Catalogue | None) -> Quote:
    if link.price is not None:
        return Quote(price=link.price, source="policy")
    if book is None:
        return Quote()
    source = f"genai-prices {book.version}"
    tariff = book.find(link.provider, link.model)
    if tariff is None:
        return Quote(source=source, nearest=tuple(book.nearest(link.provider, link.model)))
    return Quote(price=tariff.price(datetime.now(UTC)), source=source, matched=tariff.matched)


def show(policy: RoutingPolicy, file: str) -> None:
    """Print what ``policy``, which came from ``file``, does."""
    quoted = quotes(policy)
    write(paragraph(f"{visible(file)} is valid: {visible(policy.label)}"))
    write("")
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
    return table(rows, flexible=1, right=(0, 2, 3, 4, 5), headed=True)


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
