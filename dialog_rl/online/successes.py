"""Conversations that went well, kept to be imitated: self-imitation (Oh et al. 2018, arXiv:1806.05635)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dialog_rl import metrics
from dialog_rl.episode import Episode
from dialog_rl.episode_log.log import EpisodeLog, Query
from dialog_rl.scoring import ScoredEpisode
from dialog_rl.seeds import generator


class Successes:
    """Those of one run, in the order in which they were spoken."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._kept: list[ScoredEpisode] = []

    def remember(self, episodes: Iterable[Episode]) -> None:
        # Only its tokens are used, so a remembered episode carries no reward.
        self._kept += [
            ScoredEpisode(episode=e, components={}, reward=0.0, step_rewards=(0.0,) * sum(1 for _ in e.steps))
            for e in episodes
            if succeeded(e)
        ]

    def read_again(self, log: Path, run: str, end: str) -> None:
        """From a run's log, up to the episode `end`: what came after a checkpoint is about to be made again."""
        with EpisodeLog.open(log) as opened:
            episodes = [logged.episode for logged in opened.episodes(Query(run=run))]
        self.remember(sorted((e for e in episodes if e.episode_id < end), key=lambda e: e.episode_id))

    def drawn(self, most: int, update: int) -> list[ScoredEpisode]:
        """At most so many, drawn for an update."""
        return generator(self._seed, "replay", update).sample(self._kept, min(most, len(self._kept)))


def succeeded(episode: Episode) -> bool:
    """The customer was served, and no rule was broken."""
    return metrics.success(episode).reached and not metrics.violations(episode)
