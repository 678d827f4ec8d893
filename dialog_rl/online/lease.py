"""One updater at a time: locks that die with their holder, and a lease in the database that many machines share.

On one machine an flock is enough: the kernel drops it when the process dies, and a process that is merely stopped keeps
it. A PostgreSQL log is shared between machines, so there a lease with a fencing token is needed beside it: who was
taken for dead, and comes back, holds an old token, and what it made is refused.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dialog_rl import durable
from dialog_rl.episode_log import leases
from dialog_rl.episode_log.leases import LeaseLost
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import EpisodeLogError, TrainingError

logger = logging.getLogger(__name__)

SILENCE = 30.0
"""Seconds without a beat after which a holder on another machine is taken for dead."""
_BEATS = 5
"""Beats that a holder tries in that time."""


class Occupied(TrainingError):
    """Another updater is at work."""


class Lease:
    """The right to update, held from `hold` on."""

    def __init__(self, log: EpisodeLog, name: str, token: int, *, local: bool) -> None:
        self.token = token
        """Rises with every holder; written into every checkpoint."""
        self._log, self._name, self._local = log, name, local

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """What is committed in this block is committed by the one holder. Raises LeaseLost before it otherwise."""
        if self._local:
            yield  # an flock is not lost while its holder lives
            return
        with leases.guarded(self._log, self._name, self.token):
            yield

    def beat(self) -> bool:
        return leases.beat(self._log, self._name, self.token)


@contextmanager
def hold(
    log: EpisodeLog,
    name: str,
    locks: tuple[Path, ...],
    *,
    patience: float = 0.0,
    silence: float = SILENCE,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Lease]:
    """Be the one updater while the block runs.

    locks: files to flock, always in the same order. patience: seconds to wait for them; a lease in a database is waited
    for as long as its holder has to be silent. Raises Occupied.
    """
    with ExitStack() as stack:
        for path in locks:
            _lock(stack, path, patience)
        local = log.database.is_sqlite
        token = leases.take(log, name, holder(), seen=leases.look(log, name)) if local else (
            _take_when_silent(log, name, silence, sleep)
        )  # fmt: skip
        lease = Lease(log, name, token, local=local)
        if not local:
            stack.enter_context(_beating(lease, silence / _BEATS))
        try:
            yield lease
        finally:
            _give_back(log, name, token)


def holder() -> str:
    """This process, as others may name it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _lock(stack: ExitStack, path: Path, patience: float) -> None:
    try:
        stack.enter_context(durable.locked(path, timeout=patience))
    except TimeoutError:
        raise Occupied(f"another updater is at work: it holds {path}") from None


def _take_when_silent(log: EpisodeLog, name: str, silence: float, sleep: Callable[[float], None]) -> int:
    """Take the lease at once if it was given back; else watch its holder for `silence` seconds of our own clock."""
    seen = leases.look(log, name)
    if seen.holder:
        logger.info("the lease %r is held by %s; watching it for %g s", name, seen.holder, silence)
        for _ in range(_BEATS):
            sleep(silence / _BEATS)
            if leases.look(log, name) != seen:
                raise Occupied(f"another updater is at work: {seen.holder}")
    try:
        return leases.take(log, name, holder(), seen=seen)
    except LeaseLost as e:
        raise Occupied(f"another updater was quicker: {e}") from None


@contextmanager
def _beating(lease: Lease, every: float) -> Iterator[None]:
    """Show life from a thread of its own: an update may take longer than a holder may be silent."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(every):
            try:
                if not lease.beat():
                    logger.error("the lease was taken by another updater; nothing more will be committed")
                    return
            except EpisodeLogError as e:
                logger.warning("no sign of life could be given: %s", e)

    thread = threading.Thread(target=run, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=every)


def _give_back(log: EpisodeLog, name: str, token: int) -> None:
    try:
        leases.give_back(log, name, token)
    except EpisodeLogError as e:
        logger.warning("the lease could not be given back: %s", e)
