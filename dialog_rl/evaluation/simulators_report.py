"""A suite with several simulators as text for a terminal, as Markdown and as a JSON document."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dialog_rl.evaluation import report
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


def markdown(found: Across, title: str = "Evaluation with several customers") -> str:
    """For a file: the same, then every figure with each simulator."""
    parts = [f"# {title}", "", f"The same customers, played by {_names(found)}.", ""]
    parts += [report.markdown_table(*_success(found)), "", *(f"- {report.markdown_text(m)}" for m in moves(found)), ""]
    parts += ["## Whose fault failures were", "", report.markdown_table(*_blame(found)), "", BLAME, ""]
    parts += [f"- {report.markdown_text(line)}" for line in named(found)]
    for simulator, evaluation in found.evaluations.items():
        own = report.markdown(evaluation, f"With {simulator} customers")
        parts += ["", "\n".join(f"#{line}" if line.startswith("#") else line for line in own.splitlines())]
    return "\n".join([*parts, ""])


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
