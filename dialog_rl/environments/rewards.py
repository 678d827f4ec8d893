"""What a gymnasium environment paid, read from the log like any other fact."""

from __future__ import annotations

from collections.abc import Sequence

from dialog_rl.episode import Episode
from dialog_rl.scoring import Score

PAID = "reward"
"""The fact of an environment's message that holds what it paid for the reply before."""


class EnvReturn:
    """The sum of the environment's rewards; an episode that comes from none is not judged."""

    def score(self, episodes: Sequence[Episode]) -> list[Score]:
        return [self._score(episode) for episode in episodes]

    def _score(self, episode: Episode) -> Score:
        paid = [float(turn.user.facts[PAID]) for turn in episode.turns if PAID in turn.user.facts]
        if not paid:
            return Score(value=None, reason="no environment")
        return Score(value=sum(paid), reason=f"{len(paid)} steps")
