"""Did the customer get what they came for?"""

from __future__ import annotations

from collections.abc import Sequence

from dialog_rl import metrics
from dialog_rl.episode import Episode
from dialog_rl.errors import ScenarioError
from dialog_rl.scoring import Score


class TaskSuccess:
    """`success` where the end state is right and what had to be said was said, else a share of `partial`.

    The share is judged on the net journal, so doing and undoing earns nothing, and a wrong change costs a right one.
    Abstains where the scenario does not say what success is.
    """

    def __init__(self, *, success: float = 1.0, partial: float = 0.0) -> None:
        if not 0 <= partial < success:
            raise ValueError(f"partial ({partial}) must be at least 0 and less than success ({success})")
        self._success, self._partial = success, partial

    def score(self, episodes: Sequence[Episode]) -> list[Score]:
        return [self._score(episode) for episode in episodes]

    def _score(self, episode: Episode) -> Score:
        try:
            result = metrics.success(episode)
        except ScenarioError as e:
            return Score(value=None, reason=str(e))
        if result.reached:
            return Score(value=self._success)
        share = progress(result)
        return Score(value=self._partial * share, reason=f"{share:.0%} of the way")


def progress(result: metrics.Success) -> float:
    """How much of the goal was done, less what was done wrongly: 0 for doing nothing, for harm and for not ending."""
    wanted = result.expected_changes + result.to_tell
    if not wanted or result.forbidden or not result.ended:
        return 0.0
    return max(0, result.right_changes + result.told - result.wrong_changes) / wanted
