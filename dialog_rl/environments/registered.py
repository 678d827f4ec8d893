"""Our environments by their ids: `gymnasium.make("dialog_rl.environments.registered:dialog_rl/retail-v0")`.

Of every registered pack `dialog_rl/PACK-v0`, whose actions are messages, and `dialog_rl/PACK-tokens-v0`, whose actions
are tokens of the model `base`, or of the one in the folder `version`; and the games of our own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dialog_rl.environments.envs import TextEnv, TokenEnv
from dialog_rl.environments.extra import gymnasium
from dialog_rl.lm.model import TOKENIZER_FILE
from dialog_rl.lm.renderer import EmbeddedRenderer
from dialog_rl.lm.tokenizer import Tokenizer
from dialog_rl.lm.versions import EMBEDDED, find
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.scoring import RewardSpec
from dialog_rl.staging import open_stage

NAMESPACE = "dialog_rl"
REWARDS = (
    RewardSpec(use="task_success"),
    RewardSpec(use="policy_rules", weight=0.5),
    RewardSpec(use="turn_cost"),
    RewardSpec(use="fluency", weight=0.1),
)
"""Those that training pays by default."""


def make_text(pack: str, **how: Any) -> TextEnv:
    registry = load_plugins().registry
    return TextEnv(open_stage(registry, pack), build_rewards(registry, REWARDS), **how)


def make_tokens(pack: str, version: str | None = None, **how: Any) -> TokenEnv:
    folder = Path(version) if version is not None else find((EMBEDDED,), "base").path
    renderer = EmbeddedRenderer(Tokenizer.load(folder / TOKENIZER_FILE))
    registry = load_plugins().registry
    return TokenEnv(open_stage(registry, pack), build_rewards(registry, REWARDS), renderer, **how)


def register_all() -> None:
    """Give gymnasium every id that it does not know yet."""
    here = "dialog_rl.environments"
    wanted: dict[str, tuple[str, dict[str, Any]]] = {"Doors-v0": (f"{here}.games:Doors", {})}
    for pack in load_plugins().registry.scenario_packs:
        wanted[f"{pack}-v0"] = (f"{here}.registered:make_text", {"pack": pack})
        wanted[f"{pack}-tokens-v0"] = (f"{here}.registered:make_tokens", {"pack": pack})
    for name, (entry, options) in wanted.items():
        if f"{NAMESPACE}/{name}" not in gymnasium.registry:
            gymnasium.register(id=f"{NAMESPACE}/{name}", entry_point=entry, kwargs=options)


register_all()
