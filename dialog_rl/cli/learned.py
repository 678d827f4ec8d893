"""Reward models as rewards that need "reward_model" are lent them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialog_rl.cli import opening
from dialog_rl.config import Settings

if TYPE_CHECKING:
    from dialog_rl.episode import Episode


class LentModel:
    """One reward model and the policy whose hidden states it reads; opened when first asked."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._opened: tuple[Any, Any] | None = None

    def __call__(self, episodes: Sequence[Episode]) -> list[list[float | None]]:
        if self._opened is None:
            from dialog_rl.offline.reward_model import RewardModel

            reward_model = RewardModel.load(self._folder)
            self._opened = reward_model, opening.open_model(self._settings, reward_model.version)
        reward_model, model = self._opened
        return reward_model.score(model, episodes)


def reward_models(settings: Settings) -> Callable[[str], LentModel]:
    """What is lent: the folder of a reward model → what it thinks of episodes."""
    return lambda folder: LentModel(settings, Path(folder))
