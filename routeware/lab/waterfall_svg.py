"""Draws a call as a waterfall in an SVG that needs nothing else: no script, no font, no style sheet.

It is light or dark as its reader's screen is. Nothing is said by colour alone, and a screen reader gets the call in
words. Whatever came from a trace is escaped, and cut where it would run into the next column.
"""

from __future__ import annotations

import bisect
import itertools
import math
import unicodedata
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape

from routeware.lab.calls import AttemptBar, CallTree
from routeware.lab.summary import (
    circumstances,
    cost,
    duration,
    headline,
    money,
    reference,
    remarks,
    status_text,
    summary,
)
from routeware.records import AttemptStatus, AttemptTrigger
from routeware.text import encodable, visible

__all__ = ["svg"]

_WIDTH = 960
_LEFT, _RIGHT = 24, 936
_BARS, _BARS_END = 300, 690
_STATUS = 704
_TOP, _ROW, _LINE = 36, 46, 20
_BAR = 18
_LABEL_ROOM, _STATUS_ROOM, _LINE_ROOM = 38, 21, 130
_FEWEST_TICKS = 3

_KINDS: dict[AttemptStatus | None, str] = {
    AttemptStatus.SUCCEEDED: "good",
    AttemptStatus.FAILED: "bad",
    AttemptStatus.REJECTED: "bad",
    AttemptStatus.RACE_LOST: "cut",
    AttemptStatus.CANCELLED: "cut",
}
_WHY = {
    AttemptTrigger.FAILOVER: "failover",
    AttemptTrigger.RACE: "race",
    AttemptTrigger.RETRY: "retry",
}

_STYLE = """\
text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #1f2328 }
.page { fill: #ffffff; stroke: #d1d9e0 }
.head { font-size: 16px; font-weight: 600 }
.dim { font-size: 11px; fill: #59636e }
.end { text-anchor: end }
.mid { text-anchor: middle }
.grid { stroke: #d1d9e0 }
.from { stroke: #59636e; fill: none }
.race { stroke-dasharray: 2 3 }
.good { fill: #1a7f37 }
.bad { fill: #cf222e }
.cut { fill: url(#cut) }
.none { fill: #818b98 }
.ground { fill: #fff8c5 }
.stripe { stroke: #9a6700 }
.edge { stroke: #9a6700; fill: none }
.item { stroke: #ffffff; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.page { fill: #0d1117; stroke: #3d444d }
.dim { fill: #9198a1 }
.grid { stroke: #3d444d }
.from { stroke: #9198a1 }
.good { fill: #3fb950 }
.bad { fill: #f85149 }
.none { fill: #656c76 }
.ground { fill: #272115 }
.stripe, .edge { stroke: #d29922 }
.item { stroke: #0d1117 }
}"""
_PATTERN = (
    '<defs><pattern id="cut" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="ground" width="6" height="6"/><path class="stripe" stroke-width="4" d="M0 0V6"/></pattern></defs>'
)


def svg(call: CallTree) -> str:
    """Return the picture of ``call``, as the text of a file in UTF-8."""
    between = " · "
    lines = [between.join(line) for line in (circumstances(call), reference(call)) if line]
    rows_at = _TOP + _LINE * len(lines) + 16
    axis_at = rows_at + _ROW * len(call.attempts)
    foot = [*map(visible, remarks(call)), money(call)]
    height = axis_at + 36 + _LINE * len(foot)
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc"',
        f' viewBox="0,0,{_WIDTH},{height}" width="{_WIDTH}" height="{height}">',
        f'<title id="title">{_safe(between.join(headline(call)))}</title>',
        f'<desc id="desc">{_safe(". ".join([*map(visible, remarks(call)), summary(call)]))}</desc>',
        f"<style>\n{_STYLE}\n</style>",
        _PATTERN,
        f'<rect class="page" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="8"/>',
        _text(_LEFT, _TOP, between.join(headline(call)), "head", room=_LINE_ROOM * 3 // 5),
        *(_text(_LEFT, _TOP + _LINE * (place + 1), line, "dim") for place, line in enumerate(lines)),
        *(_axis(call.length_ms, rows_at, axis_at) if call.attempts else ()),
        *(part for place in range(len(call.attempts)) for part in _row(call, place, rows_at)),
        *(_text(_LEFT, axis_at + 40 + _LINE * place, line, "dim") for place, line in enumerate(foot)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _row(call: CallTree, place: int, rows_at: int) -> Iterator[str]:
    """Draw one attempt: its label and why it was started, its bar, how it ended after how long, and its cost."""
    attempt, at = call.attempts[place], rows_at + _ROW * place
    yield f"<g><title>{_safe(f'{visible(attempt.label)}: {status_text(attempt)}')}</title>"
    yield _text(_LEFT, at + 18, visible(attempt.label), "", room=_LABEL_ROOM)
    yield _text(_STATUS, at + 18, status_text(attempt), "", room=_STATUS_ROOM)
    if attempt.status is not AttemptStatus.SKIPPED:
        yield _text(_LEFT, at + 33, _started(attempt), "dim")
        yield _text(_STATUS, at + 33, _took(attempt), "dim")
        yield _text(_RIGHT, at + 18, cost(attempt, "≤ "), "end")
        if attempt.uncertain:
            yield _text(_RIGHT, at + 33, "may be billed", "dim end")
        yield from _origin(call, place, rows_at)
        begin, end = _x(attempt.started_ms, call), _x(attempt.ended_ms, call)
        kind = _KINDS.get(attempt.status, "none")
        shape = f'x="{begin:.1f}" y="{at + 8}" width="{max(end - begin, 2):.1f}" height="{_BAR}" rx="2"'
        yield f'<rect class="{kind}" {shape}/>'
        if kind == "cut":
            yield f'<rect class="edge" {shape}/>'
        if attempt.first_item_ms is not None:
            first = _x(attempt.started_ms + attempt.first_item_ms, call)
            yield f'<path class="item" d="M{first:.1f} {at + 8}v{_BAR}"/>'
    yield "</g>"


def _origin(call: CallTree, place: int, rows_at: int) -> Iterator[str]:
    """Draw the line from the attempt that failed, or was too slow, to the one that was started for it."""
    attempt = call.attempts[place]
    if attempt.trigger is AttemptTrigger.RACE:
        earlier = call.rivals(attempt)
    else:
        earlier = tuple(
            other
            for other in call.attempts[:place]
            if attempt.trigger is not AttemptTrigger.INITIAL and other.status is not AttemptStatus.SKIPPED
        )
    if not earlier:
        return
    x, above = _x(attempt.started_ms, call), call.attempts.index(earlier[-1])
    kind = "from race" if attempt.trigger is AttemptTrigger.RACE else "from"
    yield f'<path class="{kind}" d="M{x:.1f} {rows_at + _ROW * above + 8 + _BAR}V{rows_at + _ROW * place + 8}"/>'


def _axis(length_ms: float, top: int, bottom: int) -> Iterator[str]:
    """Draw the times below the rows, and a line up from each."""
    step = _step(length_ms)
    for place in range(int(length_ms / step) + 1):
        x = _BARS + (_BARS_END - _BARS) * place * step / length_ms
        yield f'<path class="grid" d="M{x:.1f} {top}V{bottom}"/>'
        yield _text(x, bottom + 16, duration(place * step), "dim mid")


def _step(length_ms: float) -> float:
    """Return 1, 2 or 5 times a power of ten: the largest that leaves three steps."""
    most = length_ms / _FEWEST_TICKS
    power = 10.0 ** math.floor(math.log10(most))
    return max((factor * power for factor in (1, 2, 5) if factor * power <= most), default=most)


def _x(at_ms: float, call: CallTree) -> float:
    share = min(max(at_ms / call.length_ms, 0.0), 1.0)
    return _BARS + (_BARS_END - _BARS) * share


def _started(attempt: AttemptBar) -> str:
    why = _WHY.get(attempt.trigger)
    return f"{why} at {duration(max(attempt.started_ms, 0.0))}" if why else "first"


def _took(attempt: AttemptBar) -> str:
    if attempt.first_item_ms is None:
        return f"after {duration(attempt.duration_ms)}"
    return f"first item {duration(attempt.first_item_ms)}, {duration(attempt.duration_ms)}"


def _text(x: float, y: int, text: str, kind: str, *, room: int = _LINE_ROOM) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y}">{_safe(_cut(text, room))}</text>'


def _safe(text: str) -> str:
    return escape(encodable(text))


def _cut(text: str, room: int) -> str:
    """Return text that fits ``room`` columns, with an ellipsis where something is missing."""
    ends = [0, *itertools.accumulate(_columns(text))]
    return text if ends[-1] <= room else f"{text[: bisect.bisect_left(ends, room) - 1]}…"


def _columns(text: str) -> Iterable[int]:
    """Return how wide each character is: the scripts of East Asia take two columns."""
    return (2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
