"""``routeware check``: is this policy valid, what does it come to, and what about it may surprise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from routeware.errors import PolicyError
from routeware.policy import RoutingPolicy

__all__ = ["CODES", "check"]

CODES = "Exit codes: 0 valid, with or without warnings; 1 not valid; 2 the file cannot be read, or a wrong argument."


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="The policy's file.", show_default=False)],
    *,
    table: Annotated[str | None, typer.Option(metavar="a.b", help="The table in it, where it holds more.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object on standard output instead.")] = False,
) -> None:
    """Check a policy: is it valid, and what does it do?

    Shows what the policy comes to (each link's real time-out and price among it), and warns of what may surprise.
    """
    from routeware.cli import check_screen, screen

    try:
        policy = RoutingPolicy.from_toml(file, table=table)
    except PolicyError as error:
        if as_json:
            screen.print_json({"file": str(file), "valid": False, "key": error.key, "error": str(error)})
            raise typer.Exit(1) from None
        screen.fail(f"not valid: {error}", 1)
    except OSError as error:
        screen.fail(f"cannot read {file}: {error.strerror or error}", 2)
    if as_json:
        screen.print_json({"file": str(file), "valid": True, **_resolved(policy)})
    else:
        check_screen.show(policy, str(file))


def _resolved(policy: RoutingPolicy) -> dict[str, Any]:
    """The policy as it works, in plain JSON."""
    from routeware.cli.advice import attempt_timeouts, findings
    from routeware.cli.check_prices import quotes

    rows = zip(policy.chain, attempt_timeouts(policy), quotes(policy), strict=True)
    return {
        "label": policy.label,
        "max_attempts": policy.max_attempts,
        "links": [{"label": link.label, "timeout_ms": ms, "price": quote.to_dict()} for link, ms, quote in rows],
        "policy": policy.to_dict(),
        "warnings": [{"key": finding.key, "text": finding.text} for finding in findings(policy)],
    }
