"""A learner whose updates are made by several processes, here or on Ray's workers, with this one at their head."""

from __future__ import annotations

import datetime
import os
import signal
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch.distributed import FileStore, Store  # pyright: ignore[reportPrivateImportUsage]

from dialog_rl.errors import ConfigError, TrainingError
from dialog_rl.lm.threads import use_threads
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.learner import Learner
from dialog_rl.rl.team import Together
from dialog_rl.rl.update_stats import UpdateStats

_LONG = datetime.timedelta(days=2)
"""Longer than any rollout that the others wait for. Who dies is noticed at once, by the connection."""
_BEGIN, _UPDATE, _IMITATE, _END = "begin", "update", "imitate", "end"


class Learners:
    """Makes learners of which each update is the work of so many processes. A context manager, one a process."""

    def __init__(self, count: int, *, threads: int = 1, patience: float = 300.0) -> None:
        """threads: torch's, of each. patience: seconds within which all must have come."""
        self._count, self._threads, self._patience = count, threads, patience
        self._leaving = ExitStack()
        self._others: list[Any] = []
        self._begun: Learner | None = None

    def __enter__(self) -> Learners:
        store = self._call()
        try:
            _join(store, 0, self._count, self._patience)
        except RuntimeError as e:
            self._leaving.close()
            raise TrainingError(f"{self._count} learners did not come together: {str(e).splitlines()[0]}") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            with suppress(TrainingError):
                _tell(_END)
        self._leaving.close()  # whoever is in the midst of an update that this process has left must not wait for it
        dist.destroy_process_group()

    def __call__(self, *about: Any, **more: Any) -> Learner:
        """As `Learner`. What the policy and the optimizer hold when the first update begins is given to the others."""
        return _Leader(self, *about, **more)

    def pids(self) -> list[int]:
        """Of the other processes."""
        return [process.pid for process in self._others]

    def tell(self, learner: _Leader, verb: str, batch: EpisodeBatch) -> None:
        """Have the others do what this process is about to do."""
        if self._begun is not learner:
            _tell(_BEGIN, (learner.about, learner.state_dict()))
            self._begun = learner
        _tell(verb, batch)

    def _call(self) -> Store:
        """Start the others on this machine; nobody from outside can reach them."""
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        folder = self._leaving.enter_context(tempfile.TemporaryDirectory(prefix="learners-"))
        place = str(Path(folder) / "store")
        context = multiprocessing.get_context("spawn")
        for rank in range(1, self._count):
            process = context.Process(target=_follow_here, args=(place, rank, self._count, self._threads), daemon=True)
            process.start()
            self._others.append(process)
            self._leaving.callback(_end, process)
        return FileStore(place, self._count)


class _Leader(Learner):
    def __init__(self, learners: Learners, *about: Any, **more: Any) -> None:
        super().__init__(*about, team=Together(), **more)
        self._learners, self.about = learners, (about, more)

    def update(self, batch: EpisodeBatch) -> UpdateStats:
        self._learners.tell(self, _UPDATE, batch)
        return super().update(batch)

    def imitate(self, batch: EpisodeBatch) -> float:
        self._learners.tell(self, _IMITATE, batch)
        return super().imitate(batch)


def follow(store: Store, rank: int, count: int, threads: int) -> None:
    """Do what the leader does, until it says that this is the end or is gone."""
    use_threads(threads)
    _join(store, rank, count, _LONG.total_seconds())
    learner: Learner | None = None
    while True:
        try:
            verb, what = _hear()
        except RuntimeError:  # the leader is gone
            return
        if verb == _END:
            return
        if verb == _BEGIN:
            ((policy, *about), more), state = what
            learner = Learner(policy, *about, team=Together(), **more)
            learner.load_state_dict(state)
        elif learner is not None:
            {_UPDATE: learner.update, _IMITATE: learner.imitate}[verb](what)


def _follow_here(place: str, rank: int, count: int, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the leader is interrupted, and says when it is the end
    with suppress(TrainingError):  # told by the leader, who meets the same
        follow(FileStore(place, count), rank, count, threads)


def _join(store: Store, rank: int, count: int, patience: float) -> None:
    store.set_timeout(datetime.timedelta(seconds=patience))
    dist.init_process_group("gloo", store=store, rank=rank, world_size=count, timeout=_LONG)


def _tell(verb: str, what: Any = None) -> None:
    try:
        dist.broadcast_object_list([(verb, what)], src=0)
    except RuntimeError as e:
        raise TrainingError(f"a process that learns together with this one is gone: {str(e).splitlines()[0]}") from None
    except Exception as e:  # marked border: what cannot be sent says so in many ways
        raise ConfigError(f"this cannot be learnt by several processes, for it cannot be sent to them: {e}") from None


def _hear() -> tuple[str, Any]:
    told: list[Any] = [None]
    dist.broadcast_object_list(told, src=0, device=torch.device("cpu"))
    return told[0]


def _end(process: Any) -> None:
    process.join(1)
    if process.is_alive():
        process.kill()
