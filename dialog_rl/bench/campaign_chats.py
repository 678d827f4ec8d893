"""Many people chat at several hosts over one PostgreSQL log, which is long already, while an updater follows it."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import text, update

from dialog_rl.bench.campaign_logging import made_up
from dialog_rl.bench.database_server import server
from dialog_rl.chat.room import LISTED
from dialog_rl.chat.session import RUN
from dialog_rl.episode import Episode, Rating, StopReason
from dialog_rl.episode_log import records
from dialog_rl.episode_log.log import EpisodeLog, Query
from dialog_rl.episode_log.schema import log_state
from dialog_rl.errors import EpisodeLogError
from dialog_rl.online.ledger import KINDS, Ledger

SAMPLE = 10_000
FULL = 1_000_000
"""Turns that are in the log before anybody speaks."""
HOSTS = 2
CHATS = 50
TURNS = 20
_ROUNDS = 20
_BEHIND = 500
"""Events since the updater last looked."""

Progress = Callable[[int], object]

_LONG = 10
"""Turns of the conversations that are there."""
_EVENTS = 2 * _LONG + 3
"""Of one such conversation: it begins, a message and a turn each, its episode, a rating."""
_FILL = """
INSERT INTO events (seq, event_id, kind, episode_id, body, sha256, recorded_at)
SELECT :first + :events * (n / :each) + :place + 2 * (n % :each),
       :kind || '\\:c' || n / :each || CASE WHEN :each > 1 THEN '\\:' || n % :each ELSE '' END,
       :kind, 'c' || n / :each, made.body,
       encode(sha256(convert_to(made.body, 'UTF8')), 'hex'), extract(epoch FROM now())
FROM generate_series(0, :each * :count - 1) AS n,
     LATERAL (SELECT replace(:body, 'model', 'c' || n / :each) AS body) AS made
"""
_ROWS = """
INSERT INTO episodes (seq, episode_id, pack, split, run, stop, turns)
SELECT :first + :events * n + :place, 'c' || n, pack, split, run, stop, turns
FROM generate_series(0, :count - 1) AS n, episodes WHERE episode_id = 'model'
"""


@dataclass(slots=True)
class _Heard:
    """What the chats were told, from all threads."""

    seconds: list[float] = field(default_factory=list[float])
    """From something that is said until it is known to be durable."""
    told: list[str] = field(default_factory=list[str])
    """Conversations whose end was acknowledged."""


def chat_at_once(folder: Path, turns: int, seed: int, progress: Progress) -> dict[str, Any]:
    """Fill a log of one's own, time what people and the updater wait for, then let everybody chat.

    Raises EpisodeLogError if anything that was acknowledged is not there; NoServer where there is no PostgreSQL.
    """
    with server(folder) as running, EpisodeLog.open(running.url) as log:
        fill(log, turns, progress)
        waited = {name: _medians(ask) for name, ask in _asked(log).items()}
        heard, followed = _chats(running.url, seed)
        lost = [name for name in heard.told if len(log.get(name).turns) != TURNS]
        if lost or len(set(heard.told)) != CHATS:
            raise EpisodeLogError(f"{len(lost)} of {len(heard.told)} conversations are not as they were told")
    ordered = sorted(heard.seconds)
    return {
        "bench": "postgres-chats", "turns": turns, "chats": CHATS, "hosts": HOSTS, "lost": 0, "followed": followed,
        "ack_p50_ms": _ms(statistics.median(ordered)), "ack_p99_ms": _ms(ordered[int(0.99 * (len(ordered) - 1))]),
        **{f"{name}_ms": _ms(seconds) for name, (seconds, _) in waited.items()},
        **{f"{name}_cpu_ms": _ms(cpu) for name, (_, cpu) in waited.items()},
    }  # fmt: skip


def fill(log: EpisodeLog, turns: int, progress: Progress) -> None:
    """Copies of one conversation, made inside the database, until there are so many turns; one more goes on."""
    model = long_one("model", _LONG)
    for name in ("model", "open"):
        log.begin(replace(model, episode_id=name, turns=(), stop=StopReason.ABORTED))
        log.user_said(name, 0, model.turns[0].user)
        log.answered(name, 0, model.turns[0])
    log.append(model, run=RUN)
    log.rate(Rating(episode_id="model", rater="ann", turn=0, value=1.0))
    bodies = {event.kind: records.encode(event.document) for event in log.events_of("model")}
    places = {"begin": 0, "user": 1, "turn": 2, "episode": _EVENTS - 2, "rating": _EVENTS - 1}
    count, first = turns // _LONG, log.last_seq() + 1
    for number, (kind, place) in enumerate(places.items()):
        each = _LONG if kind in ("user", "turn") else 1
        where = {"first": first, "events": _EVENTS, "place": place, "count": count}
        with log.database.write() as connection:
            connection.execute(text(_FILL), {**where, "each": each, "kind": kind, "body": bodies[kind]})
            if kind == "episode":
                connection.execute(text(_ROWS), where)
        progress(turns * number // len(places))
    with log.database.write() as connection:
        connection.execute(update(log_state).values(last_seq=first + _EVENTS * count - 1))
        connection.execute(text("ANALYZE"))


def long_one(name: str, turns: int) -> Episode:
    """A conversation whose turns are some hundred bytes each."""
    one = made_up(7)
    return replace(one, episode_id=name, turns=one.turns * turns, note="")


def _asked(log: EpisodeLog) -> Mapping[str, Callable[[], object]]:
    end = log.last_seq()
    return {
        "fetch": lambda: list(log.events(since=end - _BEHIND, kinds=KINDS)),
        "list": lambda: log.rated([one.episode.episode_id for one in log.latest(Query(run=RUN), count=LISTED)]),
        "going_on": lambda: list(log.open_conversations()),
        "find": lambda: log.get("c7"),
    }


def _medians(ask: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock on the wall, and of this process's CPU."""
    wall, cpu = list[float](), list[float]()
    for _ in range(_ROUNDS):
        started, worked = time.perf_counter(), time.process_time()
        ask()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - worked)
    return statistics.median(wall), statistics.median(cpu)


def _chats(url: str, seed: int) -> tuple[_Heard, int]:
    """Everybody at once, each host with a connection pool of its own; what an updater took in meanwhile."""
    heard, over, ledger = _Heard(), threading.Event(), Ledger(own_run="learn")
    logs = [EpisodeLog.open(url) for _ in range(HOSTS + 1)]
    ledger.cursor = before = logs[-1].last_seq()

    def follow() -> None:
        while not over.wait(0.2):
            ledger.follow(logs[-1])

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        with ThreadPoolExecutor(CHATS) as people:
            list(people.map(lambda number: _chat(logs[number % HOSTS], f"live-{seed}-{number}", heard), range(CHATS)))
    finally:
        over.set()
        follower.join()
        ledger.follow(logs[-1])
        for log in logs:
            log.close()
    return heard, ledger.cursor - before


def _chat(log: EpisodeLog, name: str, heard: _Heard) -> None:
    whole = long_one(name, TURNS)
    log.begin(replace(whole, turns=(), stop=StopReason.ABORTED))
    for number, turn in enumerate(whole.turns):
        started = time.perf_counter()
        log.user_said(name, number, turn.user)
        heard.seconds.append(time.perf_counter() - started)
        log.answered(name, number, turn)
    log.append(whole, run=RUN)
    heard.told.append(name)


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)
