"""Reward models as rewards that need "reward_model" are lent them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dialog_rl.cli import opening
from dialog_rl.config import Settings

if TYPE_CHECKING:
    from dialog_rl.episode import Episode

    Judge = Callable[[Sequence[Episode]], list[list[float | None]]]


class LentModel:
    """One reward model and the policy whose eyes it looks with; opened when first asked."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._judge: Judge | None = None

    def __call__(self, episodes: Sequence[Episode]) -> list[list[float | None]]:
        if self._judge is None:
            self._judge = self._opened()
        return self._judge(episodes)

    def _opened(self) -> Judge:
        from dialog_rl.offline import imitation
        from dialog_rl.offline.reward_model import RewardModel

        if (self._folder / imitation.FACTS).is_file():
            return imitation.Likeness.load(self._folder).score
        reward_model = RewardModel.load(self._folder)
        return partial(reward_model.score, opening.open_model(self._settings, reward_model.version))


def reward_models(settings: Settings) -> Callable[[str], LentModel]:
    """What is lent: the folder of a reward model → what it thinks of episodes."""
    return lambda folder: LentModel(settings, Path(folder))
