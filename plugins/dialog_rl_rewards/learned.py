"""What a reward model, fitted to people's pairs and ratings, thinks of every reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dialog_rl.episode import Episode
from dialog_rl.scoring import Score
from dialog_rl_rewards.ratings import at_replies

Judge = Callable[[Sequence[Episode]], Sequence[Sequence[float | None]]]
"""A value for each turn of each episode, or None."""


class Learned:
    """The mean over the episode's replies by default; with `per_turn` each is paid at its reply. Abstains without any.

    `model` is the folder that `dialog-rl offline reward` wrote.
    """

    def __init__(self, *, model: str, reward_model: Callable[[str], Judge], per_turn: bool = False) -> None:
        self._judge, self._per_turn = reward_model(model), per_turn

    def score(self, episodes: Sequence[Episode]) -> list[Score]:
        return [self._score(e, values) for e, values in zip(episodes, self._judge(episodes), strict=True)]

    def _score(self, episode: Episode, values: Sequence[float | None]) -> Score:
        known = {number: value for number, value in enumerate(values) if value is not None}
        if not known:
            return Score(value=None, reason="no reply that the reward model can read")
        if self._per_turn:
            return Score(value=None, per_step=at_replies(episode, known), reason=f"{len(known)} replies judged")
        return Score(value=sum(known.values()) / len(known), reason=f"{len(known)} replies judged")
