"""`dialog-rl compare`: which algorithm learns best from the same dialogues, with how much confidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dialog_rl.cli import opening
from dialog_rl.cli.comparing import Plan, measured, named
from dialog_rl.cli.options import as_json, environment_options, interruptible, open_environment
from dialog_rl.cli.output import emit, emit_json, note
from dialog_rl.cli.train_settings import algorithm_of, train_config
from dialog_rl.config import Settings
from dialog_rl.errors import ConfigError
from dialog_rl.plugins.loading import Plugins

ALGORITHMS = ("reinforce", "a2c", "ppo", "rloo", "grpo", "reinforce-pp")
FIGURE, TABLE = "comparison.png", "comparison.md"


@click.command()
@click.argument("algorithms", nargs=-1, metavar="ALGO[:KEY=VALUE,…]...")
@click.option("--pack", "packs", multiple=True, metavar="NAME|DIR", help="Pack to learn from; several, or 'all'.")
@click.option("--from", "version", metavar="VERSION", help="Version that all start from. Default: base.")
@click.option("--dialogues", type=click.IntRange(min=1), help="Dialogues that each run learns from.")
@click.option("--batch", type=click.IntRange(min=2), help="Dialogues an update.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Runs of each algorithm.")
@click.option("--goals", type=click.IntRange(min=1), default=200, show_default=True, help="Held-out customers a pack.")
@click.option("--run", "name", metavar="NAME", help="Name of the comparison. Default: compare-1, compare-2, …")
@click.option("--resume", metavar="NAME", help="Go on with a comparison that was stopped or killed.")
@environment_options
@as_json
def compare(
    algorithms: tuple[str, ...],
    packs: tuple[str, ...],
    seeds: int,
    goals: int,
    name: str | None,
    resume: str | None,
    as_json: bool,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
    **flags: Any,
) -> None:
    """Train ALGORITHMS on the same dialogues of the same packs, with several seeds each, and measure what comes of it.

    Without any: all on-policy ones. A comparison is a folder that --resume goes on with; it ends with one table and one
    figure in it. Settings of 'train' hold for all.
    """
    changes = {f"train__{key}": value for key, value in {**flags, "packs": packs}.items()}
    with open_environment(config_file, plugin, no_plugin, **changes) as (resolved, plugins):
        settings = resolved.settings
        if resume is not None:
            if algorithms or name or any(value is not None and value != () for value in changes.values()):
                raise ConfigError("a resumed comparison keeps its plan; leave the other options out")
            folder = opening.find_run(settings, resume)
            plan = Plan.load(folder)
        else:
            plan = _plan(settings, plugins, algorithms or ALGORITHMS, seeds, goals)
            folder = opening.new_run(settings, name, "compare")
            plan.save(folder)
        how = f"Stopping; 'dialog-rl compare --resume {folder.name}' goes on from there."
        given = [word for path in plugin for word in ("--plugin", str(path))]
        given += [word for one in no_plugin for word in ("--no-plugin", one)]
        with interruptible(how) as stop:
            runs, start = measured(folder, plan, settings, plugins, given, stop)
        show(folder, plan, runs, start, as_json=as_json)


def _plan(settings: Settings, plugins: Plugins, algorithms: Sequence[str], seeds: int, goals: int) -> Plan:
    """Raises ConfigError or PluginError about an algorithm that cannot be made, before anything is trained."""
    twice = {one for one in algorithms if list(algorithms).count(one) > 1}
    if twice:
        raise ConfigError(f"compare: {', '.join(sorted(twice))} is named twice")
    version = opening.version_folder(settings, settings.train.version).resolve()
    packs = opening.all_packs(plugins, settings.train.packs)
    train = settings.train.model_copy(update={"packs": packs, "version": str(version)})
    for one in algorithms:
        chosen = train.model_copy(update=named(one))
        algorithm_of(plugins.registry, chosen)
    train_config(train)
    return Plan(
        algorithms=tuple(algorithms), seeds=seeds, goals=goals, train=train.model_dump(),
        rewards=tuple(reward.model_dump() for reward in opening.configured_rewards(settings)),
    )  # fmt: skip


def show(folder: Path, plan: Plan, runs: Sequence[Any], start: Sequence[bool], *, as_json: bool) -> None:
    """Write the table and the figure, and say the table."""
    from dialog_rl.evaluation import algorithms_report as report
    from dialog_rl.evaluation.algorithms import table

    rows, margins = table(runs, start), report.margins_of(runs)
    before = sum(start) / len(start)
    what = (
        f"{runs[0].dialogues[-1]:,} dialogues of {', '.join(plan.train['packs'])}, {plan.seeds} seeds, {len(start)} "
        f"held-out customers; {100 * before:.1f} % before. Intervals are 95 %, over seeds and customers."
    )
    written = report.markdown(rows, margins, what)
    try:
        report.draw(runs, rows, folder / FIGURE, title="Success while learning", start=before)
        written += f"\n![Learning curves]({FIGURE})\n"
    except ConfigError as e:
        note(f"warning: {e}")
    (folder / TABLE).write_text(written, encoding="utf-8")
    if as_json:
        emit_json("comparison", {"folder": str(folder), **report.document(runs, rows, margins, start)})
        return
    emit(report.plain(rows, margins, what))
    emit(f"{folder / TABLE}")
