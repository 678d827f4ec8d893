"""`dialog-rl train`: learn from simulated customers, with a run folder that can be stopped and taken up again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import lending, opening
from dialog_rl.cli.looking_back import report_run
from dialog_rl.cli.options import as_json, environment_options, interruptible, open_environment
from dialog_rl.cli.output import Progress, emit, emit_json, note
from dialog_rl.config import Reward, Settings, Train
from dialog_rl.errors import ConfigError
from dialog_rl.plugins.loading import Plugins
from dialog_rl.plugins.ratings import LoggedRatings
from dialog_rl.scoring import Reward as RewardInstance

if TYPE_CHECKING:
    from dialog_rl.online.train_config import TrainConfig
    from dialog_rl.online.trainer import Progress as UpdateProgress
    from dialog_rl.online.trainer import Trainer

RUN_FILE = "run.json"


@click.command()
@click.option("--pack", "packs", multiple=True, metavar="NAME|DIR", help="Pack to learn from; several, or 'all'.")
@click.option("--from", "version", metavar="VERSION", help="Version to start from. Default: base.")
@click.option("--dialogues", type=click.IntRange(min=1), help="Dialogues in all.")
@click.option("--batch", type=click.IntRange(min=2), help="Dialogues an update.")
@click.option("--slots", type=click.IntRange(min=1), help="Dialogues spoken at once.")
@click.option("--learning-rate", type=float, help="Of the optimizer.")
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over an update's dialogues.")
@click.option("--kl", type=click.FloatRange(min=0), help="Weight of the divergence from the starting version.")
@click.option("--seed", type=click.IntRange(min=0), help="Everything random follows from it.")
@click.option("--run", "name", metavar="NAME", help="Name of the run. Default: train-1, train-2, …")
@click.option(
    "--reward", "more_rewards", multiple=True, metavar="NAME[=WEIGHT]", help="A reward beside those of the settings."
)
@click.option("--resume", metavar="RUN", help="Go on with a run, with the settings it began with.")
@environment_options
@as_json
def train(
    version: str | None,
    packs: tuple[str, ...],
    name: str | None,
    resume: str | None,
    more_rewards: tuple[str, ...],
    as_json: bool,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
    **flags: Any,
) -> None:
    """Learn from simulated customers by PPO.

    A run is a folder: its settings, every dialogue, a line a update, checkpoints. Ctrl-C leaves one that
    'train --resume' continues as if it had not been stopped. At the end the weights become a version.
    """
    changes = {f"train__{key}": value for key, value in {**flags, "version": version, "packs": packs}.items()}
    with open_environment(config_file, plugin, no_plugin, **changes) as (resolved, plugins):
        settings = resolved.settings
        if resume is not None:
            if any(value is not None and value != () for value in changes.values()) or name or more_rewards:
                raise ConfigError("a resumed run keeps the settings it began with; leave the other options out")
            folder = opening.find_run(settings, resume)
            settings = read_run(folder, settings)
        else:
            packs = opening.all_packs(plugins, settings.train.packs)
            rewards = (*opening.configured_rewards(settings), *map(named_reward, more_rewards))
            changed = {"train": settings.train.model_copy(update={"packs": packs})}
            settings = settings.model_copy(update={**changed, "rewards": rewards} if more_rewards else changed)
            folder = None
        with opened_run(settings, plugins, folder, name=name, kind="train") as run:
            teach(run, as_json=as_json)
            look = partial(report_run, run.folder, run.rewards, plugins, as_json=as_json)
            finish(run, as_json=as_json, before_telling=look)


def named_reward(text: str) -> Reward:
    """`politeness=0.5` as a reward with that weight."""
    use, equals, weight = text.partition("=")
    try:
        return Reward(use=use, weight=float(weight) if equals else 1.0)
    except ValueError:
        raise ConfigError(f"--reward {text!r}: write NAME or NAME=WEIGHT, with a number") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    folder: Path
    trainer: Trainer
    settings: Settings
    rewards: tuple[RewardInstance, ...]


@contextmanager
def opened_run(
    settings: Settings, plugins: Plugins, folder: Path | None, *, name: str | None = None, kind: str = "train"
) -> Iterator[Run]:
    """A trainer at its beginning or, given a run's folder, at its last valid checkpoint."""
    config = train_config(settings.train)
    stages = opening.open_stages(plugins, settings.train.packs)
    place: Path
    lent = {
        "reference": lending.Reference(lambda: reference),
        "ratings": LoggedRatings(lambda: place / opening.LOG),
    }
    rewards = opening.open_rewards(settings, plugins, lent)
    model, reference = (opening.open_model(settings, settings.train.version) for _ in range(2))
    fresh = folder is None
    folder = place = opening.new_run(settings, name, kind) if folder is None else folder
    from dialog_rl.evaluation.remembering import RememberingPolicy
    from dialog_rl.online.trainer import Trainer

    reference.policy = RememberingPolicy(reference.policy)
    trainer = Trainer(folder, stages, model, reference, rewards, config, plugins=plugins)
    if fresh:
        # The version by its id, so that resuming starts from the same weights whatever the name means by then.
        given = settings.train.version
        lasting = str(Path(given).resolve()) if "/" in given else model.version
        write_run(folder, settings.train.model_copy(update={"version": lasting}), settings.rewards)
    else:
        for rejected in trainer.resume():
            note(f"warning: passed over {rejected.path.name}: {rejected.reason}")
        note(f"{folder}: going on after update {trainer.done} of {config.updates}")
    yield Run(folder=folder, trainer=trainer, settings=settings, rewards=rewards)


def teach(run: Run, *, as_json: bool = False) -> list[UpdateProgress]:
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


def train_config(settings: Train) -> TrainConfig:
    """The trainer's configuration: its own defaults, but for what is set."""
    from dialog_rl.online.train_config import TrainConfig
    from dialog_rl.rl.algorithms.ppo import Level

    base = TrainConfig()
    learner = _changed(
        base.learner,
        learning_rate=settings.learning_rate,
        epochs=settings.epochs,
        minibatch_episodes=settings.minibatch,
        entropy_coef=settings.entropy,
        imitation_coef=settings.imitation,
        seed=settings.seed,
        kl=None if settings.kl is None else replace(base.learner.kl, coef=settings.kl),
    )
    ppo = _changed(
        base.ppo,
        level=None if settings.level is None else Level(settings.level),
        gamma=settings.gamma,
        lam=settings.lam,
        clip=settings.clip,
    )
    dialogues = settings.dialogues or base.dialogues
    return _changed(
        base,
        dialogues=dialogues,
        # Fewer dialogues than an update has are one small update, not a large one.
        batch=settings.batch or max(2, min(base.batch, dialogues)),
        slots=settings.slots,
        temperature=settings.temperature,
        seed=settings.seed,
        checkpoint_every=settings.checkpoint_every,
        learner=learner,
        ppo=ppo,
    )


def _changed(config: Any, **values: Any) -> Any:
    return replace(config, **{name: value for name, value in values.items() if value is not None})


def write_run(folder: Path, settings: Train, rewards: Sequence[Reward]) -> None:
    """The settings a run began with, next to what comes of them."""
    document = {"format": 1, "train": settings.model_dump(), "rewards": [reward.model_dump() for reward in rewards]}
    (folder / RUN_FILE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read_run(folder: Path, settings: Settings) -> Settings:
    """Today's settings with those that the run began with in their place."""
    path = folder / RUN_FILE
    try:
        document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        began = Train.model_validate(document["train"])
        rewards = tuple(Reward.model_validate(reward) for reward in document["rewards"])
    except FileNotFoundError:
        raise ConfigError(f"{folder} is no training run: there is no {RUN_FILE} in it") from None
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ConfigError(f"{path}: cannot be read: {e}") from None
    return settings.model_copy(update={"train": began, "rewards": rewards})
