"""A training run as a folder: what it began with, and a trainer at its beginning or at its last checkpoint."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialog_rl.cli import lending, opening
from dialog_rl.cli.learned import reward_models
from dialog_rl.cli.output import note
from dialog_rl.cli.train_settings import algorithm_of, train_config
from dialog_rl.config import Reward, Settings, Train
from dialog_rl.errors import ConfigError
from dialog_rl.plugins.loading import Plugins
from dialog_rl.plugins.ratings import LoggedRatings
from dialog_rl.scoring import Reward as RewardInstance
from dialog_rl.staging import Stage

if TYPE_CHECKING:
    from dialog_rl.lm.rollouts import Rollouts
    from dialog_rl.online.casting import Source
    from dialog_rl.online.trainer import Trainer
    from dialog_rl.rl.learner import Learner

RUN_FILE = "run.json"
MANIFEST = "manifest.json"
"""Of a version's folder."""
SWEEP_FILE = "sweep.json"
GYM = "gym:"
"""Before the id of an environment that is named beside packs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    folder: Path
    trainer: Trainer
    settings: Settings
    rewards: tuple[RewardInstance, ...]


@contextmanager
def opened_run(
    settings: Settings,
    plugins: Plugins,
    folder: Path | None,
    *,
    name: str | None = None,
    kind: str = "train",
    speak: Rollouts | None = None,
    learn: Callable[..., Learner] | None = None,
) -> Iterator[Run]:
    """A trainer at its beginning or, given a run's folder, at its last valid checkpoint. speak, learn: as `Trainer`
    takes them.

    A run that cannot begin leaves no folder. Raises TrainingError if another process is training in that folder.
    """
    config = train_config(settings.train)
    stages = [_source(plugins, pack) for pack in settings.train.packs]
    place: Path
    lent = {
        "reference": lending.Reference(lambda: reference),
        "reward_model": reward_models(settings),
        "ratings": LoggedRatings(lambda: place / opening.LOG),
    }
    rewards = opening.open_rewards(settings, plugins, lent)
    model, reference = opening.open_taught(settings)
    fresh = folder is None
    folder = place = opening.new_run(settings, name, kind) if folder is None else folder
    from dialog_rl.evaluation.remembering import RememberingPolicy
    from dialog_rl.lm.rollouts import rollouts
    from dialog_rl.online.trainer import Trainer
    from dialog_rl.online.training_record import held
    from dialog_rl.rl.learner import Learner

    reference.policy = RememberingPolicy(reference.policy)
    with _gone_unless_begun(folder, fresh=fresh), held(folder):
        trainer = Trainer(
            folder, stages, model, reference, rewards, config,
            algorithm=algorithm_of(plugins.registry, settings.train), plugins=plugins, speak=speak or rollouts,
            learn=learn or Learner,
        )  # fmt: skip
        if fresh:
            # The version by its id, so that resuming starts from the same weights whatever the name means by then.
            given = settings.train.version
            lasting = str(Path(given).resolve()) if (Path(given) / MANIFEST).is_file() else model.version
            began = settings.train.model_copy(update={"version": lasting})
            write_run(folder, began, settings.rewards, updates=config.updates)
        else:
            for rejected in trainer.resume():
                note(f"warning: passed over {rejected.path.name}: {rejected.reason}")
            note(f"{folder}: going on after update {trainer.done} of {config.updates}")
        yield Run(folder=folder, trainer=trainer, settings=settings, rewards=rewards)


@contextmanager
def _gone_unless_begun(folder: Path, *, fresh: bool) -> Iterator[None]:
    """What cannot begin must not keep the name that the next attempt is given."""
    try:
        yield
    except BaseException:
        if fresh and not (folder / RUN_FILE).exists():
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _source(plugins: Plugins, name: str) -> Stage | Source:
    """A pack with its simulated customers, or a gymnasium environment: `gym:ID`."""
    if not name.startswith(GYM):
        return opening.open_stages(plugins, (name,))[0]
    from dialog_rl.environments.source import source_of

    return source_of(name)


def write_run(folder: Path, settings: Train, rewards: Sequence[Reward], *, updates: int | None = None) -> None:
    """The settings a run began with, next to what comes of them. updates: how many it is to make, for who watches."""
    document = {
        "format": 1, "updates": updates, "train": settings.model_dump(),
        "rewards": [reward.model_dump() for reward in rewards],
    }  # fmt: skip
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
