"""What is made sure of before a log is used: sound, ours, of a known schema, and brought up to date after a backup."""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import Connection, func, select

from dialog_rl import durable
from dialog_rl.episode_log import schema
from dialog_rl.episode_log.database import Database
from dialog_rl.errors import EpisodeLogError
from dialog_rl.faults import fp

logger = logging.getLogger(__name__)

_CHECKED_AT_START = 64 * 1024 * 1024
"""Bytes of an SQLite file up to which every opening looks through all its pages: some 2 ms a megabyte."""
_MIGRATING = 0x6469616C
"""PostgreSQL's advisory lock for migrations: two programs that open an empty database at once take turns."""


def prepare(database: Database) -> None:
    """Make a log fit to be used, or raise EpisodeLogError that says why it is not."""
    with database.read() as connection:
        if database.is_sqlite and Path(database.name).stat().st_size <= _CHECKED_AT_START:
            require_sound(connection)
        version = schema.version_of(connection)
    if database.read_only:
        if version == 0:
            raise EpisodeLogError(f"{database.name}: there is no episode log here")
        return
    try:
        schema.require_known(version, len(schema.MIGRATIONS))
    except EpisodeLogError as e:
        raise EpisodeLogError(f"{database.name}: {e}") from None
    if version < len(schema.MIGRATIONS):
        _migrate(database, version)


def require_sound(connection: Connection, *, thorough: bool = False) -> None:
    """SQLite's own look through the file. Raises EpisodeLogError with the first fault it names."""
    pragma = "PRAGMA integrity_check(1)" if thorough else "PRAGMA quick_check(1)"
    fault = connection.exec_driver_sql(pragma).scalar_one()
    if fault != "ok":
        raise EpisodeLogError(f"the file is damaged: {fault}; go on from a backup, or export it read-only")


def backup(database: Database, target: Path) -> None:
    """A copy of an SQLite log as it is at one moment, whole or not at all. `target` must not exist."""
    with durable.failing_as(EpisodeLogError, f"{target}: cannot be written"), durable.filling(target.parent) as folder:
        copy = folder / "log.sqlite"
        with database.read() as source:
            _copy(source, copy)
        fp("log.backup.copied")
        durable.publish(copy, target)


def _copy(source: Connection, path: Path) -> None:
    target = Database(path)
    try:
        with target.engine.connect() as connection:
            into = connection.connection.driver_connection
            origin = source.connection.driver_connection
            assert into is not None and origin is not None
            origin.backup(into)
        with target.read() as connection:
            require_sound(connection)
    finally:
        target.close()


def _migrate(database: Database, version: int) -> None:
    if version and database.is_sqlite:
        kept = Path(f"{database.name}.schema-{version}")
        if not kept.exists():
            backup(database, kept)
            logger.warning(
                "%s: schema %d is brought up to date; a copy of it stays at %s", database.name, version, kept
            )
    fp("log.migrate.backed_up")
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
        schema.migrate(connection, schema.MIGRATIONS)
    fp("log.migrate.committed")
