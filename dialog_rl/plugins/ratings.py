"""People's ratings of logged episodes, as rewards that need "ratings" are lent them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dialog_rl.episode import Episode, Rating


class LoggedRatings:
    """The ratings of each episode in the order they were given, from the log that the episodes are in.

    Each call reads on from where the last one stopped, so what is rated during a run counts from then on. `where`
    gives the log's place, which may be known later than this object; while there is no log there, nobody rated.
    """

    def __init__(self, where: Callable[[], str | Path]) -> None:
        self._where = where
        self._read = 0
        self._by_episode: dict[str, list[Rating]] = {}

    def __call__(self, episodes: Sequence[Episode]) -> list[tuple[Rating, ...]]:
        self._read_on()
        return [tuple(self._by_episode.get(episode.episode_id, ())) for episode in episodes]

    def _read_on(self) -> None:
        from dialog_rl.episode_log.log import EpisodeLog  # takes its time to import, and few rewards ask
        from dialog_rl.episode_log.records import Kind, rating_from_json

        where = self._where()
        if "://" not in str(where) and not Path(where).is_file():
            return
        with EpisodeLog.open(where, read_only=True) as log:
            for event in log.events(since=self._read, kinds=[Kind.RATING]):
                rating = rating_from_json(event.document)
                self._by_episode.setdefault(rating.episode_id, []).append(rating)
                self._read = event.seq
