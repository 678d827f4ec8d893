"""A suite with several simulators as text for a terminal, as a page and as a JSON document."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from dialog_rl.evaluation import chapters, report
from dialog_rl.evaluation.document import Document, Points, Section, Table
from dialog_rl.evaluation.simulators import Across, Failures, Side, widest
from dialog_rl.text import one_line, table

BLAME = (
    "Blame is read off what the customer meant by each message: one who made values up or left at once broke the "
    "protocol, one who gave up over readable replies could not understand, and all else is the agent's."
)


def plain(found: Across) -> str:
    """For a terminal: success by simulator, how far it moved, and whose fault failures were."""
    one = next(iter(found.evaluations.values()))
    parts = [f"{report.customers(one)}, seed {one.suite['seed']}; played by {_names(found)}", ""]
    headers, rows = _success(found)
    parts += [table(headers, rows, right=range(1, len(headers))), "", *moves(found), ""]
    headers, rows = _blame(found)
    parts += [table(headers, rows, right=range(2, len(headers))), *(f"  {line}" for line in named(found))]
    return "\n".join(parts).rstrip()


def whole(found: Across, title: str = "Evaluation with several customers") -> Document:
    """The same as a page, then every chapter with each simulator."""
    headers, rows = _success(found)
    blame_headers, blame_rows = _blame(found)
    blame = Section(
        title="Whose fault failures were", about=BLAME,
        blocks=(_table(blame_headers, blame_rows), Points(lines=tuple(named(found)))),
    )  # fmt: skip
    own = [
        replace(section, title=f"{simulator}: {section.title}")
        for simulator, evaluation in found.evaluations.items()
        for section in chapters.whole(evaluation).sections
    ]
    return Document(
        title=title, lead=f"The same customers, played by {_names(found)}.",
        opening=(_table(headers, rows), Points(lines=tuple(moves(found)))), sections=(blame, *own),
        closing=report.INTERVALS,
    )  # fmt: skip


def _table(headers: list[str], rows: list[list[str]]) -> Table:
    return Table(headers=tuple(headers), rows=tuple(map(tuple, rows)))


def as_document(found: Across) -> dict[str, Any]:
    """Every figure as plain JSON values."""
    return {
        "simulators": {name: report.as_document(one) for name, one in found.evaluations.items()},
        "moves": [asdict(move) for move in found.moves],
        "failures": [_failures_document(one) for one in found.failures],
    }


def moves(found: Across) -> list[str]:
    """A line for each contestant and pair of simulators, under what they say together."""
    lines = [
        f"{one.contestant}: " + report.comparison(one.simulator, one.against, one.paired)
        for one in found.moves
    ]  # fmt: skip
    most = widest(found.moves)
    if most is None:
        return lines
    certain = ", which may be chance" if most.low <= 0 <= most.high else ""
    return [f"success moves by up to {100 * abs(most.value):.1f} points with the simulator{certain}", *lines]


def named(found: Across) -> list[str]:
    """The first failures of the customers, with what shows it."""
    return [
        f"{one.simulator}, {one.contestant}, {episode}: {blame.side}: {one_line(blame.evidence, 100)}"
        for one in found.failures
        for episode, blame in one.named
    ]


def _success(found: Across) -> tuple[list[str], list[list[str]]]:
    contestants = [one_line(s.name, 40) for s in next(iter(found.evaluations.values())).summaries]
    rows = [
        [simulator, *(report.percent_interval(s.success_interval) for s in evaluation.summaries)]
        for simulator, evaluation in found.evaluations.items()
    ]
    return ["success with", *contestants], rows


def _blame(found: Across) -> tuple[list[str], list[list[str]]]:
    rows = [
        [one.simulator, one_line(one.contestant, 40), str(one.failed), *(str(one.by_side[side]) for side in Side)]
        for one in found.failures
    ]
    return ["simulator", "who served", "failures", *map(str, Side)], rows


def _names(found: Across) -> str:
    *others, last = map(str, found.evaluations)
    return f"{', '.join(others)} and {last}" if others else last


def _failures_document(one: Failures) -> dict[str, Any]:
    return {
        "contestant": one.contestant,
        "simulator": one.simulator,
        "conversations": one.conversations,
        "failed": one.failed,
        "by_side": {side.name.lower(): one.by_side[side] for side in Side},
        "named": [
            {"episode": name, "side": blame.side.name.lower(), "evidence": blame.evidence} for name, blame in one.named
        ],
    }
