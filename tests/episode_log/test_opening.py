"""A log is used only if it is sound, ours and understood; an older one is brought up to date, whole or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from dialog_rl import faults
from dialog_rl.episode_log import database, schema
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import EpisodeLogError

from . import made
from .conftest import Opener


def add_column(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE log_state ADD COLUMN colour TEXT"))
    faults.fp("test.migrating")
    connection.execute(text("UPDATE log_state SET colour = 'red'"))


KNOWN = len(schema.MIGRATIONS)
LATER = (*schema.MIGRATIONS, schema.Migration(name="colour", apply=add_column))


@pytest.fixture(autouse=True)
def _disarmed():
    faults.disarm()
    yield
    faults.disarm()


def test_the_migrations_make_the_tables_that_the_program_declares(log: EpisodeLog):
    with log.database.read() as connection:
        found = inspect(connection)
        assert set(found.get_table_names()) == {table.name for table in schema.metadata.sorted_tables}
        for table in schema.metadata.sorted_tables:
            assert [c["name"] for c in found.get_columns(table.name)] == [c.name for c in table.columns]


def test_opening_twice_migrates_once(open_log: Opener):
    open_log().append(made.episode())
    assert open_log().count() == 1


def test_an_older_log_is_migrated_after_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "log.sqlite"
    with EpisodeLog.open(path) as log:
        log.append(made.episode())
    monkeypatch.setattr(schema, "MIGRATIONS", LATER)
    with EpisodeLog.open(path) as log:
        assert log.get("e1") == made.episode()
        log.append(made.episode("e2"))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT colour FROM log_state").fetchone() == ("red",)
    monkeypatch.undo()
    with EpisodeLog.open(tmp_path / f"log.sqlite.schema-{KNOWN}") as old:
        assert old.count() == 1 and old.get("e1") == made.episode()


@pytest.mark.parametrize(
    "label", ["log.backup.copied", "durable.dir.synced", "test.migrating", "log.migrate.before_commit"]
)
def test_a_migration_that_fails_leaves_the_log_as_it_was(label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "log.sqlite"
    with EpisodeLog.open(path) as log:
        log.append(made.episode())
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", LATER)
        faults.arm(f"{label}:1:enospc")
        with pytest.raises(EpisodeLogError, match="No space left"):
            EpisodeLog.open(path)
        faults.disarm()
    with EpisodeLog.open(path) as log:
        assert log.get("e1") == made.episode()
        log.append(made.episode("e2"))


def test_a_newer_schema_is_refused_by_its_number_and_can_be_read(open_log: Opener, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", LATER)
        log = open_log()
        log.append(made.episode())
    with pytest.raises(EpisodeLogError, match=f"schema version {KNOWN + 1}, this program knows {KNOWN}"):
        open_log()
    where = log.name if log.database.is_sqlite else log.database.url.render_as_string(hide_password=False)
    with EpisodeLog.open(where, read_only=True) as reader:
        assert reader.get("e1") == made.episode()
        with pytest.raises(EpisodeLogError, match="opened read-only"):
            reader.append(made.episode("e2"))


def test_the_database_itself_refuses_to_write_when_opened_read_only(open_log: Opener):
    log = open_log()
    where = log.name if log.database.is_sqlite else log.database.url.render_as_string(hide_password=False)
    with EpisodeLog.open(where, read_only=True) as reader:
        with pytest.raises(EpisodeLogError), reader.database.read() as connection:
            connection.execute(text("UPDATE log_state SET last_seq = 7"))


def test_another_programs_database_is_left_alone(tmp_path: Path):
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(EpisodeLogError, match="not an episode log"):
        EpisodeLog.open(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_a_typed_error(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("my notes " * 500)
    with pytest.raises(EpisodeLogError, match="not a database"):
        EpisodeLog.open(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "my notes " * 500


def test_a_log_that_is_not_there_is_not_made_by_reading_it(tmp_path: Path):
    with pytest.raises(EpisodeLogError, match="no episode log here"):
        EpisodeLog.open(tmp_path / "log.sqlite", read_only=True)
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_refused_when_it_is_opened(tmp_path: Path):
    path = tmp_path / "log.sqlite"
    with EpisodeLog.open(path) as log:
        log.append_many([made.episode(f"e{n}") for n in range(50)])
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 200] = b"\xff" * 200
    path.write_bytes(content)
    with pytest.raises(EpisodeLogError, match=r"log\.sqlite: .*(damaged|malformed)"):
        EpisodeLog.open(path)


def test_a_backup_is_a_whole_log_and_overwrites_nothing(tmp_path: Path):
    with EpisodeLog.open(tmp_path / "log.sqlite") as log:
        log.append_many([made.episode(f"e{n}") for n in range(20)])
        log.backup(tmp_path / "backup.sqlite")
        log.append(made.episode("later"))
        with pytest.raises(EpisodeLogError, match="exists"):
            log.backup(tmp_path / "backup.sqlite")
    with EpisodeLog.open(tmp_path / "backup.sqlite") as copy:
        assert copy.check().episodes == 20


def test_a_check_reads_and_counts_everything(log: EpisodeLog):
    log.append_many([made.episode(f"e{n}") for n in range(3)])
    health = log.check()
    assert (health.events, health.episodes, health.ratings, health.unknown) == (3, 3, 0, 0)
    with log.database.write() as connection:
        connection.execute(text("UPDATE events SET kind = 'dream' WHERE seq = 2"))
        connection.execute(text("DELETE FROM episodes WHERE seq = 2"))
    assert log.check().unknown == 1
    with log.database.write() as connection:
        connection.execute(text("DELETE FROM episodes WHERE seq = 1"))
    with pytest.raises(EpisodeLogError, match="2 episodes, but 1 in the table"):
        log.check()


def test_a_log_is_for_its_owner_alone(tmp_path: Path):
    with EpisodeLog.open(tmp_path / "log.sqlite"):
        assert (tmp_path / "log.sqlite").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("where", ["mysql://host/db", "nonsense://", "postgresql+psycopg://u:hunter2@127.0.0.1:1/x"])
def test_a_url_that_cannot_serve_is_a_typed_error_without_its_password(where: str):
    with pytest.raises(EpisodeLogError) as caught:
        EpisodeLog.open(where)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("version", "faulty"),
    [((3, 40, 1), True), ((3, 44, 5), True), ((3, 44, 6), False), ((3, 45, 0), True), ((3, 50, 6), True),
     ((3, 50, 7), False), ((3, 51, 0), True), ((3, 51, 2), True), ((3, 51, 3), False), ((3, 52, 0), False)],
)  # fmt: skip
def test_wal_is_used_only_where_the_library_does_not_corrupt_it(version: tuple[int, int, int], faulty: bool):
    assert database.has_wal_reset_fault(version) is faulty


def test_the_journal_in_use_is_the_one_that_fits_the_library(tmp_path: Path):
    with EpisodeLog.open(tmp_path / "log.sqlite") as log, log.database.read() as connection:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
    assert mode == ("truncate" if database.has_wal_reset_fault(sqlite3.sqlite_version_info) else "wal")
