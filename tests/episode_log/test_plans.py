"""The queries that people and the updater wait for are answered from an index, however long the log has become."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from dialog_rl.episode import Rating, StopReason
from dialog_rl.episode_log.forgetting import forget, related
from dialog_rl.episode_log.leases import look
from dialog_rl.episode_log.log import EpisodeLog, Query
from dialog_rl.online.ledger import KINDS
from tests.episode_log.made import episode

WAITED_FOR: dict[str, Callable[[EpisodeLog], object]] = {
    "what the updater fetches": lambda log: list(log.events(since=log.last_seq() - 20, kinds=KINDS)),
    "what the terminal lists": lambda log: log.latest(Query(run="chat"), count=20),
    "which of them are rated": lambda log: log.rated(["e7", "e8"]),
    "which conversations go on": lambda log: list(log.open_conversations()),
    "whether one goes on": lambda log: log.open_conversation("e9"),
    "one episode": lambda log: log.get("e7"),
    "its ratings": lambda log: log.ratings("e7"),
    "a run's episodes": lambda log: next(log.episodes(Query(run="chat"), since=5)),
    "a version's episodes": lambda log: log.count(Query(policy="v3")),
    "who holds the lease": lambda log: look(log, "updater"),
    "what has been kept for long enough": lambda log: list(log.ended_before(time.time() + 1)),
    "what is forgotten": lambda log: forget(log, related(log, ["e7"]), raters=["bob"]),
}
LARGE = ("events", "episodes", "episode_policies")


@pytest.fixture
def filled(log: EpisodeLog) -> EpisodeLog:
    for number in range(40):
        one = episode(f"e{number}", policy=f"v{number % 5}", turns=1, ids=2)
        log.begin(replace(one, turns=(), stop=StopReason.ABORTED))
        if number % 10:
            log.append(one, run="chat")
            log.rate(Rating(episode_id=one.episode_id, rater="ann", turn=0, value=1.0))
    return log


@contextmanager
def statements(log: EpisodeLog) -> Iterator[list[tuple[str, Any]]]:
    """What is asked of the database meanwhile, with the parameters."""
    asked: list[tuple[str, Any]] = []

    def note(_c: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "DELETE", "UPDATE")):
            asked.append((statement, parameters))

    event.listen(log.database.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(log.database.engine, "before_cursor_execute", note)


def plan(log: EpisodeLog, statement: str, parameters: Any) -> str:
    """How the database answers. PostgreSQL reads small tables as a whole and sorts them, so it may not."""
    with log.database.read() as connection:
        if log.database.is_sqlite:
            rows = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters)  # ours, and constant
            return "\n".join(str(row[-1]) for row in rows)
        for shortcut in ("seqscan", "sort", "bitmapscan"):
            connection.execute(text("SELECT set_config('enable_' || :name, 'off', true)"), {"name": shortcut})
        rows = connection.exec_driver_sql("EXPLAIN " + statement, parameters)
        return "\n".join(str(row[0]) for row in rows)


@pytest.mark.parametrize("what", WAITED_FOR)
def test_no_table_that_grows_is_read_from_end_to_end(filled: EpisodeLog, what: str) -> None:
    with statements(filled) as asked:
        WAITED_FOR[what](filled)
    assert asked
    for statement, parameters in asked:
        found = plan(filled, statement, parameters)
        for table in LARGE:
            assert f"Seq Scan on {table} " not in found and f"SCAN {table}\n" not in f"{found}\n", found


def test_what_follows_a_cursor_is_read_in_order_and_not_sorted(filled: EpisodeLog) -> None:
    for what in ("what the terminal lists", "a run's episodes", "one episode"):
        with statements(filled) as asked:
            WAITED_FOR[what](filled)
        for statement, parameters in asked:
            found = plan(filled, statement, parameters)
            assert "TEMP B-TREE" not in found and "Sort" not in found, found


def test_a_plan_that_reads_everything_is_noticed(filled: EpisodeLog) -> None:
    found = plan(filled, "SELECT body FROM events WHERE body = 'x' ORDER BY body", ())
    assert "Seq Scan on events " in found or "SCAN events" in found


def test_the_last_episodes_come_newest_first(filled: EpisodeLog) -> None:
    assert [e.episode.episode_id for e in filled.latest(Query(run="chat"), count=3)] == ["e39", "e38", "e37"]
    assert filled.rated(["e1", "e10", "e39"]) == {"e1": 1, "e39": 1}
    assert [o.episode.episode_id for o in filled.open_conversations()] == ["e0", "e10", "e20", "e30"]
