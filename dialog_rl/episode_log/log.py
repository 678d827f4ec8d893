"""The episode log: append facts, read them back bit for bit, in one order. Nothing in it is ever changed.

with EpisodeLog.open("episodes.sqlite") as log:
    log.append_many(episodes, run="r1")
    for logged in log.episodes(Query(pack="retail"), since=cursor): ...
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import ColumnElement, Select, exists, func, or_, select

from dialog_rl.episode import (
    Episode,
    Message,
    Rating,
    StopReason,
    Turn,
    episode_from_json,
    message_from_json,
    turn_from_json,
)
from dialog_rl.episode_log import records, schema
from dialog_rl.episode_log.database import Database
from dialog_rl.episode_log.opening import backup, prepare, require_sound
from dialog_rl.episode_log.records import Kind, LoggedEvent
from dialog_rl.episode_log.writer import Writer
from dialog_rl.errors import EpisodeLogError

_EVENTS = select(schema.events, schema.episodes.c.split, schema.episodes.c.run)
_PAGE = 200
"""Rows read in one transaction: a long one would hold up the writer."""
_LATEST = 50
"""The same of somebody who looks at the newest: about as many as are shown at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which episodes: all that fit every field given."""

    pack: str | None = None
    split: str | None = None
    run: str | None = None
    stop: StopReason | None = None
    policy: str | None = None
    """A policy version that made at least one of the steps, or the beginning of its id."""
    text: str | None = None
    """What occurs anywhere in the episode's document: in what was said, in its scenario, in its id. Case is ignored."""
    rated: bool | None = None
    """Whether anybody ever rated it or a turn of it."""


ALL = Query()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEpisode:
    seq: int
    """The cursor: `episodes(since=seq)` goes on after this one."""
    episode: Episode
    split: str
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenConversation:
    """A conversation that began and has not been closed by its episode: it is going on, or was killed."""

    episode: Episode
    """What it would be if it ended here: the turns answered so far, and `aborted`."""
    unanswered: Message | None
    """What the user said last, if no answer to it was logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a log was found to hold when every row of it was verified."""

    events: int
    episodes: int
    ratings: int
    unknown: int
    """Events of kinds that this program does not know: passed over."""


class EpisodeLog:
    def __init__(self, database: Database) -> None:
        self.database = database
        """For the rooms of this package alone."""
        self.writer = Writer(database)
        self.listener: Callable[[Episode | Rating], None] = lambda _: None
        """Told of every episode and rating that was logged through this object, once it is durable. An episode or
        rating that is sent again may be told again."""

    @classmethod
    def open(cls, where: str | Path, *, read_only: bool = False) -> Self:
        """A log at a path (SQLite, made if absent) or a PostgreSQL URL, brought to the newest schema after a backup.

        read_only: never writes, and reads logs of a newer schema as far as it understands them.
        """
        database = Database(where, read_only=read_only)
        try:
            prepare(database)
        except BaseException:
            database.close()
            raise
        return cls(database)

    @property
    def name(self) -> str:
        """Where it is, fit to be shown: without a password."""
        return self.database.name

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def append(self, episode: Episode, *, run: str = "", split: str | None = None) -> int:
        """Log a finished episode; its sequence number once it is durable. Safe to repeat, from many threads as well.

        split: None takes it from the scenario. An episode that is in the log already stays as it is, under the run it
        came with; the same id with another content raises EpisodeLogError. Closes the conversation of this id.
        """
        return self.append_many([episode], run=run, split=split)[0]

    def append_many(self, episodes: Iterable[Episode], *, run: str = "", split: str | None = None) -> tuple[int, ...]:
        """`append` for many in one transaction: all of them or none."""
        episodes = list(episodes)
        events = [records.episode_event(episode, run=run, split=split) for episode in episodes]
        logged = self.writer.append(events) if events else ()
        for episode in episodes:
            self.listener(episode)
        return logged

    def rate(self, rating: Rating, *, event_id: str = "") -> int:
        """Log what a person thought. The episode, or the open conversation, and the turn must be in the log.

        event_id: an id of the caller's that makes sending the same rating twice harmless.
        """
        turns = self.turns_of(rating.episode_id)
        logged = self.writer.append([records.rating_event(rating, event_id=event_id, finished_turns=turns)])[0]
        self.listener(rating)
        return logged

    def consent(self, episode_id: str, *, train: bool, event_id: str = "") -> int:
        """Log whether a person lets this conversation be trained on. Without such an event nobody was asked."""
        return self.writer.append([records.consent_event(episode_id, train, event_id=event_id)])[0]

    def begin(self, opening: Episode) -> int:
        """Log that a live conversation begins: an episode without turns. It stays open until `append` closes it."""
        return self.writer.append([records.begin_event(opening)])[0]

    def user_said(self, episode_id: str, turn: int, message: Message) -> int:
        """Log a user's message, the `turn`-th from 0, before anything is done about it."""
        return self.writer.append([records.user_event(episode_id, turn, message)])[0]

    def answered(self, episode_id: str, turn: int, said: Turn) -> int:
        """Log the whole turn before its reply is shown."""
        return self.writer.append([records.turn_event(episode_id, turn, said)])[0]

    def get(self, episode_id: str) -> Episode:
        """The episode of this id. Raises EpisodeLogError if there is none."""
        for event in self._select(schema.events.c.event_id == records.episode_key(episode_id)):
            return _episode(event)
        raise EpisodeLogError(f"{self.name}: there is no episode {records.name(episode_id, 'an episode id')}")

    def __contains__(self, episode_id: str) -> bool:
        return self.turns_of(episode_id) is not None

    def episodes(self, query: Query = ALL, *, since: int = 0) -> Iterator[LoggedEpisode]:
        """The episodes that fit, in sequence order, after the cursor `since`. Sees what is appended meanwhile."""
        rows = schema.episodes.c
        joined = _EVENTS.join_from(schema.episodes, schema.events, rows.seq == schema.events.c.seq)
        for event in self._pages(joined.where(*_conditions(query)), rows.seq, since):
            yield _logged(event)

    def backwards(self, query: Query = ALL, *, before: int | None = None) -> Iterator[LoggedEpisode]:
        """The same from the newest to the oldest, those before the cursor `before`; read a page at a time."""
        rows = schema.episodes.c
        joined = _EVENTS.join_from(schema.episodes, schema.events, rows.seq == schema.events.c.seq)
        wanted = joined.where(*_conditions(query)).order_by(rows.seq.desc()).limit(_LATEST)
        while True:
            with self.database.read() as connection:
                page = connection.execute(wanted if before is None else wanted.where(rows.seq < before)).all()
            yield from (_logged(_event(row)) for row in page)
            if len(page) < _LATEST:
                return
            before = page[-1].seq

    def latest(self, query: Query = ALL, *, count: int) -> list[LoggedEpisode]:
        """The last so many episodes that fit, newest first."""
        return list(islice(self.backwards(query), count))

    def count(self, query: Query = ALL, *, since: int = 0) -> int:
        """How many episodes fit."""
        rows = schema.episodes.c
        with self.database.read() as connection:
            counted = select(func.count()).select_from(schema.episodes).where(rows.seq > since, *_conditions(query))
            return connection.scalars(counted).one()

    def events(self, *, since: int = 0, kinds: Sequence[str] = (), texts: Sequence[str] = ()) -> Iterator[LoggedEvent]:
        """Everything that happened after the cursor, in order: what a follower reads. kinds: only these, if any; texts:
        only those with one of these in their document.
        """
        table = schema.events.c
        conditions: list[ColumnElement[bool]] = [table.kind.in_([str(kind) for kind in kinds])] if kinds else []
        if texts:
            conditions.append(or_(*(table.body.contains(text, autoescape=True) for text in texts)))
        return self._select(*conditions, since=since)

    def find(self, event_id: str) -> LoggedEvent | None:
        """The event of this id, if it is in the log."""
        return next(self._select(schema.events.c.event_id == event_id), None)

    def events_of(self, episode_id: str) -> Iterator[LoggedEvent]:
        """Everything that happened in and to one episode or conversation, in order."""
        return self._select(schema.events.c.episode_id == episode_id)

    def ended_before(self, moment: float) -> Iterator[str]:
        """Conversations with people whose episode was recorded before a moment, in seconds since the epoch."""
        begun = select(schema.events.c.episode_id).where(schema.events.c.kind == str(Kind.BEGIN))
        table = schema.events.c
        old = table.recorded_at < moment
        for event in self._select(table.kind == str(Kind.EPISODE), old, table.episode_id.in_(begun)):
            yield event.episode_id

    def last_seq(self) -> int:
        """The sequence number of the latest event; 0 in an empty log."""
        with self.database.read() as connection:
            return connection.scalars(select(schema.log_state.c.last_seq)).one()

    def ratings(self, episode_id: str) -> tuple[Rating, ...]:
        """The ratings that hold: of each rater and turn the last by sequence, without those withdrawn.

        One that has no value but tags, a comment or a correction says something all the same.
        """
        return tuple(rating for _, rating in self.named_ratings(episode_id))

    def named_ratings(self, episode_id: str) -> tuple[tuple[str, Rating], ...]:
        """The same, each with the id of the event that it came with."""
        holding: dict[tuple[str, int | None], tuple[str, Rating]] = {}
        about = schema.events.c.episode_id == episode_id
        for event in self._select(about, schema.events.c.kind == str(Kind.RATING)):
            rating = records.rating_from_json(event.document)
            holding.pop((rating.rater, rating.turn), None)
            holding[rating.rater, rating.turn] = event.event_id.removeprefix(f"{Kind.RATING}:"), rating
        return tuple((name, rating) for name, rating in holding.values() if not rating.says_nothing)

    def rated(self, episode_ids: Sequence[str]) -> Counter[str]:
        """Of each of these how many opinions hold, one of each rater on each turn."""
        last: dict[tuple[str, int | None, str], bool] = {}
        table = schema.events.c
        for event in self._select(table.kind == str(Kind.RATING), table.episode_id.in_(episode_ids)):
            rating = records.rating_from_json(event.document)
            last[rating.episode_id, rating.turn, rating.rater] = not rating.says_nothing
        return Counter(episode_id for (episode_id, _, _), holds in last.items() if holds)

    def consented(self, episode_id: str) -> bool | None:
        """Whether the conversation may be trained on, by the last word on it; None if nobody was asked."""
        about = schema.events.c.episode_id == episode_id
        found = list(self._select(about, schema.events.c.kind == str(Kind.CONSENT)))
        return found[-1].document["train"] if found else None

    def open_conversations(self) -> Iterator[OpenConversation]:
        """Conversations without an end, oldest first: the ones to offer for resuming after a crash."""
        table = schema.events.c
        # NOT IN would compare every beginning with every end as soon as these do not fit into a server's work_mem.
        closed = exists().where(schema.episodes.c.episode_id == table.episode_id).correlate(schema.events)
        for event in self._select(table.kind == str(Kind.BEGIN), ~closed):
            yield self._open_conversation(event)

    def open_conversation(self, episode_id: str) -> OpenConversation | None:
        """The conversation of this id, if it has begun and not ended."""
        begun = None if episode_id in self else self.find(records.begin_key(episode_id))
        return None if begun is None else self._open_conversation(begun)

    def _open_conversation(self, begun: LoggedEvent) -> OpenConversation:
        turns: list[Turn] = []
        unanswered: Message | None = None
        for event in self._select(schema.events.c.episode_id == begun.episode_id):
            if event.kind == Kind.USER:
                unanswered = message_from_json(event.document["message"])
            elif event.kind == Kind.TURN:
                turns.append(turn_from_json(event.document["said"]))
                unanswered = None
        document = {**begun.document, "turns": [], "stop": StopReason.ABORTED}
        opening = episode_from_json(document)
        return OpenConversation(episode=replace(opening, turns=tuple(turns)), unanswered=unanswered)

    def backup(self, target: Path) -> None:
        """Copy an SQLite log as it is at this moment to a file that must not exist yet, whole or not at all."""
        if not self.database.is_sqlite:
            raise EpisodeLogError(f"{self.name}: a PostgreSQL log is backed up by its server; here it can be exported")
        backup(self.database, target)

    def check(self) -> Health:
        """Read everything and verify it. Raises EpisodeLogError that names the first thing which is wrong."""
        if self.database.is_sqlite:
            with self.database.read() as connection:
                require_sound(connection, thorough=True)
        found: Counter[str] = Counter()
        last = 0
        for event in self.events():
            found[event.kind] += 1
            last = event.seq
        if last > self.last_seq():
            raise EpisodeLogError(f"{self.name}: event {last} lies beyond the log's end, {self.last_seq()}")
        if found[Kind.EPISODE] != self.count():
            raise EpisodeLogError(
                f"{self.name}: {found[Kind.EPISODE]} episodes, but {self.count()} in the table of them"
            )
        known = {str(kind) for kind in Kind}
        unknown = sum(count for kind, count in found.items() if kind not in known)
        return Health(events=found.total(), episodes=found[Kind.EPISODE], ratings=found[Kind.RATING], unknown=unknown)

    def turns_of(self, episode_id: str) -> int | None:
        """How many turns a finished episode has; None if there is no such episode."""
        rows = schema.episodes.c
        with self.database.read() as connection:
            return connection.scalars(select(rows.turns).where(rows.episode_id == episode_id)).one_or_none()

    def _select(self, *conditions: ColumnElement[bool], since: int = 0) -> Iterator[LoggedEvent]:
        seq = schema.events.c.seq
        joined = _EVENTS.join_from(schema.events, schema.episodes, schema.episodes.c.seq == seq, isouter=True)
        return self._pages(joined.where(*conditions), seq, since)

    def _pages(self, wanted: Select[Any], seq: ColumnElement[int], since: int) -> Iterator[LoggedEvent]:
        wanted = wanted.order_by(seq).limit(_PAGE)
        while True:
            with self.database.read() as connection:
                page = connection.execute(wanted.where(seq > since)).all()
            yield from map(_event, page)
            if len(page) < _PAGE:
                return
            since = page[-1].seq


def _conditions(query: Query) -> list[ColumnElement[bool]]:
    rows = schema.episodes.c
    fields = ((rows.pack, query.pack), (rows.split, query.split), (rows.run, query.run), (rows.stop, query.stop))
    conditions: list[ColumnElement[bool]] = [column == str(value) for column, value in fields if value is not None]
    if query.policy is not None:
        version = schema.episode_policies.c.version
        # A text is never before its own beginning, in any collation: so the index is entered where the ids begin.
        begins = (version >= query.policy, version.startswith(query.policy, autoescape=True))
        conditions.append(rows.seq.in_(select(schema.episode_policies.c.seq).where(*begins)))
    if query.text is not None:
        table = schema.events.c
        as_written = json.dumps(query.text)[1:-1]
        conditions.append(
            rows.seq.in_(
                select(table.seq).where(
                    table.kind == str(Kind.EPISODE), table.body.icontains(as_written, autoescape=True)
                )
            )
        )
    if query.rated is not None:
        ratings = schema.events.alias()
        rated = exists().where(ratings.c.episode_id == rows.episode_id, ratings.c.kind == str(Kind.RATING))
        conditions.append(rated if query.rated else ~rated)
    return conditions


def _event(row: Any) -> LoggedEvent:
    return LoggedEvent(
        seq=row.seq, event_id=row.event_id, kind=row.kind, episode_id=row.episode_id,
        document=records.decode(row.body, row.sha256, row.event_id), sha256=row.sha256, recorded_at=row.recorded_at,
        run=row.run or "", split=row.split or "",
    )  # fmt: skip


def _logged(event: LoggedEvent) -> LoggedEpisode:
    return LoggedEpisode(seq=event.seq, episode=_episode(event), split=event.split, run=event.run)


def _episode(event: LoggedEvent) -> Episode:
    try:
        return episode_from_json(event.document)
    except (KeyError, TypeError, ValueError) as e:
        raise EpisodeLogError(f"event {event.event_id}: not an episode: {e}") from None
