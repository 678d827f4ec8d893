"""What people thought: a rating of a turn is paid at its reply, a rating of the whole at the end."""

from __future__ import annotations

from collections.abc import Sequence

from dialog_rl.episode import Episode, Rating
from dialog_rl.scoring import Score
from dialog_rl_rewards.ratings import Ratings, at_replies, mean_value, standing


class HumanRating:
    """The mean of the raters' last words, in [-1, 1]. What nobody rated is missing, never 0."""

    def __init__(self, *, ratings: Ratings) -> None:
        self._ratings = ratings

    def score(self, episodes: Sequence[Episode]) -> list[Score]:
        given = self._ratings(episodes)
        return [rated(episode, ratings) for episode, ratings in zip(episodes, given, strict=True)]


def rated(episode: Episode, ratings: Sequence[Rating]) -> Score:
    by_turn = standing(ratings)
    whole = mean_value(by_turn.pop(None, []))
    turns = {turn: value for turn, of in by_turn.items() if turn is not None and (value := mean_value(of)) is not None}
    steps = at_replies(episode, turns) if turns else None
    raters = len({rating.rater for rating in ratings})
    return Score(value=whole, per_step=steps, reason=f"{raters} raters" if raters else "nobody rated it")
