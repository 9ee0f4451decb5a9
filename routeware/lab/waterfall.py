"""Draws a call as a waterfall in the terminal: one bar per attempt on the call's own clock, and a summary below.

Nothing is said by colour alone, and bars are ASCII where the terminal's encoding has no blocks. Importing this needs
rich.
"""

from __future__ import annotations

import attrs
from rich.bar import Bar
from rich.console import Console, ConsoleOptions, Group, OverflowMethod, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from routeware.lab.calls import AttemptBar, CallTree
from routeware.lab.summary import (
    circumstances,
    cost,
    duration,
    headline,
    reference,
    remarks,
    status_text,
    summary,
)
from routeware.records import AttemptStatus
from routeware.text import visible

__all__ = ["render_call", "summary"]

_COLOURS: dict[AttemptStatus | None, str] = {
    AttemptStatus.SUCCEEDED: "green",
    AttemptStatus.FAILED: "red",
    AttemptStatus.REJECTED: "red",
    AttemptStatus.RACE_LOST: "yellow",
    AttemptStatus.CANCELLED: "yellow",
}
_EIGHTHS = 8
_NARROW = 56
"""Columns below which a bar beside its words would be too short to see."""


def render_call(call: CallTree, *, width: int | None = None) -> RenderableType:
    """Return the waterfall of ``call`` to print with rich: as wide as the terminal, or at most ``width`` columns."""
    return Constrain(_Waterfall(call), width)


@attrs.frozen
class _Waterfall:
    call: CallTree

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        between = " - " if options.ascii_only else " · "
        yield Group(
            Text(between.join(headline(self.call)), style="bold"),
            *(
                Text(between.join(line), style="dim")
                for line in (circumstances(self.call), reference(self.call))
                if line
            ),
            self._bars(options) if options.max_width >= _NARROW else self._stacked(),
            *(Text(visible(remark), style="dim") for remark in remarks(self.call)),
            Text(summary(self.call)),
        )

    def _bars(self, options: ConsoleOptions) -> Table:
        # "..." cannot be had from rich for what is cut, only an ellipsis that not every encoding has.
        overflow: OverflowMethod = "crop" if options.ascii_only else "ellipsis"
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, overflow=overflow, max_width=max(12, options.max_width // 3))
        table.add_column(ratio=1, min_width=10)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, overflow=overflow)
        table.add_column(justify="right", no_wrap=True)
        for attempt in self.call.attempts:
            table.add_row(*_row(attempt, self.call.length_ms))
        if self.call.attempts:
            table.add_row("", "", _scale(self.call.length_ms), style="dim")
        return table

    def _stacked(self) -> Table:
        """Return the attempts for a terminal that is too narrow for columns, in three lines each."""
        table = Table.grid(expand=True)
        for attempt in self.call.attempts:
            words = [status_text(attempt)]
            table.add_row(Text(f"{attempt.number} {visible(attempt.label)}", style="bold"))
            if attempt.status is not AttemptStatus.SKIPPED:
                words += [duration(attempt.duration_ms), cost(attempt, "<=")]
                table.add_row(_row(attempt, self.call.length_ms)[2])
            table.add_row(Text(f"  {', '.join(words)}"))
        return table


def _row(attempt: AttemptBar, length_ms: float) -> list[RenderableType]:
    colour = _COLOURS.get(attempt.status, "bright_black")
    skipped = attempt.status is AttemptStatus.SKIPPED
    return [
        str(attempt.number),
        Text(visible(attempt.label)),
        "" if skipped else _TimeBar(attempt, length_ms, colour),
        "" if skipped else duration(attempt.duration_ms),
        Text(status_text(attempt), style=colour),
        "" if skipped else cost(attempt, "<="),
    ]


def _scale(length_ms: float) -> Table:
    ends = Table.grid(expand=True)
    ends.add_column(no_wrap=True)
    ends.add_column(no_wrap=True, justify="right")
    ends.add_row("0", duration(length_ms))
    return ends


@attrs.frozen
class _TimeBar:
    """An attempt's time: exact to an eighth of a cell in blocks, to a cell in ASCII, and never invisible.

    A line in it marks a stream's first item.
    """

    attempt: AttemptBar
    length_ms: float
    colour: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        if options.ascii_only:
            begin, end = self._cells(width)
            text = " " * begin + "#" * (end - begin) + " " * (width - end)
            yield Segment(self._marked(text, "|"), Style(color=self.colour))
        else:
            begin, end = self._cells(width * _EIGHTHS)
            for segment in console.render(Bar(width * _EIGHTHS, begin, end, color=self.colour), options):
                yield segment._replace(text=self._marked(segment.text, "┃")) if segment.text.strip() else segment

    def _cells(self, count: int) -> tuple[int, int]:
        """Return where the bar begins and ends on ``count`` steps; it is at least one step long."""
        begin = min(int(count * max(self.attempt.started_ms, 0.0) / self.length_ms), count - 1)
        end = min(round(count * self.attempt.ended_ms / self.length_ms), count)
        return begin, max(end, begin + 1)

    def _marked(self, bar: str, mark: str) -> str:
        """Return the bar with ``mark`` in the cell of the first item."""
        if self.attempt.first_item_ms is None:
            return bar
        at_ms = max(self.attempt.started_ms + self.attempt.first_item_ms, 0.0)
        cell = min(int(len(bar) * at_ms / self.length_ms), len(bar) - 1)
        return f"{bar[:cell]}{mark}{bar[cell + 1 :]}"
