"""What commands open: models by version, stages by pack, rewards by settings, runs and their logs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialog_rl import config
from dialog_rl.cli.output import note
from dialog_rl.config import Settings
from dialog_rl.errors import ConfigError, EpisodeLogError
from dialog_rl.plugins.loading import Plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.scoring import OnFailure, Part, Reward, RewardSpec
from dialog_rl.staging import Stage, open_stage

if TYPE_CHECKING:
    from dialog_rl.lm.model import SpeakingModel

LOG = "episodes.db"
VERSIONS = "versions"


def open_model(settings: Settings, name: str) -> SpeakingModel:
    """A version by alias, name, beginning of its id, or folder; or a checkpoint of a known family. See
    `version_folder`. Raises CheckpointError.
    """
    prepare_torch(settings)
    from dialog_rl.lm.model import SpeakingModel

    return SpeakingModel.load(version_folder(settings, name))


def version_folder(settings: Settings, name: str) -> Path:
    """Where a version lies. A user's own versions come before those shipped.

    What has a slash in it is a folder: a version, or a checkpoint in Hugging Face's form, of which a version is made;
    or the id of one in the local cache.
    """
    from dialog_rl.lm import versions

    if "/" not in name and os.sep not in name:
        return versions.find(stores(settings), name).path
    folder = Path(name)
    if (folder / versions.MANIFEST).is_file() or (folder.is_dir() and not (folder / "tokenizer.json").is_file()):
        return folder
    if not folder.is_dir() and (name.startswith((".", "/", "~")) or name.count("/") != 1):
        return folder
    from dialog_rl.lm.intake import take_in

    note(f"{name}: looking through the checkpoint …")
    return take_in(name, stores(settings)[0], chat_format=settings.model.format)


def open_taught(settings: Settings) -> tuple[SpeakingModel, SpeakingModel]:
    """The version that training starts from, as it is to be trained, and what the KL penalty holds it to."""
    from dialog_rl.lm.adapters import AdapterShape
    from dialog_rl.lm.versions import verify

    train, folder = settings.train, version_folder(settings, settings.train.version)
    model = open_model(settings, str(folder.resolve()))
    if train.lora and model.base is None:
        model.adapt(AdapterShape(rank=train.lora, alpha=2 * train.lora), verify(folder))
    model.policy.checkpointing = train.recompute
    if model.base is not None:
        return model, model.frozen()
    return model, open_model(settings, str(folder.resolve()))


def stores(settings: Settings) -> tuple[Path, ...]:
    """This machine's own store, a copy of what is shared where something is; and the one that comes with the program.

    Raises ConfigError, CheckpointError if what is shared cannot be reached.
    """
    from dialog_rl.lm.versions import EMBEDDED

    own = Path(settings.paths.runs) / VERSIONS
    if settings.paths.versions:
        from dialog_rl.lm.promotions import share

        share(own, settings.paths.versions)
    return (own, EMBEDDED)


def prepare_torch(settings: Settings) -> None:
    """Import torch, which takes seconds, saying so; and give it its threads."""
    if "torch" not in sys.modules and sys.stderr.isatty():
        note("loading torch …")
    from dialog_rl.lm.placement import Placement, use_placement
    from dialog_rl.lm.threads import use_threads

    use_threads(settings.agent.threads)
    place = settings.model
    use_placement(Placement(device=place.device, dtype=place.dtype, attention=place.attention, context=place.context))


def open_stages(
    plugins: Plugins,
    packs: Sequence[str],
    simulator: str = "agenda",
    options: Mapping[str, Any] | None = None,
    *,
    lent: Mapping[str, Any] | None = None,
) -> tuple[Stage, ...]:
    """A stage for each pack. `lent` is what this command can give a simulator that needs it."""
    if not packs:
        raise ConfigError("no pack is named; 'dialog-rl scenarios list' shows them")
    return tuple(open_stage(plugins.registry, pack, simulator, options, lent=lent) for pack in packs)


def all_packs(plugins: Plugins, packs: Sequence[str]) -> tuple[str, ...]:
    """The packs named, "all" for every registered one."""
    return tuple(sorted(plugins.registry.scenario_packs)) if "all" in packs else tuple(packs)


def configured_rewards(settings: Settings) -> tuple[config.Reward, ...]:
    """The configured rewards, or the built-in mixture written as such."""
    if settings.rewards:
        return settings.rewards
    from dialog_rl.online.apprentice import DEFAULT_REWARDS

    return tuple(config.Reward(use=spec.use, weight=spec.weight, options=spec.options) for spec in DEFAULT_REWARDS)


def reward_specs(settings: Settings) -> tuple[RewardSpec, ...]:
    """The configured rewards, or the built-in mixture."""
    return tuple(
        RewardSpec(
            use=reward.use,
            name=reward.name,
            weight=reward.weight,
            options=reward.options,
            on_failure=OnFailure(reward.on_failure),
            part=Part(reward.part),
            target=reward.target,
            scaled=reward.scaled,
            adaptive=reward.adaptive,
        )
        for reward in configured_rewards(settings)
    )


def open_rewards(settings: Settings, plugins: Plugins, lent: Mapping[str, Any] | None = None) -> tuple[Reward, ...]:
    """The configured rewards. `lent` is what this command can give those that need it."""
    return build_rewards(plugins.registry, reward_specs(settings), resources=lent)


def new_run(settings: Settings, name: str | None, kind: str) -> Path:
    """The folder of a new run, made: `name`, or kind-1, kind-2, … Raises ConfigError if the name is taken."""
    runs = Path(settings.paths.runs)
    if name is not None:
        if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith("."):
            raise ConfigError(f"{name!r} is no name for a run: letters, digits, '-', '_' and '.'")
        folder = runs / name
        if folder.exists():
            raise ConfigError(f"{folder} is there already; choose another name, or go on with it: --resume {name}")
        folder.mkdir(parents=True)
        return folder
    runs.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = runs / f"{kind}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
            continue
        return folder


def find_run(settings: Settings, name: str) -> Path:
    """A run's folder by its name or path."""
    for folder in (Path(settings.paths.runs) / name, Path(name)):
        if folder.is_dir():
            return folder
    raise ConfigError(f"there is no run {name!r}{_runs_hint(settings)}")


def find_log(settings: Settings, where: str | None) -> str:
    """The log of a run, a file or a database URL; without a name that of the run written to last."""
    runs = Path(settings.paths.runs)
    if where is None:
        logs = sorted(runs.glob(f"*/{LOG}"), key=lambda path: path.stat().st_mtime)
        if not logs:
            raise EpisodeLogError(f"there is no episode log in {runs}/ yet; 'dialog-rl simulate' makes one")
        return str(logs[-1])
    if "://" in where or Path(where).is_file():
        return where
    for folder in (runs / where, Path(where)):
        if (folder / LOG).is_file():
            return str(folder / LOG)
    raise EpisodeLogError(f"there is no episode log {where!r}{_runs_hint(settings)}")


def _runs_hint(settings: Settings) -> str:
    runs = Path(settings.paths.runs)
    names = sorted(path.name for path in runs.glob("*") if path.is_dir() and path.name != VERSIONS)
    return f"; in {runs}/ there are: {', '.join(names[:12])}" if names else f"; there are no runs in {runs}/"
