"""Being brief: a price for each turn and each call."""

from __future__ import annotations

from collections.abc import Sequence

from dialog_rl.episode import Episode, Message
from dialog_rl.scoring import Score


class TurnCost:
    """Minus what the conversation cost the customer and the back office.

    Keep it far below what success pays: at a tenth a turn, hanging up early is soon the best policy.
    """

    def __init__(self, *, turn: float = 0.01, call: float = 0.0, error: float = 0.01) -> None:
        """`turn` for each user message, `call` for each tool call, `error` for each refused or unreadable call."""
        self._turn, self._call, self._error = turn, call, error

    def score(self, episodes: Sequence[Episode]) -> list[Score]:
        return [self._score(episode) for episode in episodes]

    def _score(self, episode: Episode) -> Score:
        turns = len(episode.turns)
        calls = sum(step.message.tool_call is not None for step in episode.steps)
        errors = sum(bool(step.message.malformed) or _refused(step.result) for step in episode.steps)
        cost = self._turn * turns + self._call * calls + self._error * errors
        return Score(value=-cost, reason=f"{turns} turns, {calls} calls, {errors} errors")


def _refused(result: Message | None) -> bool:
    return result is not None and result.error
