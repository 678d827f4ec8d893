"""Saying please, thanks and sorry: the reward of the tutorial."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dialog_rl.episode import Episode
from dialog_rl.scoring import Score

POLITE = re.compile(r"\b(please|thanks|thank you|welcome|sorry|glad|kindly)\b|请|谢谢|您|抱歉|不客气", re.IGNORECASE)


class Politeness:
    """The share of the agent's replies with a polite word in them. Abstains where it never replied."""

    def score(self, episodes: Sequence[Episode]) -> list[Score]:
        return [self._score([turn.reply for turn in episode.turns if turn.reply]) for episode in episodes]

    def _score(self, replies: Sequence[str]) -> Score:
        polite = sum(bool(POLITE.search(reply)) for reply in replies)
        return Score(value=polite / len(replies) if replies else None, reason=f"{polite} of {len(replies)} replies")
