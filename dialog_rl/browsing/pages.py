"""Which episodes a log holds, newest first, a page at a time: what was not asked for is not read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import fmean

from dialog_rl import metrics
from dialog_rl.browsing.stepping import succeeded
from dialog_rl.episode import Rating
from dialog_rl.episode_log.log import ALL, EpisodeLog, LoggedEpisode, Query

PAGE = 50
"""Rows of a page."""
LOOK = 2000
"""Episodes that are looked at for one page, so that what is rare does not keep anybody waiting without a word."""


class Rated(StrEnum):
    """What people think of an episode: the mean of the ratings that hold."""

    GOOD = "good"
    BAD = "bad"
    ANY = "any"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which episodes: all that fit every field given. The query is answered by the database, the rest by looking."""

    query: Query = ALL
    success: bool | None = None
    rated: Rated | None = None

    @property
    def by_looking(self) -> bool:
        """Whether the database alone cannot tell which episodes fit."""
        return self.success is not None or self.rated in (Rated.GOOD, Rated.BAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An episode in a list."""

    seq: int
    id: str
    run: str
    split: str
    pack: str
    scenario: str
    """Its id."""
    goal: str
    turns: int
    stop: str
    success: bool | None
    """None where the episode does not say what success would be."""
    violations: int
    versions: tuple[str, ...]
    rating: float | None
    """In [-1, 1], the mean of those that hold; None if nobody gave one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    rows: tuple[Row, ...]
    next: int | None
    """Where the next page begins; None behind the oldest episode."""
    looked: int
    """Episodes that were read for it."""


def page(log: EpisodeLog, wanted: Wanted, *, before: int | None = None, most: int = PAGE, look: int = LOOK) -> Page:
    """The newest episodes that fit, of those before a cursor: at most `most`, from at most `look` read. A page with
    fewer rows is not the last one unless it says so.
    """
    rows: list[Row] = []
    looked, last = 0, before
    for logged in log.backwards(wanted.query, before=before):
        if len(rows) == most or looked == look:
            return Page(rows=tuple(rows), next=last, looked=looked)
        looked, last = looked + 1, logged.seq
        row = row_of(logged, log.ratings(logged.episode.episode_id))
        if _fits(row, wanted):
            rows.append(row)
    return Page(rows=tuple(rows), next=None, looked=looked)


def row_of(logged: LoggedEpisode, ratings: Sequence[Rating] = ()) -> Row:
    episode = logged.episode
    values = [rating.value for rating in ratings if rating.value is not None]
    return Row(
        seq=logged.seq, id=episode.episode_id, run=logged.run, split=logged.split, pack=episode.pack,
        scenario=str(episode.scenario.get("id", "")), goal=", ".join(metrics.intents(episode)),
        turns=len(episode.turns), stop=str(episode.stop), success=succeeded(episode),
        violations=len(metrics.violations(episode)), versions=episode.policy_versions,
        rating=fmean(values) if values else None,
    )  # fmt: skip


def _fits(row: Row, wanted: Wanted) -> bool:
    if wanted.success is not None and row.success is not wanted.success:
        return False
    if wanted.rated is Rated.GOOD:
        return row.rating is not None and row.rating > 0
    if wanted.rated is Rated.BAD:
        return row.rating is not None and row.rating < 0
    return True


def asking(query: Query, *, success: bool | None = None, rated: Rated | None = None) -> Wanted:
    """Both kinds of conditions in one; whether an episode was rated at all, the database can tell."""
    asked = None if rated is None else rated is not Rated.NONE
    return Wanted(query=replace(query, rated=asked), success=success, rated=rated)
