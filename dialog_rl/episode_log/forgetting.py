"""Taking a person's words out of a log: the one thing that ever changes what was written.

Deleted pages are overwritten with zeros and the file is written anew, so that nothing is left in what the log frees. A
PostgreSQL server keeps its own backups and write-ahead archives: what is in those is its administrator's to remove.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, select, update

from dialog_rl.episode_log import schema
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.records import Kind, NewEvent, digest, encode
from dialog_rl.errors import EpisodeLogError
from dialog_rl.faults import fp

logger = logging.getLogger(__name__)

_NAMING = ("goes on from", "went on as")
"""How a conversation's note names the one it branched off, or the one that goes on from it."""
_RELATED = re.compile(rf"(?:{'|'.join(_NAMING)}) (\S+?)(?:,| from|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What was taken out."""

    episodes: tuple[str, ...]
    """Conversations, with all that was said in and of them."""
    ratings: int
    """Of other conversations."""
    updates: tuple[tuple[str, int], ...]
    """Run and number of each update that had learnt from any of it."""


def related(log: EpisodeLog, episode_ids: Iterable[str]) -> tuple[str, ...]:
    """Conversations with those that they branched off or that go on from them: they repeat the same words.

    Raises EpisodeLogError for one that is not in the log.
    """
    links: dict[str, set[str]] = {}
    for event in log.events(kinds=(Kind.EPISODE, Kind.BEGIN), texts=_NAMING):
        for other in _RELATED.findall(event.document.get("note", "")):
            links.setdefault(event.episode_id, set()).add(other)
            links.setdefault(other, set()).add(event.episode_id)
    wanted, waiting = dict[str, None](), list(episode_ids)
    while waiting:
        name = waiting.pop(0)
        if name in wanted:
            continue
        if name not in log and log.open_conversation(name) is None:
            raise EpisodeLogError(f"{log.name}: there is no conversation {name!r}")
        wanted[name] = None
        waiting += sorted(links.get(name, ()))
    return tuple(wanted)


def forget(log: EpisodeLog, episode_ids: Collection[str], raters: Collection[str] = ()) -> Forgotten:
    """Delete conversations, and all ratings of some raters, for good.

    That it is done, and which updates had learnt from it, is told in the log before, so a deletion that was cut off can
    be done again. The backups that migrations made of an SQLite log are removed with it.
    """
    gone = set(episode_ids)
    rated = [
        event for event in log.events(kinds=(Kind.RATING,))
        if event.document["rater"] in raters and event.episode_id not in gone
    ]  # fmt: skip
    keys = {event.event_id for event in rated}
    found = Forgotten(episodes=tuple(sorted(gone)), ratings=len(rated), updates=_updates(log, gone, keys))
    log.writer.append([_told(found, log.last_seq())])
    with log.database.write() as connection:
        if log.database.is_sqlite:
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
        _delete(connection, gone, keys)
        _strip_plans(connection, gone, keys)
        fp("log.forget.before_commit")
    fp("log.forget.committed")
    _clean(log)
    return found


def _updates(log: EpisodeLog, gone: set[str], ratings: set[str]) -> tuple[tuple[str, int], ...]:
    touched: set[tuple[str, int]] = set()
    for event in log.events(kinds=(Kind.UPDATE,)):
        for one in event.document["episodes"]:
            if one["episode_id"] in gone or ratings.intersection(one["ratings"]):
                touched.add((event.document["run"], event.document["update"]))
    return tuple(sorted(touched))


def _delete(connection: Connection, gone: set[str], ratings: set[str]) -> None:
    events, episodes, policies = schema.events, schema.episodes, schema.episode_policies
    for name in sorted(gone):
        seqs = select(episodes.c.seq).where(episodes.c.episode_id == name)
        connection.execute(delete(policies).where(policies.c.seq.in_(seqs)))
        connection.execute(delete(episodes).where(episodes.c.episode_id == name))
        connection.execute(delete(events).where(events.c.episode_id == name))
    for key in sorted(ratings):
        connection.execute(delete(events).where(events.c.event_id == key))


def _strip_plans(connection: Connection, gone: set[str], ratings: set[str]) -> None:
    """Plans keep what else they were made from; not the names of what is gone."""
    events = schema.events.c
    for row in connection.execute(select(events.seq, events.body).where(events.kind == str(Kind.UPDATE))).all():
        document = json.loads(row.body)
        kept = [
            {**one, "ratings": [name for name in one["ratings"] if name not in ratings]}
            for one in document["episodes"]
            if one["episode_id"] not in gone
        ]
        if kept != document["episodes"]:
            body = encode({**document, "episodes": kept})
            changed = update(schema.events).where(events.seq == row.seq)
            connection.execute(changed.values(body=body, sha256=digest(body)))


def _clean(log: EpisodeLog) -> None:
    """Nothing of what was deleted stays in freed pages, in a journal or in an old backup."""
    if not log.database.is_sqlite:
        return
    with log.database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA secure_delete=ON")
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        driver.execute("VACUUM")
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = Path(log.name)
    for copy in path.parent.glob(f"{path.name}.schema-*"):
        logger.warning("%s: removed, as it holds what was forgotten", copy)
        copy.unlink()


def _told(found: Forgotten, seq: int) -> NewEvent:
    body = encode({"conversations": len(found.episodes), "ratings": found.ratings, "updates": found.updates})
    return NewEvent(event_id=f"{Kind.FORGOTTEN}:{seq}", kind=Kind.FORGOTTEN, episode_id="", body=body)
