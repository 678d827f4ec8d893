"""One updater at a time, and nothing that a former one made is taken."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialog_rl.episode_log import leases
from dialog_rl.episode_log.leases import Held, LeaseLost
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.online.lease import Occupied, hold
from tests.crashing import start, was_killed
from tests.episode_log.conftest import postgres as postgres

NAME = "updater"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EpisodeLog]:
    with EpisodeLog.open(tmp_path / "log.sqlite") as opened:
        yield opened


def holding_elsewhere(where: str | Path, lock: Path) -> int:
    """A process that holds the lease until it is killed; returns once it does."""
    reader, writer = os.pipe()

    def job() -> None:
        with EpisodeLog.open(where) as log, hold(log, NAME, (lock,)):
            os.write(writer, b"held")
            time.sleep(60)

    child = start(job)
    assert os.read(reader, 4) == b"held"
    return child


def end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    assert was_killed(child)


def test_a_second_updater_is_told_of_the_first(log: EpisodeLog, tmp_path: Path):
    child = holding_elsewhere(log.name, tmp_path / "lock")
    try:
        with pytest.raises(Occupied, match="another updater is at work"), hold(log, NAME, (tmp_path / "lock",)):
            pytest.fail("two updaters at once")
    finally:
        end(child)


def test_a_killed_updaters_place_is_free_at_once_and_the_token_rises(log: EpisodeLog, tmp_path: Path):
    end(holding_elsewhere(log.name, tmp_path / "lock"))
    with hold(log, NAME, (tmp_path / "lock",)) as lease:
        assert lease.token == 2
        with lease.guarding():
            pass
    with hold(log, NAME, (tmp_path / "lock",)) as lease:
        assert lease.token == 3


def test_a_stopped_updater_keeps_its_place(log: EpisodeLog, tmp_path: Path):
    child = holding_elsewhere(log.name, tmp_path / "lock")
    os.kill(child, signal.SIGSTOP)
    try:
        with pytest.raises(Occupied), hold(log, NAME, (tmp_path / "lock",)):
            pytest.fail("taken from a process that lives")
    finally:
        end(child)


def test_of_updaters_started_at_once_exactly_one_works(log: EpisodeLog, tmp_path: Path):
    reader, writer = os.pipe()

    def job() -> None:
        with EpisodeLog.open(log.name) as mine:
            try:
                with hold(mine, NAME, (tmp_path / "lock",)):
                    os.write(writer, b"1")
                    time.sleep(1.0)
            except Occupied:
                os.write(writer, b"0")

    children = [start(job) for _ in range(4)]
    for child in children:
        assert not was_killed(child)
    assert sorted(os.read(reader, 16)) == sorted(b"0001")


# Between machines: no lock is shared, only the database


def test_a_given_back_lease_is_taken_at_once(postgres: str, tmp_path: Path):
    with EpisodeLog.open(postgres) as log:
        for token in (1, 2):
            with hold(log, NAME, (), sleep=lambda _: pytest.fail("waited for nobody")) as lease:
                assert lease.token == token


def test_a_holder_that_shows_life_keeps_its_lease(postgres: str):
    with EpisodeLog.open(postgres) as log, hold(log, NAME, (), silence=0.5):
        with EpisodeLog.open(postgres) as other, pytest.raises(Occupied), hold(other, NAME, (), silence=0.5):
            pytest.fail("two holders")


def test_a_zombies_commit_is_refused(postgres: str):
    """Stopped for longer than it may be silent, it comes back and finds that another has taken over."""
    with EpisodeLog.open(postgres) as zombie, EpisodeLog.open(postgres) as heir:
        token = leases.take(zombie, NAME, "zombie", seen=Held())  # held, and no beat since
        with hold(heir, NAME, (), silence=0.1) as lease:
            assert lease.token == token + 1
            with pytest.raises(LeaseLost), leases.guarded(zombie, NAME, token):
                pytest.fail("the zombie committed")
            with lease.guarding():
                pass


def test_a_lease_that_was_taken_is_noticed_by_its_holder(postgres: str):
    with EpisodeLog.open(postgres) as log, hold(log, NAME, (), silence=60.0) as lease:
        leases.take(log, NAME, "thief", seen=leases.look(log, NAME))
        assert not lease.beat()
        with pytest.raises(LeaseLost), lease.guarding():
            pytest.fail("committed without the lease")
    with EpisodeLog.open(postgres) as log:
        assert leases.look(log, NAME).holder == "thief"
