"""The same customers again and again, each time with more slips: how success falls with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dialog_rl.errors import ConfigError
from dialog_rl.evaluation import plots, report
from dialog_rl.evaluation.document import Document, Picture, Section, Table
from dialog_rl.evaluation.plots import Axis, Series
from dialog_rl.evaluation.statistics import Paired
from dialog_rl.evaluation.suites import Evaluation, pair
from dialog_rl.text import one_line, table

KINDS: Mapping[str, str] = {"typos": "typo", "drops": "slot_drop", "confusion": "confuse"}
"""What a sweep is called → the field of `scenario.Noise`."""
MEANS: Mapping[str, str] = {
    "typos": "chance that a word is mistyped",
    "drops": "chance that a value the agent asked for is left out",
    "confusion": "chance that a reply of the agent is not understood",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    kind: str
    evaluations: Mapping[float, Evaluation]
    """By level, from the least on."""

    def against_least(self) -> dict[tuple[str, float], Paired]:
        """Each contestant at each level against itself at the least, on the same customers."""
        (least, first), *others = self.evaluations.items()
        return {
            (result.name, level): pair(result, before)
            for level, found in others
            for result, before in zip(found.results, first.results, strict=True)
            if level != least
        }


def read_levels(text: str) -> tuple[str, tuple[float, ...]]:
    """`typos=0,.1,.2` as kind and levels. Raises ConfigError."""
    kind, _, listed = text.partition("=")
    if kind not in KINDS:
        raise ConfigError(f"--noise {one_line(text, 60)!r}: there are {', '.join(KINDS)}, as in typos=0,.1,.2")
    try:
        levels = tuple(sorted({float(part) for part in listed.split(",")}))
    except ValueError:
        levels = ()
    if not levels or not all(0 <= level <= 1 for level in levels):
        raise ConfigError(f"--noise {one_line(text, 60)!r}: levels are chances from 0 to 1, as in {kind}=0,.1,.2")
    return kind, levels


def plain(found: Sweep) -> str:
    """For a terminal."""
    headers, rows = _rows(found)
    parts = [f"{report.describe(_first(found))}; {found.kind}: {MEANS[found.kind]}", ""]
    return "\n".join([*parts, table(headers, rows, right=range(1, len(headers))), "", *_moves(found)]).rstrip()


def whole(found: Sweep) -> Document:
    """As a page."""
    headers, rows = _rows(found)
    first = _first(found)
    series = [
        Series(
            name=one_line(s.name, 40),
            points=tuple((level, one.summaries[n].success_interval) for level, one in found.evaluations.items()),
        )
        for n, s in enumerate(first.summaries)
    ]
    across = Axis(name=MEANS[found.kind], low=min(found.evaluations), high=max(found.evaluations))
    picture = Picture(svg=plots.curves(series, across), says=f"Success against {found.kind}")
    moves = tuple((line.partition(": ")[0], line.partition(": ")[2]) for line in _moves(found))
    sections = (
        (Section(title="Against the least", blocks=(Table(headers=("", "paired"), rows=moves),)),) if moves else ()
    )
    return Document(
        title=f"Success against {found.kind}", lead=f"{report.describe(first)}.",
        opening=(picture, Table(headers=tuple(headers), rows=tuple(map(tuple, rows)))), sections=sections,
        closing=report.INTERVALS,
    )  # fmt: skip


def as_document(found: Sweep) -> dict[str, Any]:
    return {
        "noise": found.kind,
        "levels": [{"level": level, **report.as_document(one)} for level, one in found.evaluations.items()],
        "against_least": [
            {"contestant": name, "level": level, **asdict(paired)}
            for (name, level), paired in found.against_least().items()
        ],
    }


def _first(found: Sweep) -> Evaluation:
    return next(iter(found.evaluations.values()))


def _rows(found: Sweep) -> tuple[list[str], list[list[str]]]:
    headers = [found.kind, *(one_line(s.name, 40) for s in _first(found).summaries)]
    rows = [
        [f"{level:g}", *(report.percent_interval(s.success_interval) for s in one.summaries)]
        for level, one in found.evaluations.items()
    ]
    return headers, rows


def _moves(found: Sweep) -> list[str]:
    least = min(found.evaluations)
    return [
        f"{name}: " + report.comparison(f"{found.kind} {level:g}", f"{least:g}", paired)
        for (name, level), paired in found.against_least().items()
    ]
