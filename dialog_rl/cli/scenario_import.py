"""`dialog-rl scenarios import`: other people's scenarios as packs, and a report of what could not be played and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli.options import as_json, environment_options, open_environment
from dialog_rl.cli.output import Progress, emit, emit_json, note
from dialog_rl.text import table

if TYPE_CHECKING:
    from dialog_rl.lint_sourced import Played
    from dialog_rl.plugins.loading import Plugins
    from dialog_rl.sources import Imported, Importer


@click.command(name="import")
@click.argument("source")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Where the packs go. Default: ./SOURCE.")
@environment_options
@as_json
def import_(
    source: str,
    folder: Path,
    out: Path | None,
    as_json: bool,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
) -> None:
    """Read other people's scenarios in FOLDER and write packs that every command takes.

    SOURCE says whose they are: tau2 for a checkout of tau2-bench, or its data folder; multiwoz for MultiWOZ 2.1; abcd
    for ABCD. Every task is played by one who knows what is right; what cannot be played is left out and named with the
    reason.
    """
    with open_environment(config_file, plugin, no_plugin) as (_, plugins):
        importer: Importer = plugins.registry.scenario_sources[source].make({})
        brought = importer.bring(folder, out or Path(source))
        packs = [_proved(plugins, importer, source, one) for one in brought]
    if as_json:
        emit_json("import", {"packs": packs})
        return
    _tell(packs)


def _proved(plugins: Plugins, importer: Importer, source: str, brought: Imported) -> dict[str, Any]:
    """One imported folder without what cannot be played, and its figures."""
    from dialog_rl.lint_sourced import CLAIMING, EXPERT, IDLE, play
    from dialog_rl.staging import open_stage

    stage = open_stage(plugins.registry, f"{source}:{brought.folder}")
    with Progress(f"playing {stage.pack.name}", sum(brought.splits.values())) as progress:
        count = [0]

        def on_task() -> None:
            count[0] += 1
            progress.at(count[0], "")

        played = play(stage, on_task)
    if played.failed:
        importer.leave_out(brought.folder, played.failed)
    refused = {**brought.refused, **played.failed}
    return {
        "pack": stage.pack.name, "folder": str(brought.folder), "tasks": played.customers + len(brought.refused),
        "playable": played.customers - len(played.failed), "splits": dict(brought.splits), "refused": refused,
        "expert": _counted(played, EXPERT), "does_nothing": _counted(played, IDLE),
        "claims": _counted(played, CLAIMING), "remarks": list(brought.remarks),
    }  # fmt: skip


def _counted(played: Played, agent: str) -> dict[str, int | None]:
    """Goals an agent reached as we count, and as their own rules do; None where they have none."""
    return {"ours": len(played.reached[agent]), "theirs": len(played.paid[agent]) if played.graded else None}


def _tell(packs: list[dict[str, Any]]) -> None:
    headers = ["pack", "tasks", "playable", "expert", "does nothing", "only claims", "folder"]
    rows = [
        [p["pack"], str(p["tasks"]), str(p["playable"])]
        + [_shown(p[who]) for who in ("expert", "does_nothing", "claims")]
        + [p["folder"]]
        for p in packs
    ]
    emit(table(headers, rows, right=[1, 2, 3, 4, 5]))
    own_rules = any(p["expert"]["theirs"] is not None for p in packs)
    emit("Goals reached as we count" + (", in brackets as their own rules count." if own_rules else "."))
    for pack in packs:
        for remark in pack["remarks"]:
            note(f"{pack['pack']}: {remark}")
        for reason, count in Counter(pack["refused"].values()).most_common():
            emit(f"{pack['pack']}: {count} left out: {reason}")
    first = packs[0]["folder"]
    splits = [split for split, count in packs[0]["splits"].items() if count]
    met = "" if "heldout" in splits or not splits else f" --split {splits[0]}"  # evaluate meets the held-out ones
    emit(f"Try one:  dialog-rl evaluate expert --pack {first if '/' in first else f'./{first}'}{met}")


def _shown(reached: Mapping[str, int | None]) -> str:
    return f"{reached['ours']}" + ("" if reached["theirs"] is None else f" ({reached['theirs']})")
