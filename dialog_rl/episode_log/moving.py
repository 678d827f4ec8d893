"""A log moves from one database to another row for row, sequence numbers included, so that every cursor stays right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, Table, insert, select, update

from dialog_rl.episode_log import schema
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import EpisodeLogError
from dialog_rl.faults import fp

_BATCH = 200
Rows = Mapping[Table, Sequence[Mapping[str, Any]]]
"""Rows as they are, by table."""


def move(source: EpisodeLog, target: EpisodeLog) -> int:
    """Copy every row of a log, sequence numbers included, to one that is empty or holds the beginning of this copy.

    Goes on where an earlier call was cut off. Raises EpisodeLogError unless in the end all rows are equal.
    """
    _require_beginning(source, target)
    copied, end = 0, source.last_seq()
    while (since := target.last_seq()) < end:
        with source.database.read() as connection:
            page = _rows_after(connection, since)
        rows = page[schema.events]
        with target.database.write() as connection:
            _insert_rows(connection, page, since=since, last=rows[-1]["seq"] if rows else end)
            fp("log.move.before_commit")
        copied += len(rows)
    compare(source, target)
    return copied


def compare(source: EpisodeLog, target: EpisodeLog) -> int:
    """How many events two logs hold, every one equal in every field. Raises EpisodeLogError at the first difference."""
    compared = 0
    theirs = target.events()
    for event in source.events():
        if event != next(theirs, None):
            raise EpisodeLogError(f"{target.name}: event {event.seq} is not that of {source.name}")
        compared += 1
    if next(theirs, None) is not None:
        raise EpisodeLogError(f"{target.name}: holds events that {source.name} does not")
    return compared


def _rows_after(connection: Connection, since: int) -> Rows:
    seqs = select(schema.events.c.seq).where(schema.events.c.seq > since).order_by(schema.events.c.seq).limit(_BATCH)
    last = max(connection.scalars(seqs), default=since)
    return {
        table: [dict(row) for row in connection.execute(_between(table, since, last)).mappings()]
        for table in (schema.events, schema.episodes, schema.episode_policies)
    }


def _between(table: Table, since: int, last: int) -> Select[Any]:
    return select(table).where(table.c.seq > since, table.c.seq <= last).order_by(table.c.seq)


def _insert_rows(connection: Connection, page: Rows, *, since: int, last: int) -> None:
    moved = update(schema.log_state).where(schema.log_state.c.last_seq == since).values(last_seq=last)
    if connection.execute(moved).rowcount != 1:
        raise EpisodeLogError("someone else writes to the log that is copied to")
    for table, rows in page.items():
        if rows:
            connection.execute(insert(table), rows)


def _require_beginning(source: EpisodeLog, target: EpisodeLog) -> None:
    """That the target is empty or ends with an event the source has in the same place."""
    cursor = target.last_seq()
    if cursor and next(target.events(since=cursor - 1), None) != next(source.events(since=cursor - 1), None):
        raise EpisodeLogError(f"{target.name}: is neither empty nor the beginning of a copy of {source.name}")
