"""One door to SQLite and PostgreSQL: how a connection is made safe, and how its errors become ours.

No error message or traceback that leaves here holds a statement's parameters: they are people's words.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from dialog_rl.errors import EpisodeLogError

_WRITES = "dialog_rl_writes"
_BUSY_SECONDS = 30.0
_ROLLBACK_JOURNAL = "PRAGMA journal_mode=TRUNCATE"  # unlike DELETE it is synced when a commit ends, without the folder
_WAL = "PRAGMA journal_mode=WAL"


class Disconnected(EpisodeLogError):
    """The server went away, and whether it committed is not known: what has an event id may be sent again."""


class Database:
    """An engine with our rules: short transactions, one writer at a time, typed errors, no use after a fork."""

    def __init__(self, where: str | Path, *, read_only: bool = False) -> None:
        self.url = url_of(where)
        self.read_only = read_only
        self.name = self.url.database or "" if self.is_sqlite else self.url.render_as_string(hide_password=True)
        self._pid = os.getpid()
        if self.is_sqlite:
            self._require_place()
        self.engine = _engine(self.url, read_only)

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the log. Keep it short: it holds up the writer of an SQLite file."""
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is durable when the block has ended, and did nothing if it raised."""
        if self.read_only:
            raise EpisodeLogError(f"{self.name}: opened read-only")
        with self._transaction(writes=True) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        if os.getpid() != self._pid:
            raise EpisodeLogError(f"{self.name}: opened before a fork; open the log in the process that uses it")
        failure: EpisodeLogError | None = None
        try:
            with self.engine.connect() as connection:
                connection = connection.execution_options(**{_WRITES: writes})
                try:
                    with connection.begin():
                        yield connection
                except (OperationalError, InterfaceError):
                    # after a failed write or sync only a fresh connection tells what is really on disk
                    connection.invalidate()
                    raise
        except SQLAlchemyError as e:
            failure = self._failure(e)
        except OSError as e:
            failure = EpisodeLogError(f"{self.name}: {e.strerror or e}")
        except EpisodeLogError as e:
            raise type(e)(_prefixed(self.name, str(e))) from None
        if failure is not None:
            raise failure from None  # the cause would show parameters in a traceback

    def close(self) -> None:
        self.engine.dispose(close=os.getpid() == self._pid)

    def _failure(self, e: SQLAlchemyError) -> EpisodeLogError:
        if not isinstance(e, DBAPIError):
            return EpisodeLogError(f"{self.name}: {type(e).__name__}")
        origin: Any = e.orig
        if isinstance(origin, sqlite3.Error):
            return EpisodeLogError(f"{self.name}: {origin}")
        state = getattr(origin, "sqlstate", None)
        if isinstance(e, OperationalError | InterfaceError) and (state is None or str(state).startswith(("57", "08"))):
            reason = str(origin).strip().splitlines()[0] if e.statement is None else type(origin).__name__
            return Disconnected(f"{self.name}: no connection to the server: {reason}")
        return EpisodeLogError(f"{self.name}: {type(origin).__name__} (SQLSTATE {state})")

    def _require_place(self) -> None:
        path = Path(self.name)
        if self.read_only and not path.is_file():
            raise EpisodeLogError(f"{path}: there is no episode log here")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self.read_only:
                path.touch(mode=0o600)  # people's conversations: SQLite would make it readable to all
        except OSError as e:
            raise EpisodeLogError(f"{path}: cannot be made: {e.strerror}") from None


def url_of(where: str | Path) -> URL:
    """A database URL as it is; anything else is the path of an SQLite file."""
    if isinstance(where, str) and "://" in where:
        try:
            url = make_url(where)
        except SQLAlchemyError:
            raise EpisodeLogError("the log's URL cannot be read; one is postgresql+psycopg://user@host/name") from None
        if url.get_backend_name() not in ("sqlite", "postgresql"):
            raise EpisodeLogError(f"{url.get_backend_name()}: a log is kept in SQLite or PostgreSQL")
        return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url
    return URL.create("sqlite", database=str(Path(where).absolute()))


def has_wal_reset_fault(version: tuple[int, ...]) -> bool:
    """Whether an SQLite library can corrupt a WAL file when two connections reset it at once.

    Fixed in 3.51.3, and in the back-ports 3.50.7 and 3.44.6. Source: sqlite.org/wal.html, "the WAL-reset bug".
    """
    return not (version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45))


def _engine(url: URL, read_only: bool) -> Engine:
    try:
        if url.get_backend_name() == "sqlite":
            return _sqlite_engine(url, read_only)
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=True)
    except (ImportError, SQLAlchemyError) as e:
        raise EpisodeLogError(f"{url.get_backend_name()}: {e}; install dialog_rl[postgres]") from None
    if read_only:
        event.listen(engine, "begin", lambda c: c.exec_driver_sql("SET TRANSACTION READ ONLY") and None)
    return engine


def _sqlite_engine(url: URL, read_only: bool) -> Engine:
    path = Path(url.database or "")
    if read_only:
        url = URL.create("sqlite", database=f"{path.as_uri()}", query={"mode": "ro", "uri": "true"})
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS})
    journal_mode = _ROLLBACK_JOURNAL if has_wal_reset_fault(sqlite3.sqlite_version_info) else _WAL

    @event.listens_for(engine, "connect")
    def _(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver would begin by itself, and too late
        cursor = connection.cursor()
        cursor.execute("PRAGMA trusted_schema=OFF")
        cursor.execute("PRAGMA mmap_size=0")
        cursor.execute("PRAGMA synchronous=FULL")
        if not read_only:
            cursor.execute(journal_mode)
        cursor.close()

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _prefixed(name: str, message: str) -> str:
    return message if message.startswith(name) else f"{name}: {message}"
