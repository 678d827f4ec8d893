"""The tables, and the numbered migrations that make them. A migration once released is never edited.

Everything that happened is a row of `events`, in one gapless order that is also the order of commit. `episodes` and
`episode_policies` say of the episodes among them what is asked for most, so that a filter reads no bodies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    select,
)

from dialog_rl.errors import EpisodeLogError
from dialog_rl.faults import fp

metadata = MetaData()
_SEQ = BigInteger().with_variant(Integer(), "sqlite")

migrations_done = Table(
    "schema_migrations",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("applied_at", Double, nullable=False),
)
log_state = Table(
    "log_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("last_seq", _SEQ, nullable=False),
)
"""One row. Whoever appends locks it first, so sequence numbers have no gaps and a follower's cursor misses nothing."""
events = Table(
    "events",
    metadata,
    Column("seq", _SEQ, primary_key=True, autoincrement=False),
    Column("event_id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("episode_id", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("recorded_at", Double, nullable=False),
    Index("events_of_episode", "episode_id", "seq"),
    Index("events_of_kind", "kind", "seq"),
)
episodes = Table(
    "episodes",
    metadata,
    Column("seq", _SEQ, primary_key=True, autoincrement=False),
    Column("episode_id", Text, nullable=False, unique=True),
    Column("pack", Text, nullable=False),
    Column("split", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("stop", Text, nullable=False),
    Column("turns", Integer, nullable=False),
    Index("episodes_of_run", "run", "seq"),
)
episode_policies = Table(
    "episode_policies",
    metadata,
    Column("version", Text, primary_key=True),
    Column("seq", _SEQ, primary_key=True, autoincrement=False),
    Index("policies_of_episode", "seq"),
)
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("token", _SEQ, nullable=False),
    Column("holder", Text, nullable=False),
    Column("beats", _SEQ, nullable=False),
)
"""Who may do what only one may do at a time. The token rises with every holder, the beats while a holder lives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    name: str
    apply: Callable[[Connection], None]


def _first(connection: Connection) -> None:
    for table in (log_state, events, episodes, episode_policies):
        table.create(connection)
        fp("log.migrate.table")
    connection.execute(insert(log_state), {"id": 1, "last_seq": 0})


def _second(connection: Connection) -> None:
    leases.create(connection)
    fp("log.migrate.table")


def _third(connection: Connection) -> None:
    for index in episode_policies.indexes:
        index.create(connection, checkfirst=True)  # a new log has it from the first migration
    fp("log.migrate.table")


MIGRATIONS: tuple[Migration, ...] = (
    Migration(name="events, episodes and their policies", apply=_first),
    Migration(name="leases", apply=_second),
    Migration(name="policies by episode", apply=_third),
)


def version_of(connection: Connection) -> int:
    """The schema version of a database: 0 if it is empty. Raises EpisodeLogError if it is something else's."""
    tables = set(inspect(connection).get_table_names())
    if migrations_done.name in tables:
        return max(connection.scalars(select(migrations_done.c.number)), default=0)
    if tables & {table.name for table in metadata.sorted_tables} or (tables and connection.dialect.name == "sqlite"):
        raise EpisodeLogError("a database, but not an episode log: it has tables and no schema_migrations among them")
    return 0


def require_known(version: int, known: int) -> None:
    if version > known:
        raise EpisodeLogError(
            f"the log has schema version {version}, this program knows {known}: "
            "use the newer program, or open the log read-only to export it"
        )


def migrate(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring a database to the newest version. The caller's transaction makes it all or nothing."""
    version = version_of(connection)
    require_known(version, len(migrations))
    if version == 0:
        migrations_done.create(connection, checkfirst=True)
    for number, migration in enumerate(migrations[version:], version + 1):
        migration.apply(connection)
        fp("log.migrate.applied")
        row = {"number": number, "name": migration.name, "applied_at": time.time()}
        connection.execute(insert(migrations_done), row)
    fp("log.migrate.before_commit")
