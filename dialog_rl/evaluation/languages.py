"""The same customers in several languages: packs that extend one another, and how far apart success is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

from dialog_rl.errors import ConfigError
from dialog_rl.evaluation import report
from dialog_rl.evaluation.document import Document, Points, Table
from dialog_rl.evaluation.statistics import Paired
from dialog_rl.evaluation.suites import Evaluation, pair
from dialog_rl.evaluation.summaries import Result
from dialog_rl.staging import Stage
from dialog_rl.text import one_line, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Languages:
    evaluations: Mapping[str, Evaluation]
    """By pack, each with the same customers."""

    def apart(self) -> dict[tuple[str, str, str], Paired]:
        """(contestant, pack, the pack that it is compared with) → the same customers in both."""
        return {
            (one.name, second, first): pair(_by_number(other), _by_number(one))
            for (first, before), (second, after) in combinations(self.evaluations.items(), 2)
            for one, other in zip(before.results, after.results, strict=True)
        }


def require_kin(stages: tuple[Stage, ...]) -> None:
    """Raises ConfigError for packs that have no customers in common."""
    bases = {stage.pack.file.extends or stage.pack.name for stage in stages}
    if len(stages) < 2 or len(bases) > 1:
        named = ", ".join(stage.pack.name for stage in stages)
        raise ConfigError(f"--twins: packs that extend one another are wanted, as retail_zh does retail, not {named}")


def plain(found: Languages) -> str:
    """For a terminal."""
    headers, rows = _rows(found)
    moves = "\n".join(_moves(found))
    return f"{_lead(found)}\n\n{table(headers, rows, right=range(1, len(headers)))}\n\n{moves}"


def whole(found: Languages) -> Document:
    """As a page."""
    headers, rows = _rows(found)
    shown = Table(headers=tuple(headers), rows=tuple(map(tuple, rows)))
    return Document(
        title="The same customers in several languages", lead=f"{_lead(found)}.",
        opening=(shown, Points(lines=tuple(_moves(found)))), sections=(), closing=report.INTERVALS,
    )  # fmt: skip


def as_document(found: Languages) -> dict[str, Any]:
    return {
        "packs": {pack: report.as_document(one) for pack, one in found.evaluations.items()},
        "apart": [
            {"contestant": name, "pack": pack, "against": other, **asdict(paired)}
            for (name, pack, other), paired in found.apart().items()
        ],
    }


def _by_number(result: Result) -> Result:
    """As if all packs were one."""
    return replace(result, episodes={("", *key[1:]): episode for key, episode in result.episodes.items()})


def _lead(found: Languages) -> str:
    first = next(iter(found.evaluations.values()))
    return f"{report.describe(first)}; the same customers in {', '.join(found.evaluations)}"


def _rows(found: Languages) -> tuple[list[str], list[list[str]]]:
    first = next(iter(found.evaluations.values()))
    headers = ["success", *(one_line(summary.name, 40) for summary in first.summaries)]
    return headers, [
        [pack, *(report.percent_interval(summary.success_interval) for summary in one.summaries)]
        for pack, one in found.evaluations.items()
    ]


def _moves(found: Languages) -> list[str]:
    return [
        f"{name}: " + report.comparison(pack, other, paired) for (name, pack, other), paired in found.apart().items()
    ]
