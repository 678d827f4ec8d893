"""Workers that are given conversations: none of these is lost with a worker, and none comes back twice."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode
from dialog_rl.errors import TrainingError
from dialog_rl.lm.policy import Policy
from dialog_rl.lm.rollouts import Renderer, never
from dialog_rl.scale.extra import ray
from dialog_rl.scale.worker import Order, RolloutWorker

_LOOK = 0.5
"""Seconds between two questions whether to go on."""
_AHEAD = 4
"""A worker is given at most so many conversations a slot: the tail of a share, in which slots stand empty, weighs
little, and little waits to be spoken again when it dies."""
_DEATHS = 2
"""Workers that may die, for each that there is, without an episode from any."""
_LOST = (
    ray.exceptions.RayActorError, ray.exceptions.ObjectLostError, ray.exceptions.OutOfMemoryError,
    ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError,
)  # fmt: skip
"""What a worker's own words are not: it, or its machine, is gone."""


@dataclass(slots=True)
class _Share:
    worker: Any
    missing: dict[int, Conversation]
    """What it has not sent back yet, by number."""


class Fleet:
    """So many workers on the cluster that this process is connected to. A context manager."""

    def __init__(self, workers: int, *, threads: int = 1, patience: float = 600.0) -> None:
        """threads: torch's, of each worker. patience: seconds without an episode after which it is given up."""
        self._count, self._threads, self._patience = workers, threads, patience
        self._actor: Any = ray.remote(RolloutWorker)
        self._idle: list[Any] = []
        self._arriving: dict[Any, Any] = {}
        self.died = 0
        """Workers that were lost so far."""

    def __enter__(self) -> Fleet:
        for _ in range(self._count):
            self._hire()
        came, _ = ray.wait(list(self._arriving), num_returns=self._count, timeout=self._patience)
        for here in came:
            self._welcome(here)
        if len(self._idle) < self._count:
            raise TrainingError(f"{len(self._idle)} of {self._count} workers came within {self._patience:g} seconds")
        return self

    def __exit__(self, *_: object) -> None:
        for worker in (*self._idle, *self._arriving.values()):
            ray.kill(worker)

    def pids(self) -> list[int]:
        """The processes of the workers that wait for work."""
        return ray.get([worker.here.remote() for worker in self._idle])

    def rollouts(
        self,
        policy: Policy,
        renderer: Renderer,
        conversations: Iterable[Conversation],
        *,
        slots: int = 32,
        max_length: int = 1024,
        max_action: int | None = None,
        temperature: float = 1.0,
        version: str = "",
        dtype: torch.dtype = torch.float32,
        cancelled: Callable[[], bool] = never,
    ) -> Iterator[Episode]:
        """As `lm.rollouts.rollouts`, each worker with so many slots; the same episodes, in whatever order they end.

        Raises TrainingError if workers die one after the other, or nothing comes for too long; what a worker raises.
        """
        options = {
            "slots": slots, "max_length": max_length, "max_action": max_action, "temperature": temperature,
            "version": version, "dtype": dtype,
        }  # fmt: skip
        speaker = ray.put((policy, renderer))
        order = Order(speaker=[speaker], key=speaker.hex(), options=options)
        return self._spoken(order, enumerate(conversations), _AHEAD * slots, cancelled)

    def _spoken(
        self, order: Order, source: Iterator[tuple[int, Conversation]], most: int, cancelled: Callable[[], bool]
    ) -> Iterator[Episode]:
        waiting: deque[tuple[int, Conversation]] = deque()
        shares: dict[Any, _Share] = {}
        deaths, quiet = 0, 0.0
        try:
            while not cancelled():
                self._deal(order, source, waiting, shares, most)
                if not shares and not waiting:
                    return
                ready, _ = ray.wait([*shares, *self._arriving], timeout=_LOOK)
                quiet = 0.0 if ready else quiet + _LOOK
                for one in ready:
                    if one in self._arriving:
                        self._welcome(one)
                        continue
                    episode, alive = self._take(one, shares, waiting)
                    deaths = 0 if episode is not None else deaths + (not alive)
                    if episode is not None:
                        yield episode
                if deaths > _DEATHS * self._count or quiet > self._patience:
                    what = f"{deaths} workers died one after the other" if deaths else f"nothing came for {quiet:g} s"
                    raise TrainingError(f"{what}, with {sum(len(s.missing) for s in shares.values())} dialogues begun")
        finally:
            for share in shares.values():
                self._dismiss(share.worker)

    def _deal(
        self,
        order: Order,
        source: Iterator[tuple[int, Conversation]],
        waiting: deque[tuple[int, Conversation]],
        shares: dict[Any, _Share],
        most: int,
    ) -> None:
        """Give each idle worker its part of what waits. So many are begun and not ended at most as fill all shares."""
        all_idle = not shares
        in_hand = sum(len(share.missing) for share in shares.values())
        waiting.extend(islice(source, max(0, self._count * most - in_hand - len(waiting))))
        while self._idle and waiting:
            size = min(most, math.ceil(len(waiting) / (len(self._idle) if all_idle else self._count)))
            missing = dict(waiting.popleft() for _ in range(size))
            worker = self._idle.pop()
            shares[worker.speak.options(num_returns="streaming").remote(order, missing)] = _Share(worker, missing)

    def _take(
        self, stream: Any, shares: dict[Any, _Share], waiting: deque[tuple[int, Conversation]]
    ) -> tuple[Episode | None, bool]:
        """The next episode of a share, and whether its worker lives. What a dead one had in hand waits again."""
        share = shares[stream]
        try:
            number, episode = ray.get(next(stream))
        except StopIteration:
            if share.missing:
                raise TrainingError(f"a worker left {len(share.missing)} dialogues unspoken") from None
            del shares[stream]
            self._idle.append(share.worker)
            return None, True
        except _LOST:
            del shares[stream]
            waiting.extendleft(reversed(share.missing.items()))
            self._dismiss(share.worker)
            return None, False
        return (episode, True) if share.missing.pop(number, None) is not None else (None, True)

    def _hire(self) -> None:
        worker = self._actor.options(num_cpus=1).remote(self._threads)
        self._arriving[worker.here.remote()] = worker

    def _welcome(self, here: Any) -> None:
        worker = self._arriving.pop(here)
        try:
            ray.get(here)
        except _LOST:
            self._dismiss(worker)
        else:
            self._idle.append(worker)

    def _dismiss(self, worker: Any) -> None:
        """Let one go that is dead or must not go on speaking; another one comes in its place."""
        self.died += 1
        ray.kill(worker)
        self._hire()
