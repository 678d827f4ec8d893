"""What commands put on a page beside an evaluation, and how the page is written."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialog_rl.cli import opening
from dialog_rl.cli.output import note
from dialog_rl.config import Settings
from dialog_rl.errors import CheckpointError, ConfigError
from dialog_rl.text import one_line

if TYPE_CHECKING:
    from dialog_rl.cli.judging import Judge
    from dialog_rl.evaluation.calibration import Calibration
    from dialog_rl.evaluation.chapters import Beside
    from dialog_rl.evaluation.document import Document
    from dialog_rl.evaluation.statistics import Interval
    from dialog_rl.evaluation.suites import Evaluation

MOST_VALUED = 256
"""Conversations of a version that its value head is asked about."""
MOST_VERSIONS = 24
HTML, MARKDOWN = (".html", ".htm"), (".md", ".markdown")


def require_known(*outs: Path | None) -> None:
    """Raises ConfigError for a page that is neither: better before the work than after it."""
    for out in outs:
        if out is not None and out.suffix.lower() not in (*HTML, *MARKDOWN):
            raise ConfigError(f"{out}: a page is .html or .md")


def write(page: Document, outs: Sequence[Path]) -> Sequence[Path]:
    """The page in each file, as its name's ending says. Raises ConfigError for an ending that says nothing."""
    from dialog_rl.evaluation import document
    from dialog_rl.evaluation.page import html

    require_known(*outs)
    for out in outs:
        text = html(page) if out.suffix.lower() in HTML else document.markdown(page)
        out.write_text(text, encoding="utf-8")
    return outs


def beside_of(
    settings: Settings,
    found: Evaluation,
    judge: Judge,
    *,
    values: bool = True,
    minutes: Mapping[str, Interval] | None = None,
    learning: Sequence[Mapping[str, Any]] = (),
    talks: int = 4,
    seed: int = 0,
) -> Beside:
    """What can be told beside the evaluation: pay, the value head's foresight, where versions come from."""
    from dialog_rl.evaluation.chapters import Beside
    from dialog_rl.evaluation.gaming import total

    keys = {id(e): key for result in found.results for key, e in result.episodes.items()}
    return Beside(
        components={name: _components(*scored) for name, scored in judge.scored.items()},
        paid={name: {keys[id(s.episode)]: total(s) for s in scored} for name, (scored, _) in judge.scored.items()},
        calibrations=tuple(_calibrations(settings, found, judge)) if values else (),
        minutes=minutes or {}, learning=learning, talks=talks, seed=seed,
        history=tuple(history(settings, [result.version for result in found.results])),
    )  # fmt: skip


def _components(scored: Sequence[Any], weights: Mapping[str, float]) -> dict[str, Interval]:
    from dialog_rl.evaluation.gaming import total
    from dialog_rl.evaluation.statistics import mean_interval
    from dialog_rl.plugins.trial import whole

    parts = {
        name: mean_interval([weight * (whole(one.components[name]) or 0.0) for one in scored])
        for name, weight in weights.items()
    }
    return {"in all": mean_interval([total(one) for one in scored]), **parts}


def _calibrations(settings: Settings, found: Evaluation, judge: Judge) -> Iterator[Calibration]:
    """Of each contestant that one version alone spoke for, where it is still there."""
    from dialog_rl.evaluation.calibration import calibrate

    for result in found.results:
        spoke = {version for e in result.episodes.values() for version in e.policy_versions}
        scored = judge.scored.get(result.name, ([], {}))[0]
        if len(spoke) != 1 or not scored or not any(one.episode.tokenizer for one in scored):
            continue
        try:
            model = opening.open_model(settings, result.version)
        except CheckpointError as e:
            note(f"{result.name}: its value head is not asked: {one_line(str(e))}")
            continue
        if (told := calibrate(result.name, model, scored[:MOST_VALUED])) is not None:
            yield told


def history(settings: Settings, versions: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """The versions and those that they were made from, the newest first, with what became of each."""
    from dialog_rl.cli.versions import version_rows

    rows = {row["id"]: row for row in version_rows(settings)}
    wanted: dict[str, None] = {}
    left = [version for version in versions if version in rows]
    while left and len(wanted) < MOST_VERSIONS:
        version = left.pop(0)
        if version in rows and version not in wanted:
            wanted[version] = None
            left.append(rows[version]["parent"])
    for row in sorted((rows[version] for version in wanted), key=lambda row: -row["created_at"]):
        made = time.strftime("%Y-%m-%d", time.gmtime(row["created_at"])) if row["created_at"] else ""
        yield {**row, "made": made}
