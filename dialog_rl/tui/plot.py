"""One chart, drawn: single updates as faint dots, the running mean as a bold line, with its figures beside it."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.visual import VisualType
from textual.widget import Widget

from dialog_rl.online.seen import Chart, Line
from dialog_rl.text import columns, fit, one_line
from dialog_rl.tui.canvas import Canvas, Scale, scale_of, thinned
from dialog_rl.tui.harmless import MUTED

STYLES = ("$text-primary bold", "$text-accent bold", "$text-success bold")
FAINT = "$foreground 50%"
_LABEL = 7
"""Columns for the figures of the axis."""
_NARROW = 30
"""Columns below which there is room for figures alone."""
_NAMES = 18
"""At most so many columns for the names of lines."""


class Plot(Widget):
    """Shows one chart as large as it is given room."""

    DEFAULT_CSS = "Plot { height: 1fr; width: 1fr; }"

    def __init__(self, chart: Chart, **more: str) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self.chart = chart

    def show(self, chart: Chart) -> None:
        if chart is not self.chart:
            self.chart = chart
            self.refresh()

    def render(self) -> VisualType:
        return drawn(self.chart, self.size.width, self.size.height)


def drawn(chart: Chart, width: int, height: int) -> Content:
    """The chart in so many columns and lines."""
    if width < 12 or height < 2:
        return Content(one_line(latest(chart), max(1, width)))
    if chart.empty:
        return Content.styled("no figures yet", MUTED)
    rows = _strips(chart, width, height) if chart.own_scales else _shared(chart, width, height)
    return Content("\n").join(rows)


def latest(chart: Chart) -> str:
    """What the chart says now, in words."""
    if len(chart.lines) == 1:
        return chart.told(chart.lines[0].last)
    return "  ".join(f"{line.name} {chart.told(line.last)}" for line in chart.lines)


def sparkline(chart: Chart, across: int) -> str:
    """The course of the first line in one row."""
    if chart.empty:
        return ""
    canvas, line = Canvas(across, 1), chart.lines[0]
    _draw(canvas, chart, line, scale_of([value for value in line.trend if value is not None]), "", faint=False)
    return "".join(text for text, _ in canvas.text(0))


def _shared(chart: Chart, width: int, height: int) -> list[Content]:
    """All lines on one scale, each named where it ends; where that leaves too little room, above, the highest first."""
    names = _end_names(chart, width)
    above = len(chart.lines) > 1 and not names and height > 4
    rows, across = height - 1 - above, width - _LABEL - 1 - names
    scale = scale_of(_values(chart.lines), floor=chart.floor, ceiling=chart.ceiling)
    canvas = Canvas(across, rows)
    for number, line in enumerate(chart.lines):
        _draw(canvas, chart, line, scale, STYLES[number % len(STYLES)])
    labels = {0: scale.high, rows - 1: scale.low}
    if rows > 4 and rows % 2:
        labels[rows // 2] = (scale.high + scale.low) / 2
    ends = _ends(chart, scale, rows)
    return [
        *([_legend(chart, [ends[row] for row in sorted(ends)], width)] if above else []),
        *(
            Content.assemble(
                (f"{chart.told(labels[row]) if row in labels else '':>{_LABEL}} ", MUTED),
                *canvas.text(row),
                *(((f" {fit(chart.lines[ends[row]].name, names - 1).rstrip()}", STYLES[ends[row] % len(STYLES)]),)
                  if row in ends and names else ()),
            )
            for row in range(rows)
        ),
        _axis(chart, across),
    ]  # fmt: skip


def _legend(chart: Chart, order: Sequence[int], width: int) -> Content:
    names = [chart.lines[n].name for n in order]
    room = width - _LABEL - 1
    if sum(columns(name) + 3 for name in names) > room:
        names = [fit(name, max(4, room // len(names) - 3)).rstrip() for name in names]
    named = [(f"━ {name} ", STYLES[n % len(STYLES)]) for n, name in zip(order, names, strict=True)]
    return Content.assemble(" " * (_LABEL + 1), *named)


def _strips(chart: Chart, width: int, height: int) -> list[Content]:
    """A line of its own for each figure, on its own scale, under one axis."""
    shown = chart.lines[: max(1, height - 1)]
    if width < _NARROW:
        room = width - _LABEL - 1
        return [Content.assemble((fit(one.name, room), MUTED), f" {chart.told(one.last):>{_LABEL}}") for one in shown]
    names = min(_NAMES, max(columns(line.name) for line in shown), (width - _LABEL) // 2)
    across, (least, more) = width - names - _LABEL - 3, divmod(height - 1, len(shown))
    rows: list[Content] = []
    for number, line in enumerate(shown):
        tall, style = max(1, least + (number < more)), STYLES[number % 2]
        canvas = Canvas(max(1, across), tall)
        _draw(canvas, chart, line, scale_of(_values([line])), style)
        for row in range(tall):
            told = (fit(line.name, names), f"{chart.told(line.last):>{_LABEL}}")
            name, value = told if row == tall // 2 else (" " * names, " " * _LABEL)
            rows.append(Content.assemble((name, MUTED), " ", (value, style), "  ", *canvas.text(row)))
    left = " " * (names + 1)
    return [*rows, Content(left).append(_axis(chart, max(1, across + 1)))]


def _draw(canvas: Canvas, chart: Chart, line: Line, scale: Scale, style: str, *, faint: bool = True) -> None:
    """faint: with the single updates behind the running mean."""
    along = Scale(low=min(chart.at), high=max(chart.at))

    def points(values: Sequence[float | None]) -> list[tuple[int, int]]:
        return [
            (along.at(at, canvas.width), scale.at(value, canvas.height))
            for at, value in zip(chart.at, values, strict=True)
            if value is not None
        ]

    for x, y in thinned(points(line.values), mean=False) if faint or not line.trend else ():
        canvas.dot(x, y, FAINT if line.trend else style)
    if line.trend:
        canvas.line(thinned(points(line.trend), mean=True), style)


def _values(lines: Sequence[Line]) -> list[float]:
    return [value for line in lines for value in line.values if value is not None]


def _end_names(chart: Chart, width: int) -> int:
    """Columns for the names of lines, where more than one is to be told from another."""
    if len(chart.lines) < 2 or width < 40:
        return 0
    return min(_NAMES, 1 + max(columns(line.name) for line in chart.lines))


def _ends(chart: Chart, scale: Scale, rows: int) -> dict[int, int]:
    """Row → the line whose name stands there: as near to where it ends as the others let it."""
    taken: dict[int, int] = {}
    for number, line in enumerate(chart.lines):
        if line.last is None:
            continue
        wanted = rows - 1 - scale.at(line.last, 4 * rows) // 4
        free = [row for row in range(rows) if row not in taken]
        if free:
            taken[min(free, key=lambda row: abs(row - wanted))] = number
    return taken


def _axis(chart: Chart, across: int) -> Content:
    first, last = f"{min(chart.at):,.0f}", f"{max(chart.at):,.0f} {chart.axis}"
    gap = across - len(first) - len(last)
    alone = last if len(last) <= across else last.partition(" ")[0]
    return Content.styled(
        " " * (_LABEL + 1) + (f"{first}{' ' * gap}{last}" if gap > 0 else alone[:across].rjust(across)), MUTED
    )
