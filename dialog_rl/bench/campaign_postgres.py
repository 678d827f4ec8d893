"""kill -9 of a PostgreSQL server under load, many times: who logs waits and goes on, nothing is lost or doubled."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dialog_rl.bench.campaign_logging import event_ids, made_up, messages
from dialog_rl.bench.database_server import Server, server
from dialog_rl.bench.killing import upper_bound
from dialog_rl.episode_log.database import Disconnected
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import EpisodeLogError

FULL = 200
SAMPLE = 3
WRITERS = 4
_LONGEST = 0.6
"""Seconds at most from a server's start to its death."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    kills: int
    acknowledged: int
    """Events whose sender was told that they are durable."""
    found: int
    """Events that the log holds in the end."""
    sent_again: int
    """Appends whose outcome was not known, and which were sent again."""
    seed: int


@dataclass(slots=True)
class _Load:
    """What those who log share with who kills."""

    where: str
    over: threading.Event = field(default_factory=threading.Event)
    acknowledged: list[str] = field(default_factory=list[str])
    sent_again: int = 0
    failures: list[BaseException] = field(default_factory=list[BaseException])

    def go_on(self, first: int) -> None:
        """One episode after another with all that is said of it, until it is over."""
        try:
            with EpisodeLog.open(self.where) as log:
                number = first
                while not self.over.is_set():
                    for send, name in zip(messages(number), event_ids(number), strict=True):
                        self._until_acknowledged(send, log)
                        self.acknowledged.append(name)
                    number += WRITERS
        except BaseException as e:  # the thread's border: told where the campaign is
            self.failures.append(e)
            raise

    def _until_acknowledged(self, send: Callable[[EpisodeLog], object], log: EpisodeLog) -> None:
        while True:
            try:
                send(log)
                return
            except Disconnected:
                self.sent_again += 1
                time.sleep(0.05)


def kill_the_server(
    folder: Path, kills: int, seed: int, progress: Callable[[int], object] = lambda done: None
) -> Tally:
    """Raises EpisodeLogError if an acknowledged event is lost, torn or doubled; NoServer where there is none."""
    chance = random.Random(seed)
    with server(folder) as running:
        EpisodeLog.open(running.url).close()
        load = _Load(where=running.url)
        threads = [threading.Thread(target=load.go_on, args=(number,)) for number in range(WRITERS)]
        for thread in threads:
            thread.start()
        try:
            for number in range(kills):
                _kill_under_load(running, load, chance)
                progress(number + 1)
        finally:
            load.over.set()
            for thread in threads:
                thread.join()
        if load.failures:
            raise load.failures[0]
        found = require_all(running.url, load.acknowledged, seed)
    return Tally(kills=kills, acknowledged=len(load.acknowledged), found=found, sent_again=load.sent_again, seed=seed)


def document(tally: Tally) -> dict[str, Any]:
    return {"bench": "postgres-kills", **asdict(tally), "lost": 0, "torn": 0, "doubled": 0,
            "upper_bound": upper_bound(tally.kills)}  # fmt: skip


def _kill_under_load(running: Server, load: _Load, chance: random.Random) -> None:
    """Kill once something has been acknowledged since the start, at a moment that nobody knows."""
    before = len(load.acknowledged)
    while len(load.acknowledged) == before and not load.failures:
        time.sleep(0.005)
    time.sleep(chance.uniform(0.0, _LONGEST))
    running.kill()
    running.start()


def require_all(where: str, acknowledged: list[str], seed: int) -> int:
    """The number of events in a log that holds every acknowledged one, each once and whole. Raises EpisodeLogError."""
    with EpisodeLog.open(where) as log:
        found = [event.event_id for event in log.events()]
        if len(found) != len(set(found)) or len(acknowledged) != len(set(acknowledged)):
            raise EpisodeLogError(f"seed {seed}: {len(found) - len(set(found))} events are there twice")
        if lost := set(acknowledged) - set(found):
            raise EpisodeLogError(f"seed {seed}: {len(lost)} acknowledged events are lost, {sorted(lost)[0]} first")
        if log.check().events != len(found):
            raise EpisodeLogError(f"seed {seed}: the log does not hold what it tells of")
        for logged in log.episodes():
            if logged.episode != made_up(int(logged.episode.episode_id[1:])):
                raise EpisodeLogError(f"seed {seed}: {logged.episode.episode_id} is not what was sent")
    return len(found)
