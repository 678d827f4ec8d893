"""Many writers, one order: nothing acknowledged is lost, whatever fails, and an error tells nobody's words."""

from __future__ import annotations

import subprocess
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, text

from dialog_rl import faults
from dialog_rl.episode import Rating
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import EpisodeLogError

from . import made
from .conftest import Opener


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    faults.disarm()
    yield
    faults.disarm()


def run_together(*jobs) -> None:
    failures: list[BaseException] = []

    def guarded(job) -> None:
        try:
            job()
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures, failures


def test_threads_share_commits_and_lose_nothing(log: EpisodeLog):
    commits = 0

    def count(_connection: object) -> None:
        nonlocal commits
        commits += 1

    event.listen(log.database.engine, "commit", count)

    def chat(n: int) -> None:
        for turn in range(5):
            log.append(made.episode(f"{n}/{turn}", turns=0))

    run_together(*(lambda n=n: chat(n) for n in range(20)))
    assert log.count() == log.last_seq() == 100
    assert commits < 100


def test_two_writers_on_one_log_make_one_gapless_order(open_log: Opener):
    first, second = open_log(), open_log()

    def write(log: EpisodeLog, name: str) -> None:
        for n in range(30):
            log.append(made.episode(f"{name}{n}", turns=0))

    run_together(lambda: write(first, "a"), lambda: write(second, "b"))
    assert [e.seq for e in first.events()] == list(range(1, 61))


def test_a_follower_misses_nothing_while_others_write(open_log: Opener):
    writers, reader = [open_log(), open_log()], open_log()
    seen: list[int] = []

    def write(log: EpisodeLog, name: str) -> None:
        for n in range(40):
            log.append(made.episode(f"{name}{n}", turns=0))

    def follow() -> None:
        while len(seen) < 80:
            seen.extend(e.seq for e in reader.events(since=seen[-1] if seen else 0))

    run_together(lambda: write(writers[0], "a"), lambda: write(writers[1], "b"), follow)
    assert seen == list(range(1, 81))


def test_one_wrong_append_does_not_harm_those_who_share_its_commit(log: EpisodeLog):
    log.append(made.episode("taken", seed=1))
    faults.arm("log.before_commit:1:delay=0.2")  # so that the others queue up behind the first
    refused: list[str] = []

    def wrong() -> None:
        try:
            log.append(made.episode("taken", seed=2))
        except EpisodeLogError as e:
            refused.append(str(e))

    jobs = [lambda n=n: log.append(made.episode(f"e{n}", turns=0)) for n in range(8)]
    run_together(*jobs, wrong, *(lambda n=n: log.append(made.episode(f"f{n}", turns=0)) for n in range(8)))
    assert len(refused) == 1 and "another content" in refused[0]
    assert log.count() == 17 and [e.seq for e in log.events()] == list(range(1, 18))


@pytest.mark.parametrize("label", ["log.events_inserted", "log.before_commit"])
@pytest.mark.parametrize("action", ["enospc", "eio"])
def test_a_failed_write_is_never_acknowledged_and_later_ones_succeed(log: EpisodeLog, label: str, action: str):
    log.append(made.episode("e1"))
    faults.arm(f"{label}:1:{action}")
    with pytest.raises(EpisodeLogError):
        log.append(made.episode("e2"))
    assert "e2" not in log and log.last_seq() == 1
    assert log.append(made.episode("e2")) == 2


def test_a_full_database_refuses_keeps_what_it_has_and_recovers(tmp_path: Path):
    with EpisodeLog.open(tmp_path / "log.sqlite") as log:
        log.append(made.episode("e0"))
        limit = _limit_pages(log, 40)
        acknowledged = ["e0"]
        with pytest.raises(EpisodeLogError, match="full"):
            for n in range(1, 200):
                log.append(made.episode(f"e{n}", turns=3))
                acknowledged.append(f"e{n}")
        assert 3 < len(acknowledged) < 100
        assert log.check().episodes == len(acknowledged)
        assert all(episode_id in log for episode_id in acknowledged)
        limit[0] = 100_000
        log.append(made.episode("after", turns=3))
        assert log.check().episodes == len(acknowledged) + 1


def _limit_pages(log: EpisodeLog, pages: int) -> list[int]:
    """SQLite's own idea of a full disk, for every connection from now on."""
    limit = [pages]

    def apply(connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={limit[0]}")

    event.listen(log.database.engine, "checkout", apply)
    return limit


def test_a_writer_that_is_interrupted_does_not_tell_the_others_that_it_wrote(log: EpisodeLog):
    faults.arm("log.events_inserted:1:delay=0.2, log.before_commit:2:raise")
    told: list[str] = []

    def append(n: int) -> None:
        try:
            told.append(f"{n}: {log.append(made.episode(f'e{n}', turns=0))}")
        except (EpisodeLogError, faults.InjectedFault) as e:
            told.append(f"{type(e).__name__}: {e}")

    run_together(*(lambda n=n: append(n) for n in range(8)))
    acknowledged = [line for line in told if not line.startswith(("Episode", "Injected"))]
    assert len(told) == 8 and len(acknowledged) == log.count() < 8
    assert sum(line.startswith("Injected") for line in told) == 1


def test_an_error_and_its_traceback_hold_no_words_of_the_conversation(open_log: Opener):
    log = open_log()
    secret = "my card is 4242 4242"
    log.append(made.episode())
    with log.database.write() as connection:
        connection.execute(text("DROP TABLE episode_policies"))
    with pytest.raises(EpisodeLogError) as caught:
        log.append_many([made.episode(secret[:7] + "x"), made.episode("e2", policy=secret)])
    assert log.database.engine.hide_parameters  # for what SQLAlchemy itself may log
    shown = "".join(traceback.format_exception(caught.value))
    assert "4242" not in shown and "card" not in shown and "on its way" not in shown.lower()


def test_a_constraint_that_is_violated_shows_no_values(log: EpisodeLog):
    log.append(made.episode("the-secret-id"))
    with pytest.raises(EpisodeLogError) as caught, log.database.write() as connection:
        connection.execute(
            text("INSERT INTO episodes SELECT 99, episode_id, pack, split, run, stop, turns FROM episodes")
        )
    assert "the-secret-id" not in "".join(traceback.format_exception(caught.value))


def test_ids_are_data_and_never_part_of_a_statement(log: EpisodeLog):
    evil = "x'); DROP TABLE events; --"
    log.append(made.episode(evil, pack=evil, policy=evil), run=evil)
    log.rate(Rating(episode_id=evil, rater=evil, value=1.0), event_id=evil)
    assert log.get(evil).pack == evil and log.ratings(evil)[0].rater == evil


def test_a_disk_that_is_really_full_refuses_and_recovers(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        with EpisodeLog.open(disk / "log.sqlite") as log:
            acknowledged: list[str] = []
            with pytest.raises(EpisodeLogError, match="full|disk I/O"):
                for n in range(500):
                    log.append(made.episode(f"e{n}", turns=3))
                    acknowledged.append(f"e{n}")
            assert len(acknowledged) > 10
            assert log.check().episodes == len(acknowledged)
            subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
            log.append(made.episode("after"))
            assert log.check().episodes == len(acknowledged) + 1
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_server_that_drops_its_connections_loses_and_doubles_nothing(postgres: str, caplog: pytest.LogCaptureFixture):
    with EpisodeLog.open(postgres) as log:
        stop = threading.Event()

        def chat(name: str) -> None:
            for n in range(25):
                log.append(made.episode(f"{name}{n}", turns=0))

        def disturb() -> None:
            while not stop.wait(0.03):
                _drop_connections(postgres)

        disturber = threading.Thread(target=disturb)
        disturber.start()
        try:
            run_together(*(lambda name=name: chat(name) for name in "abcd"))
        finally:
            stop.set()
            disturber.join()
    with EpisodeLog.open(postgres) as log:
        assert log.check().episodes == log.last_seq() == 100
    assert "trying again" in caplog.text


def _drop_connections(url: str) -> None:
    """End every other connection that has this test's schema open."""
    engine = create_engine(url)
    with engine.begin() as connection:
        mine = connection.scalars(text("SHOW search_path")).one()
        connection.execute(
            text(
                "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid() "
                "AND a.datname = current_database() AND a.application_name = :mine"
            ),
            {"mine": mine},
        )
    engine.dispose()
