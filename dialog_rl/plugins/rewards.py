"""From configuration to rewards that are ready to score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dialog_rl.errors import ConfigError
from dialog_rl.plugins.registry import Registry
from dialog_rl.scoring import Reward, RewardSpec


def build_rewards(
    registry: Registry, specs: Sequence[RewardSpec], *, resources: Mapping[str, Any] | None = None
) -> tuple[Reward, ...]:
    """One `Reward` for each configured instance.

    `resources` is what this command can give to rewards that need it, e.g. {"reference": log-likelihoods}.
    Raises ConfigError for an unknown reward or option and for two instances of one name.
    """
    rewards: dict[str, Reward] = {}
    for spec in specs:
        if spec.label in rewards:
            raise ConfigError(f"two rewards are named {spec.label!r}; give one of them another name")
        registration = registry.rewards[spec.use]
        function = registration.make(spec.options, resources)
        if not callable(getattr(function, "score", None)):
            raise ConfigError(f"reward {spec.use!r} has no score(episodes) method")
        rewards[spec.label] = Reward(
            name=spec.label,
            function=function,
            weight=spec.weight,
            bounds=registration.bounds,
            on_failure=spec.on_failure,
            part=spec.part,
            target=spec.target,
            scaled=spec.scaled,
            adaptive=spec.adaptive,
        )
    return tuple(rewards.values())
