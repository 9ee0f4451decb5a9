"""``routeware check``: validates a policy, shows its effective settings and flags likely mistakes.

By the standard library alone: a pipeline that checks a policy before it is deployed need not install anything but the
core. :func:`run` is the command without its arguments; what reads them is ``app`` where typer is there, else ``plain``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from routeware.cli import screen
from routeware.errors import PolicyError
from routeware.policy import RoutingPolicy

__all__ = ["CODES", "SUMMARY", "run"]

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
    from routeware.cli import check_screen

    try:
        policy = RoutingPolicy.from_toml(file, table=table)
    except PolicyError as error:
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
            check_screen.show(policy, str(file))


def _resolved(policy: RoutingPolicy) -> dict[str, Any]:
    """Return the effective policy as plain JSON."""
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
