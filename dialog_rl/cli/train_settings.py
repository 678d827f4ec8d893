"""From the settings of a training to the objects that it runs with: the trainer's configuration and the update rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dialog_rl.cli.options import key_values
from dialog_rl.config import Train
from dialog_rl.errors import PluginError
from dialog_rl.plugins.registry import Registry, parameters

if TYPE_CHECKING:
    from dialog_rl.online.train_config import TrainConfig
    from dialog_rl.rl.algorithm import Algorithm
    from dialog_rl.rl.learner_config import LearnerConfig

CONTRACT = ("name", "needs", "advantages", "loss")
_SAME = (
    "slots", "temperature", "seed", "checkpoint_every", "group", "temperature_end", "warmup", "last_layers",
    "per_pack", "validate_every", "validation", "patience", "tuition_every", "tuition",
    "overlap",
)  # fmt: skip
"""What is called the same in the settings and in the trainer's configuration."""


def algorithm_of(registry: Registry, settings: Train) -> Algorithm:
    """The update rule by its registered name, with the options that are set. Raises ConfigError or PluginError."""
    registered = registry.algorithms[settings.algorithm]
    accepted = parameters(registered.load())
    given: dict[str, Any] = {
        name: value for name in ("level", "gamma", "lam", "clip") if (value := getattr(settings, name)) is not None
    }
    if "level" in (accepted or {}):
        given.setdefault("level", str(train_config(settings).ppo.level))
    made = registered.make({**given, **key_values(settings.algorithm_options, "--algorithm-option")})
    missing = [name for name in CONTRACT if not hasattr(made, name)]
    if missing:
        raise PluginError(
            f"algorithm {settings.algorithm!r} of plugin {registered.plugin!r} has no {', '.join(missing)}; "
            "see dialog_rl.rl.algorithm.Algorithm"
        )
    return made


def train_config(settings: Train) -> TrainConfig:
    """The trainer's configuration: its own defaults, but for what is set."""
    from dialog_rl.online.practice import Strategy
    from dialog_rl.online.train_config import TrainConfig
    from dialog_rl.rl.choices import Level
    from dialog_rl.rl.schedules import Schedule

    base = TrainConfig()
    ppo = _changed(
        base.ppo, level=settings.level and Level(settings.level), gamma=settings.gamma, lam=settings.lam,
        clip=settings.clip,
    )  # fmt: skip
    dialogues = settings.dialogues or base.dialogues
    return _changed(
        base,
        dialogues=dialogues,
        # Fewer dialogues than an update has are one small update, not a large one.
        batch=settings.batch or max(2, min(base.batch, dialogues)),
        schedule=settings.schedule and Schedule(settings.schedule),
        practice=settings.practice and Strategy(settings.practice),
        learner=_learner(settings, base.learner),
        ppo=ppo,
        **{name: getattr(settings, name) for name in _SAME},
    )


def in_force(settings: Train) -> dict[str, Any]:
    """Every setting by name with the value that a training would run with: what is set, or the trainer's own."""
    config = train_config(settings)
    learner, kl, ppo = config.learner, config.learner.kl, config.ppo
    return {
        **settings.model_dump(),
        **{name: getattr(config, name) for name in (*_SAME, "dialogues", "batch", "schedule", "practice")},
        **{name: getattr(ppo, name) for name in ("level", "gamma", "lam", "clip")},
        "kl": kl.coef,
        "kl_estimator": kl.estimator,
        "kl_place": kl.place,
        "kl_target": kl.target,
        **{name: getattr(learner, name) for name in ("learning_rate", "epochs", "kl_stop", "entropy_target")},
        "minibatch": learner.minibatch_episodes,
        "entropy": learner.entropy_coef,
        "imitation": learner.imitation_coef,
    }


def _learner(settings: Train, base: LearnerConfig) -> LearnerConfig:
    from dialog_rl.rl.choices import KLEstimator
    from dialog_rl.rl.kl import KLPlace

    kl: Mapping[str, Any] = {
        "coef": settings.kl,
        "estimator": settings.kl_estimator and KLEstimator(settings.kl_estimator),
        "place": settings.kl_place and KLPlace(settings.kl_place),
        "target": settings.kl_target,
    }
    return _changed(
        base,
        learning_rate=settings.learning_rate,
        epochs=settings.epochs,
        minibatch_episodes=settings.minibatch,
        entropy_coef=settings.entropy,
        entropy_target=settings.entropy_target,
        imitation_coef=settings.imitation,
        kl_stop=settings.kl_stop,
        seed=settings.seed,
        kl=_changed(base.kl, **kl),
    )


def _changed(config: Any, **values: Any) -> Any:
    return replace(config, **{name: value for name, value in values.items() if value is not None})
