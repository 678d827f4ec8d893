"""What a finished training says of itself: a report in its folder, and the remarks worth a line on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from dialog_rl.cli import opening
from dialog_rl.cli.output import emit, emit_json, note
from dialog_rl.errors import ConfigError
from dialog_rl.plugins.loading import Plugins
from dialog_rl.scoring import Part, Reward

if TYPE_CHECKING:
    from dialog_rl.episode import Episode
    from dialog_rl.evaluation.review import Review

REPORT, VIOLATIONS = "report.md", "violations.png"
LOOKED_AT = 256
"""Episodes of the beginning, and of the end."""


def look_back(folder: Path, rewards: Sequence[Reward], plugins: Plugins) -> Review | None:
    """The review of a run; None if it has made no update."""
    from dialog_rl.evaluation.review import review
    from dialog_rl.online import training_record

    first, last = _ends(folder / opening.LOG)
    return review(training_record.read(folder), first, last, rewards, plugins.combine)


def report_run(folder: Path, rewards: Sequence[Reward], plugins: Plugins, *, as_json: bool = False) -> None:
    """Write the report, and say what stands out."""
    from dialog_rl.evaluation.review import markdown, remarks

    found = look_back(folder, rewards, plugins)
    if found is None:
        return
    text = markdown(found)
    if any(reward.part is Part.CONSTRAINT for reward in rewards) and _draw_violations(folder, rewards):
        text += f"\n![Violations of the constraints]({VIOLATIONS})\n"
    (folder / REPORT).write_text(text, encoding="utf-8")
    if as_json:
        emit_json("review", {"review": asdict(found), "remarks": remarks(found)})
        return
    for line in remarks(found):
        emit(line)
    emit(f"Report: {folder / REPORT}")


def _draw_violations(folder: Path, rewards: Sequence[Reward]) -> bool:
    """Whether the figure could be drawn: without matplotlib the report goes without it, aloud."""
    from dialog_rl.evaluation.curves import Violations, draw_violations
    from dialog_rl.online import training_record

    updates = training_record.read(folder)
    dialogues = [update["dialogues"] for update in updates]
    curves = [
        Violations(
            name=reward.name,
            dialogues=dialogues,
            rates=[update["combination"].get(f"rate/{reward.name}", 0.0) for update in updates],
            target=reward.target,
        )
        for reward in rewards
        if reward.part is Part.CONSTRAINT
    ]
    try:
        draw_violations(curves, folder / VIOLATIONS, title=f"{folder.name}: violations while learning")
    except ConfigError as e:
        note(f"warning: {e}")
        return False
    return True


def _ends(where: Path) -> tuple[list[Episode], list[Episode]]:
    """The first and the last episodes of a log, without reading those between."""
    from dialog_rl.episode_log.log import EpisodeLog

    with EpisodeLog.open(where, read_only=True) as log:
        first = [logged.episode for logged in islice(log.episodes(), LOOKED_AT)]
        since = max(0, log.last_seq() - LOOKED_AT)
        return first, [logged.episode for logged in log.episodes(since=since)]
