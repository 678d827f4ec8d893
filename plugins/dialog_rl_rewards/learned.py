"""What a reward model thinks of what was done: one of people's opinions, or of an expert's conversations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dialog_rl.episode import Episode
from dialog_rl.scoring import Score

Judge = Callable[[Sequence[Episode]], Sequence[Sequence[float | None]]]
"""A value for each step of each episode, or None."""


class Learned:
    """The mean over what the episode is judged by, by default; with `per_step` each value is paid where it was earned.

    `model` is the folder that `dialog-rl offline reward` or `imitation` wrote. Abstains where nothing is judged.
    """

    def __init__(self, *, model: str, reward_model: Callable[[str], Judge], per_step: bool = False) -> None:
        self._judge, self._per_step = reward_model(model), per_step

    def score(self, episodes: Sequence[Episode]) -> list[Score]:
        return [self._score(values) for values in self._judge(episodes)]

    def _score(self, values: Sequence[float | None]) -> Score:
        known = [value for value in values if value is not None]
        if not known:
            return Score(value=None, reason="nothing that the reward model can read")
        if self._per_step:
            return Score(value=None, per_step=tuple(values), reason=f"{len(known)} steps judged")
        return Score(value=sum(known) / len(known), reason=f"{len(known)} steps judged")
