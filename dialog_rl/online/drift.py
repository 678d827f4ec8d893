"""What people think of each update's conversations, beside how its candidate serves customers whom nobody rates.

Where the one rises while the other falls, what is liked is no longer what serves: people are pleased and not helped.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from dialog_rl.episode_log import learning
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.records import Kind, rating_from_json

SPAN = 3
"""Updates at the beginning, and at the end, that are laid side by side."""
LIKED_MORE = 0.1
"""On the ratings' scale, from -1 to 1."""
SERVED_LESS = 0.03
"""Share of the gate's customers."""


class Liking:
    """The mean rating that each update of a run learnt from, read as the log grows."""

    def __init__(self, run: str) -> None:
        self._run, self._read_to = run, 0
        self._values: dict[str, float] = {}
        self._used: dict[int, tuple[str, ...]] = {}

    def look(self, log: EpisodeLog) -> None:
        """Take in what has been added."""
        for event in log.events(since=self._read_to, kinds=(Kind.RATING, Kind.UPDATE)):
            self._read_to = event.seq
            if event.kind == Kind.RATING:
                rating = rating_from_json(event.document)
                if rating.value is not None:
                    self._values[event.event_id] = rating.value
                continue
            plan = learning.plan_from(event.document)
            if plan.run == self._run:
                self._used[plan.update] = tuple(name for one in plan.episodes for name in one.ratings)

    def of(self, update: int) -> float | None:
        values = [self._values[name] for name in self._used.get(update, ()) if name in self._values]
        return fmean(values) if values else None


def alarm(liked: Sequence[float | None], served: Sequence[float | None]) -> str:
    """What is wrong, update beside update; empty if nothing is, or there are too few of them to tell."""
    both = [(one, other) for one, other in zip(liked, served, strict=True) if one is not None and other is not None]
    if len(both) < 2 * SPAN:
        return ""
    first, last = ([fmean(column) for column in zip(*part, strict=True)] for part in (both[:SPAN], both[-SPAN:]))
    if last[0] - first[0] < LIKED_MORE or first[1] - last[1] < SERVED_LESS:
        return ""
    return (
        f"drift: people rate {last[0]:+.2f} where they rated {first[0]:+.2f}, and of the gate's customers "
        f"{100 * last[1]:.0f} % are served where {100 * first[1]:.0f} % were: what is liked is no longer what serves"
    )
