"""Algorithms made from options by name, as a command line or a settings file gives them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import StrEnum
from typing import Any, get_type_hints

from dialog_rl.errors import ConfigError
from dialog_rl.rl.algorithm import Algorithm
from dialog_rl.rl.algorithms.a2c import A2C, A2CConfig
from dialog_rl.rl.algorithms.grpo import GRPO, GRPOConfig
from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.algorithms.ppo_config import PPOConfig
from dialog_rl.rl.algorithms.reinforce import Reinforce, ReinforceConfig
from dialog_rl.rl.algorithms.reinforce_pp import ReinforcePP, ReinforcePPConfig
from dialog_rl.rl.algorithms.rloo import RLOO


def from_options(algorithm: Callable[[Any], Algorithm], config: Callable[..., Any]) -> Callable[..., Algorithm]:
    """A factory whose options are the fields of `config`, each checked against its annotation."""
    hints = get_type_hints(config)

    def make(**options: Any) -> Algorithm:
        return algorithm(config(**{name: _checked(name, value, hints[name]) for name, value in options.items()}))

    signature = inspect.signature(config)
    make.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]
    return make


def _checked(name: str, value: Any, hint: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        if value not in list(hint):
            raise ConfigError(f"algorithm option {name!r} is {value!r}; it must be one of {', '.join(hint)}")
        return hint(value)
    if value is None and "None" in str(hint):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"algorithm option {name!r} is {value!r}; it must be a number")
    return value


ppo = from_options(PPO, PPOConfig)
a2c = from_options(A2C, A2CConfig)
reinforce = from_options(Reinforce, ReinforceConfig)
reinforce_pp = from_options(ReinforcePP, ReinforcePPConfig)
grpo = from_options(GRPO, GRPOConfig)


def rloo() -> RLOO:
    """Has no option."""
    return RLOO()
