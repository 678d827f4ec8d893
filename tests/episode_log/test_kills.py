"""kill -9 while logging: what was acknowledged is there, once and whole; what was not may be sent again."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from dialog_rl import faults
from dialog_rl.bench.campaign_logging import FULL, kill_while_logging, made_up
from dialog_rl.episode_log import moving, schema
from dialog_rl.episode_log.log import EpisodeLog
from tests.crashing import campaign_size, every_crash_point, start, was_killed

from .conftest import Opener
from .test_opening import LATER


@pytest.mark.timeout(0)  # the full campaign takes minutes
def test_nothing_acknowledged_is_lost_torn_or_doubled_by_kills(open_log: Opener):
    log = open_log()
    where = log.database.url.render_as_string(hide_password=False) if not log.database.is_sqlite else log.name
    tally = kill_while_logging(where, campaign_size(25, FULL), seed=20_26)
    assert tally.acknowledged > tally.kills
    print(f"{tally.kills} kills, {tally.acknowledged} events acknowledged, 0 lost, 0 torn, 0 doubled")


def test_a_commit_killed_at_any_point_happened_or_did_not(tmp_path: Path):
    numbers = itertools.count()
    path = tmp_path
    batch = [made_up(n) for n in range(2, 6)]

    def job():
        nonlocal path
        path = tmp_path / f"log{next(numbers)}.sqlite"
        EpisodeLog.open(path).close()
        return append

    def append() -> None:
        with EpisodeLog.open(path) as log:
            log.append(made_up(1))
            log.append_many(batch)

    counts = set()
    for spec in every_crash_point(job):
        with EpisodeLog.open(path) as log:
            counts.add(log.count())
            append()
            assert log.check().episodes == log.last_seq() == 5, spec
    assert counts == {0, 1, 5}


def test_a_migration_killed_at_any_point_leaves_the_old_schema_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    numbers = itertools.count()
    path = tmp_path

    def job():
        nonlocal path
        path = tmp_path / f"log{next(numbers)}.sqlite"
        with EpisodeLog.open(path) as log:
            log.append(made_up(1))

        def migrate() -> None:
            schema.MIGRATIONS = LATER  # in the child alone
            EpisodeLog.open(path).close()

        return migrate

    outcomes = set()
    for spec in every_crash_point(job):
        with EpisodeLog.open(path, read_only=True) as log:
            assert log.get("e1") == made_up(1), spec
            with log.database.read() as connection:
                outcomes.add(schema.version_of(connection))
        with monkeypatch.context() as patch:
            patch.setattr(schema, "MIGRATIONS", LATER)
            with EpisodeLog.open(path) as log:
                assert log.append(made_up(2)) == 2, spec
    assert outcomes == {len(LATER) - 1, len(LATER)}


def test_a_move_killed_between_pages_goes_on_to_an_equal_log(tmp_path: Path):
    with EpisodeLog.open(tmp_path / "from.sqlite") as source:
        source.append_many([replace(made_up(n), turns=()) for n in range(500)])

    def move() -> None:
        with EpisodeLog.open(tmp_path / "from.sqlite") as source, EpisodeLog.open(tmp_path / "to.sqlite") as target:
            moving.move(source, target)

    for _ in range(3):
        child = start(lambda: (faults.arm("log.move.before_commit:2:kill"), move()))
        was_killed(child)
    move()
    with EpisodeLog.open(tmp_path / "from.sqlite") as source, EpisodeLog.open(tmp_path / "to.sqlite") as target:
        assert moving.compare(source, target) == 500
