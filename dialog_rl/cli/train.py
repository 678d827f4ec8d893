"""`dialog-rl train`: learn from simulated customers, with a run folder that can be stopped and taken up again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import extensions, opening, workers
from dialog_rl.cli.looking_back import report_run
from dialog_rl.cli.options import as_json, environment_options, interruptible, open_environment
from dialog_rl.cli.output import Progress, emit, emit_json, note
from dialog_rl.cli.train_runs import SWEEP_FILE, Run, opened_run, read_run
from dialog_rl.config import Reward, Settings
from dialog_rl.errors import ConfigError

if TYPE_CHECKING:
    from dialog_rl.online.progress import Progress as UpdateProgress


@click.command()
@click.option("--pack", "packs", multiple=True, metavar="NAME|DIR", help="Pack to learn from; several, or 'all'.")
@click.option("--from", "--model", "version", metavar="VERSION|DIR|ID", help="What to start from. Default: base.")
@click.option("--lora", type=click.IntRange(1, 1024), help="Train an adapter of this rank; all weights without.")
@click.option("--dialogues", type=click.IntRange(min=1), help="Dialogues in all.")
@click.option("--batch", type=click.IntRange(min=2), help="Dialogues an update.")
@click.option("--slots", type=click.IntRange(min=1), help="Dialogues spoken at once.")
@click.option("--algorithm", metavar="NAME", help="Update rule. Default: ppo; 'dialog-rl plugins list' shows others.")
@click.option(
    "--algorithm-option", "algorithm_options", multiple=True, metavar="KEY=VALUE", help="An option of the algorithm."
)
@click.option("--learning-rate", type=float, help="Of the optimizer.")
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over an update's dialogues.")
@click.option("--kl", type=click.FloatRange(min=0), help="Weight of the divergence from the starting version.")
@click.option(
    "--practice", type=click.Choice(["uniform", "epsilon-greedy", "ucb", "thompson"]), help="Which intents to practise."
)
@click.option(
    "--overlap", is_flag=True, default=None, help="Speak the next update's dialogues while this one's are learnt from."
)
@click.option("--validate-every", type=click.IntRange(min=0), help="Updates between looks; the best weights are kept.")
@click.option("--patience", type=click.IntRange(min=0), help="Looks without a better one that end the run.")
@click.option("--seed", type=click.IntRange(min=0), help="Everything random follows from it.")
@click.option("--run", "name", metavar="NAME", help="Name of the run. Default: train-1, train-2, …")
@click.option(
    "--reward", "more_rewards", multiple=True, metavar="NAME[=WEIGHT]", help="A reward beside those of the settings."
)
@click.option(
    "--sweep",
    "sweeps",
    multiple=True,
    metavar="SETTING=A,B,…",
    help="Try these values of a setting, several times for several; the worse half is given up again and again.",
)
@click.option("--tracker", "trackers", multiple=True, metavar="NAME", help="Let a plugin's tracker have the figures.")
@click.option("--resume", metavar="RUN", help="Go on with a run, with the settings it began with.")
@click.option("--learners", type=click.IntRange(min=1), help="Let so many processes learn together, on this machine.")
@workers.options
@environment_options
@as_json
def train(
    version: str | None,
    packs: tuple[str, ...],
    name: str | None,
    resume: str | None,
    more_rewards: tuple[str, ...],
    sweeps: tuple[str, ...],
    ray: int | None,
    ray_address: str,
    learners: int | None,
    as_json: bool,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
    **flags: Any,
) -> None:
    """Learn from simulated customers by reinforcement: PPO, or another algorithm.

    A run is a folder: its settings, every dialogue, a line a update, checkpoints. Ctrl-C leaves one that
    'train --resume' continues as if it had not been stopped. At the end the weights become a version.
    """
    changes = {f"train__{key}": value for key, value in {**flags, "version": version, "packs": packs}.items()}
    with open_environment(config_file, plugin, no_plugin, **changes) as (resolved, plugins):
        settings = resolved.settings
        if resume is not None:
            if any(value is not None and value != () for value in (*changes.values(), name, more_rewards, sweeps)):
                raise ConfigError("a resumed run keeps the settings it began with; leave the other options out")
            folder = opening.find_run(settings, resume)
            settings = read_run(folder, settings)
        else:
            packs = opening.all_packs(plugins, settings.train.packs)
            rewards = (*opening.configured_rewards(settings), *map(named_reward, more_rewards))
            changed = {"train": settings.train.model_copy(update={"packs": packs})}
            settings = settings.model_copy(update={**changed, "rewards": rewards} if more_rewards else changed)
            folder = None
        if (ray or learners) and sweeps:
            raise ConfigError("--sweep trains in processes of its own; leave out --ray and --learners")
        if sweeps or (folder is not None and (folder / SWEEP_FILE).is_file()):
            from dialog_rl.cli.sweep import sweep

            sweep(settings, plugins, sweeps, folder, name=name, as_json=as_json)
            return
        if settings.train.overlap:
            if ray or learners:
                raise ConfigError("--overlap speaks and learns in this one process; leave out --ray and --learners")
            settings = _halved(settings)
        with (
            extensions.tracking(plugins.registry, settings.train.trackers) as track,
            workers.speaking(settings, ray, ray_address) as speaking,
            workers.learning(settings, learners) as learning,
            opened_run(settings, plugins, folder, name=name, kind="train", **speaking, **learning) as run,
        ):
            teach(run, as_json=as_json, track=track)
            look = partial(report_run, run.folder, run.rewards, plugins, as_json=as_json)
            finish(run, as_json=as_json, before_telling=look)


def _halved(settings: Settings) -> Settings:
    """Who speaks and who learns have half of the cores each, unless somebody said how many."""
    from dialog_rl.lm.threads import available_cores

    threads = settings.agent.threads or max(1, available_cores() // 2)
    return settings.model_copy(update={"agent": settings.agent.model_copy(update={"threads": threads})})


def named_reward(text: str) -> Reward:
    """`politeness=0.5` as a reward with that weight."""
    use, equals, weight = text.partition("=")
    try:
        return Reward(use=use, weight=float(weight) if equals else 1.0)
    except ValueError:
        raise ConfigError(f"--reward {text!r}: write NAME or NAME=WEIGHT, with a number") from None


def teach(
    run: Run, *, as_json: bool = False, track: extensions.Track = lambda step, figures: None
) -> list[UpdateProgress]:
    """Run the trainer to its end, with progress; Ctrl-C makes a checkpoint and raises KeyboardInterrupt."""
    trainer, config = run.trainer, run.trainer.config
    seen: list[UpdateProgress] = []
    if not as_json:
        note(f"{run.folder}: {config.dialogues:,} dialogues with {', '.join(run.settings.train.packs)}")
    how = f"Stopping after a checkpoint; 'dialog-rl train --resume {run.folder.name}' goes on from there."
    with interruptible(how) as cancelled:
        with Progress("learning", config.updates * config.batch) as progress:
            for update in trainer.run(cancelled=cancelled):
                seen.append(update)
                progress.at(update.dialogues, summary_line(update))
                track(update.update, asdict(update))
                if as_json:
                    emit_json("update", asdict(update))
        if cancelled() and trainer.done:
            trainer.checkpoint()
    return seen


def summary_line(update: UpdateProgress) -> str:
    return (
        f"success {100 * update.success:.0f} %  rules broken {100 * update.violations:.0f} %  "
        f"turns {update.turns:.1f}  KL {update.stats.kl_reference or 0:.3f}"
    )


def finish(run: Run, *, as_json: bool = False, before_telling: Callable[[], None] = lambda: None) -> str:
    """Publish the weights; returns the version's id."""
    version = run.trainer.publish(Path(run.settings.paths.runs) / opening.VERSIONS)
    before_telling()
    if as_json:
        emit_json("run", {"run": run.folder.name, "folder": str(run.folder), "version": version.id})
    else:
        emit(f"version {version.id} made from {run.folder}")
        emit(f"Measure it: dialog-rl evaluate {run.settings.train.version} {version.id}")
        emit(f"Talk to it: dialog-rl chat --plain --version {version.id}")
    return version.id
