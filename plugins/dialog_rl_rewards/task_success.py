"""Did the customer get what they came for?"""

from __future__ import annotations

from collections.abc import Sequence

from dialog_rl import metrics
from dialog_rl.episode import Episode
from dialog_rl.scoring import Score


class TaskSuccess:
    """`success` where the end state is right and what had to be said was said, else a share of `partial`.

    The share is judged on the net journal and on what was communicated, so doing and undoing earns nothing.
    Abstains where the scenario cannot be judged.
    """

    def __init__(self, *, success: float = 1.0, partial: float = 0.0) -> None:
        if not 0 <= partial < success:
            raise ValueError(f"partial ({partial}) must be at least 0 and less than success ({success})")
        self._success, self._partial = success, partial

    def score(self, episodes: Sequence[Episode]) -> list[Score]:
        return [self._score(episode) for episode in episodes]

    def _score(self, episode: Episode) -> Score:
        result = metrics.success(episode)
        return Score(value=self._success if result.done else 0.0)
