"""`evaluate --text`: how the contestants' replies read, beside what they achieve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dialog_rl.cli import lending
from dialog_rl.config import Settings
from dialog_rl.text import one_line, table

if TYPE_CHECKING:
    from dialog_rl.evaluation.suites import Evaluation

EXPERT = "expert"
Texts = Mapping[str, Mapping[str, float]]
"""Contestant → figure → value."""


def texts_of(settings: Settings, found: Evaluation) -> dict[str, dict[str, float]]:
    """Every contestant's figures: perplexity under the reference model, nearness to the expert where it takes part."""
    from dialog_rl.evaluation import text

    expert = next((result for result in found.results if result.name == EXPERT), None)
    references = text.by_customer(expert.usable()) if expert is not None else None
    reference = lending.reference(settings).get("reference")
    return {
        result.name: text.figures(
            result.usable(),
            references=references if result is not expert else None,
            likelihoods=reference if result is not expert else None,
        )
        for result in found.results
    }


def require_libraries() -> None:
    """Raises ConfigError if the extra is not installed: better before an evaluation than after it."""
    from dialog_rl.evaluation import text

    text.nearness([], {})


def plain(texts: Texts) -> str:
    names = list(texts)
    figures = list(dict.fromkeys(figure for of in texts.values() for figure in of))
    rows = [[figure, *(_cell(texts[name].get(figure)) for name in names)] for figure in figures]
    return table(["how replies read", *(one_line(name, 40) for name in names)], rows, right=range(1, len(names) + 1))


def _cell(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.3f}"
