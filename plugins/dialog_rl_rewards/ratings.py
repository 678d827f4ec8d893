"""Reading people's ratings beside episodes: who said what last, about which turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dialog_rl.episode import Episode, Rating

Ratings = Callable[[Sequence[Episode]], Sequence[Sequence[Rating]]]
"""The ratings of each episode in the order they were given; what the program hands to whoever needs "ratings"."""


def standing(ratings: Iterable[Rating]) -> dict[int | None, list[Rating]]:
    """Each rater's last word on each turn (None: on the whole episode). A withdrawn rating is gone."""
    last: dict[tuple[str, int | None], Rating] = {}
    for rating in ratings:
        key = (rating.rater, rating.turn)
        last.pop(key, None)
        if rating.value is not None:
            last[key] = rating
    by_turn: dict[int | None, list[Rating]] = {}
    for (_, turn), rating in last.items():
        by_turn.setdefault(turn, []).append(rating)
    return by_turn


def mean_value(ratings: Sequence[Rating]) -> float | None:
    """The raters' mean, each counting once; None without any."""
    values = [rating.value for rating in ratings if rating.value is not None]
    return sum(values) / len(values) if values else None


def at_replies(episode: Episode, by_turn: dict[int, float]) -> tuple[float | None, ...]:
    """Values of turns as values of steps: a turn's value is paid at its last step, the reply that was judged."""
    values: list[float | None] = []
    for number, turn in enumerate(episode.turns):
        if turn.steps:
            values += [None] * (len(turn.steps) - 1) + [by_turn.get(number)]
    return tuple(values)
