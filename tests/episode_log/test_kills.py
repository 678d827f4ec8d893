"""kill -9 while logging: what was acknowledged is there, once and whole; what was not may be sent again."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dialog_rl import faults
from dialog_rl.episode import Episode, Rating, StopReason
from dialog_rl.episode_log import moving, schema
from dialog_rl.episode_log.log import EpisodeLog
from tests.crashing import campaign_size, every_crash_point, start, was_killed

from . import made
from .conftest import Opener
from .test_opening import LATER


def made_up(number: int) -> Episode:
    return replace(made.episode(f"e{number}", seed=number, turns=1), note="x" * (number % 7 * 1500))


def message(number: int) -> list[Callable[[EpisodeLog], object]]:
    """The `number`-th thing to log: a finished episode and a rating of it, or a live conversation of one turn."""
    episode = made_up(number)
    if number % 3:
        return [
            lambda log: log.append(episode, run="kills"),
            lambda log: log.rate(
                Rating(episode_id=f"e{number}", rater="ann", turn=0, value=1.0), event_id=f"r{number}"
            ),
        ]
    return [
        lambda log: log.begin(replace(episode, turns=(), stop=StopReason.ABORTED)),
        lambda log: log.user_said(f"e{number}", 0, episode.turns[0].user),
        lambda log: log.answered(f"e{number}", 0, episode.turns[0]),
        lambda log: log.append(episode, run="kills"),
    ]


def log_from(where: str | Path, first: int, acknowledge: int) -> None:
    """Log one message after another until killed, and tell of each event through a pipe once it is acknowledged."""
    with EpisodeLog.open(where) as log:
        number = first
        while True:
            for part, send in enumerate(message(number)):
                send(log)
                os.write(acknowledge, b"%d %d\n" % (number, part))
            number += 1


def expected(number: int) -> list[str]:
    keys = [f"begin:e{number}", f"user:e{number}:0", f"turn:e{number}:0"] if number % 3 == 0 else []
    return [*keys, f"episode:e{number}", *([f"rating:r{number}"] if number % 3 else [])]


def campaign(where: str | Path, kills: int, seed: int) -> int:
    """Kill a logging process again and again, each time looking at what it left; how many events were acknowledged."""
    chance = random.Random(seed)
    done: dict[str, None] = {}
    number = acknowledged = 0
    with EpisodeLog.open(where) as log:
        for _ in range(kills):
            told = [expected(n)[part] for n, part in _killed_after(where, number, chance.uniform(0.0, 0.055))]
            acknowledged += len(told)
            sent = [key for key in told if key not in done]
            found = [event.event_id for event in log.events(since=len(done))]
            # one event more may be there: committed, but killed before it could say so
            assert found[: len(sent)] == sent and len(found) - len(sent) in (0, 1), f"seed {seed}"
            done |= dict.fromkeys(found)
            while set(expected(number)) <= done.keys():
                number += 1
        _require_whole(log, list(done))
    return acknowledged


def _killed_after(where: str | Path, first: int, seconds: float) -> list[tuple[int, int]]:
    """What a process acknowledged that was killed so long after its first acknowledgement."""
    reader, writer = os.pipe()
    child = start(lambda: log_from(where, first, writer))
    os.close(writer)
    begun = os.read(reader, 1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    assert was_killed(child)
    with os.fdopen(reader, "rb") as rest:
        lines = (begun + rest.read()).splitlines()
    return [(int(number), int(part)) for number, part in map(bytes.split, lines)]


def _require_whole(log: EpisodeLog, done: list[str]) -> None:
    assert [event.event_id for event in log.events()] == done
    assert log.check().events == log.last_seq() == len(done)
    for logged in log.episodes():
        assert logged.episode == made_up(int(logged.episode.episode_id[1:]))


@pytest.mark.timeout(0)  # the full campaign takes minutes
def test_nothing_acknowledged_is_lost_torn_or_doubled_by_kills(open_log: Opener):
    log = open_log()
    where = log.database.url.render_as_string(hide_password=False) if not log.database.is_sqlite else log.name
    kills = campaign_size(25, 10_000)
    acknowledged = campaign(where, kills, seed=20_26)
    assert acknowledged > kills
    print(f"{kills} kills, {acknowledged} events acknowledged, 0 lost, 0 torn, 0 doubled")


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
    assert outcomes == {2, 3}


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
