"""Leases as rows of the log: one holder at a time, a token that rises with every holder, beats while the holder lives.

No clock is compared between machines: whoever wants a lease watches the beats for as long as its own clock says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import insert, select, update

from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.schema import leases, log_state
from dialog_rl.errors import EpisodeLogError
from dialog_rl.faults import fp


class LeaseLost(EpisodeLogError):
    """Somebody else holds the lease by now: what was about to be done must not be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A lease at one moment."""

    token: int = 0
    """Of the present holder, or of the last one; 0 if nobody has held it yet."""
    holder: str = ""
    """Empty: given back."""
    beats: int = 0


def look(log: EpisodeLog, name: str) -> Held:
    with log.database.read() as connection:
        row = connection.execute(select(leases).where(leases.c.name == name)).one_or_none()
    return Held(token=row.token, holder=row.holder, beats=row.beats) if row is not None else Held()


def take(log: EpisodeLog, name: str, holder: str, *, seen: Held) -> int:
    """Take a lease that stands as it was `seen`; the new token. Raises LeaseLost if it changed meanwhile."""
    row = leases.c
    with log.database.write() as connection:
        connection.execute(select(log_state.c.last_seq).with_for_update())  # a row not yet there cannot be locked
        found = connection.execute(select(leases).where(row.name == name).with_for_update()).one_or_none()
        now = Held(token=found.token, holder=found.holder, beats=found.beats) if found is not None else Held()
        if now != seen:
            raise LeaseLost(f"the lease {name!r} was taken by {now.holder or 'somebody'} in the meantime")
        values = {"token": seen.token + 1, "holder": holder, "beats": 0}
        if found is None:
            connection.execute(insert(leases), {"name": name, **values})
        else:
            connection.execute(update(leases).where(row.name == name).values(values))
        fp("log.lease.before_commit")
    return seen.token + 1


def beat(log: EpisodeLog, name: str, token: int) -> bool:
    """Show that the holder lives. False if the lease is another's."""
    mine = (leases.c.name == name) & (leases.c.token == token)
    with log.database.write() as connection:
        return connection.execute(update(leases).where(mine).values(beats=leases.c.beats + 1)).rowcount == 1


def give_back(log: EpisodeLog, name: str, token: int) -> None:
    """Let the next one have it without waiting; nothing if it is another's already."""
    mine = (leases.c.name == name) & (leases.c.token == token)
    with log.database.write() as connection:
        connection.execute(update(leases).where(mine).values(holder=""))


@contextmanager
def guarded(log: EpisodeLog, name: str, token: int) -> Iterator[None]:
    """Nobody can take the lease while the block runs. Raises LeaseLost, before the block, if somebody has."""
    with log.database.write() as connection:
        row = select(leases.c.token).where(leases.c.name == name).with_for_update()
        if connection.scalars(row).one_or_none() != token:
            raise LeaseLost(f"the lease {name!r} is held by another updater; what this one made is dropped")
        yield
