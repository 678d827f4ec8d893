"""The one writer of a log in a process: whoever comes first commits for all who wait, so many chats share one fsync."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, insert, select, update

from dialog_rl.episode_log import schema
from dialog_rl.episode_log.database import Database, Disconnected
from dialog_rl.episode_log.records import NewEvent, digest, same
from dialog_rl.errors import EpisodeLogError
from dialog_rl.faults import fp

logger = logging.getLogger(__name__)

_LOOKUP = 500
"""Ids a query may list: below every database's limit on parameters."""
GROUP = 256
"""Waiting appends that share a commit at most."""


@dataclass(slots=True, kw_only=True)
class _Pending:
    """Events that are appended together or not at all, and what became of them."""

    events: Sequence[NewEvent]
    seqs: tuple[int, ...] = ()
    failure: EpisodeLogError | None = None
    done: bool = False


@dataclass(slots=True, kw_only=True)
class _Known:
    """What the log holds of the events in question, kept up with what this transaction adds."""

    seqs: dict[str, int]
    """By event id, of those it holds."""
    bodies: dict[str, str]
    """By event id, of those among them that are to be appended again."""


class Writer:
    def __init__(self, database: Database, *, patience: float = 10.0) -> None:
        self._database = database
        self._patience = patience
        """Seconds to go on trying when a server cannot be reached."""
        self._waiting: list[_Pending] = []
        self._is_committing = False
        self._changed = threading.Condition()

    def append(self, events: Sequence[NewEvent]) -> tuple[int, ...]:
        """Append events, all or none, and return their sequence numbers once they are durable.

        Those that are in the log already keep the number they have. Raises EpisodeLogError; then none was appended,
        except that after `Disconnected` it is not known, and sending them again is harmless.
        """
        pending = _Pending(events=events)
        with self._changed:
            self._waiting.append(pending)
        while batch := self._wait_or_take(pending):
            self._commit_for(batch)
        if pending.failure is not None:
            raise pending.failure
        return pending.seqs

    def _wait_or_take(self, pending: _Pending) -> list[_Pending]:
        """Wait until someone has committed this, or become the one who commits for those who have waited longest."""
        with self._changed:
            self._changed.wait_for(lambda: pending.done or not self._is_committing)
            if pending.done:
                return []
            batch, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
            self._is_committing = True
            return batch

    def _commit_for(self, batch: Sequence[_Pending]) -> None:
        try:
            self._commit(batch)
        except EpisodeLogError as e:
            _fail(batch, e)
        except BaseException:
            _fail(batch, EpisodeLogError("interrupted while writing; whether it was written is not known"))
            raise
        finally:
            with self._changed:
                for pending in batch:
                    pending.done = True
                self._is_committing = False
                self._changed.notify_all()

    def _commit(self, batch: Sequence[_Pending]) -> None:
        deadline = time.monotonic() + self._patience
        wait = 0.05
        while True:
            try:
                with self._database.write() as connection:
                    _append(connection, batch)
                    fp("log.before_commit")
                fp("log.after_commit")
                return
            except Disconnected as e:
                if time.monotonic() + wait > deadline:
                    raise
                logger.warning("%s; trying again", e)
                time.sleep(wait * random.Random(time.monotonic_ns()).uniform(0.5, 1.0))
                wait = min(2 * wait, 1.0)


def _fail(batch: Sequence[_Pending], failure: EpisodeLogError) -> None:
    for pending in batch:
        pending.failure = failure


def _append(connection: Connection, batch: Sequence[_Pending]) -> None:
    state = select(schema.log_state.c.last_seq).with_for_update()
    first = seq = connection.scalars(state).one()
    known = _known(connection, [event for pending in batch for event in pending.events])
    fresh: list[tuple[int, NewEvent]] = []
    for pending in batch:
        pending.failure = None
        mine: list[tuple[int, NewEvent]] = []
        try:
            pending.seqs = tuple(_place(event, known, seq, mine) for event in pending.events)
        except EpisodeLogError as e:
            pending.failure = e
            for _, event in mine:
                del known.seqs[event.event_id], known.bodies[event.event_id]
            continue
        seq += len(mine)
        fresh += mine
    if fresh:
        _insert(connection, fresh)
        connection.execute(update(schema.log_state).values(last_seq=first + len(fresh)))


def _place(event: NewEvent, known: _Known, last_seq: int, mine: list[tuple[int, NewEvent]]) -> int:
    """The sequence number of one event: the one it has, or the next. Raises EpisodeLogError if it may not be added."""
    present = known.seqs.get(event.event_id)
    if present is not None:
        if not same(known.bodies[event.event_id], event.body):
            raise EpisodeLogError(f"event {event.event_id} is in the log already, with another content")
        return present
    if event.never_after in known.seqs:
        raise EpisodeLogError(f"event {event.event_id}: the conversation has ended")
    if event.after and not any(key in known.seqs for key in event.after):
        raise EpisodeLogError(f"event {event.event_id}: there is no {' or '.join(event.after)} in the log")
    seq = last_seq + len(mine) + 1
    mine.append((seq, event))
    known.seqs[event.event_id], known.bodies[event.event_id] = seq, event.body
    return seq


def _known(connection: Connection, events: Sequence[NewEvent]) -> _Known:
    table = schema.events.c
    keys = {key for e in events for key in (e.event_id, *e.after, e.never_after) if key}
    seqs = _looked_up(connection, table.seq, keys)
    again = {e.event_id for e in events} & seqs.keys()
    return _Known(seqs=seqs, bodies=_looked_up(connection, table.body, again))


def _looked_up(connection: Connection, column: Column[Any], keys: Iterable[str]) -> dict[str, Any]:
    """One column of the events with these ids, by id."""
    ordered, event_id = sorted(keys), schema.events.c.event_id
    found: dict[str, Any] = {}
    for start in range(0, len(ordered), _LOOKUP):
        wanted = select(event_id, column).where(event_id.in_(ordered[start : start + _LOOKUP]))
        found |= {row[0]: row[1] for row in connection.execute(wanted)}
    return found


def _insert(connection: Connection, fresh: Sequence[tuple[int, NewEvent]]) -> None:
    clock = time.time()
    connection.execute(
        insert(schema.events),
        [
            {"seq": seq, "event_id": e.event_id, "kind": str(e.kind), "episode_id": e.episode_id, "body": e.body,
             "sha256": digest(e.body), "recorded_at": clock if e.recorded_at is None else e.recorded_at}
            for seq, e in fresh
        ],
    )  # fmt: skip
    fp("log.events_inserted")
    rows = [(seq, e, e.row) for seq, e in fresh if e.row is not None]
    if not rows:
        return
    connection.execute(
        insert(schema.episodes),
        [
            {"seq": seq, "episode_id": e.episode_id, "pack": row.pack, "split": row.split, "run": row.run,
             "stop": row.stop, "turns": row.turns}
            for seq, e, row in rows
        ],
    )  # fmt: skip
    policies = [{"seq": seq, "version": version} for seq, _, row in rows for version in row.policies]
    if policies:
        connection.execute(insert(schema.episode_policies), policies)
