"""Speaking ahead: the next update's conversations, while this one's are learnt from, with the weights from before it.

What they say is one update old then. The learner weighs each token by how much likelier it has become, at most doubled
(truncated importance sampling), as asynchronous trainers do: Noukhovitch et al. 2025, arXiv:2410.18252.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

from dialog_rl.episode import Episode
from dialog_rl.lm.policy import Policy
from dialog_rl.online.casting import Casting


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One update's conversations, spoken or not."""

    update: int
    """That learns from them, counted from 0."""
    policy: Policy
    age: int
    """Updates that lie between the weights that speak and those that learn."""
    casting: Casting
    """With what is known of the customers at that time."""


Speak = Callable[[Batch, Callable[[], bool]], list[Episode]]
"""Also told whether to stop; then what it returns may be too few."""


class Ahead:
    """At most one batch, spoken in a thread: torch computes without Python's lock."""

    def __init__(self, speak: Speak) -> None:
        self._speak, self._stopping = speak, False
        self._thread: ThreadPoolExecutor | None = None
        self._batch: Batch | None = None
        self._spoken: Future[list[Episode]] | None = None

    def begin(self, batch: Batch) -> None:
        """Speak with the weights as they are now, whatever becomes of them."""
        self._batch = _still(batch)
        self._go_on()

    def take(self, update: int, cancelled: Callable[[], bool]) -> list[Episode] | None:
        """What was spoken for an update; None if nothing was, too few if cancelled."""
        if self._batch is None or self._batch.update != update:
            return None
        spoken = self._spoken or self._go_on()
        while not wait([spoken], timeout=0.2).done:
            self._stopping = self._stopping or cancelled()
        episodes = spoken.result()
        if not self._stopping:
            self._batch = self._spoken = None
        return episodes

    def stop(self) -> None:
        """Speak no more for now; what was said is said again when it is asked for."""
        self._stopping, self._spoken = True, None
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    def state(self) -> dict[str, Any]:
        """What it takes to say the same again: for a checkpoint between two updates."""
        if self._batch is None:
            return {}
        return {"weights": self._batch.policy.state_dict(), "practice": self._batch.casting.practice.state()}

    def restore(self, state: dict[str, Any], batch: Batch) -> None:
        """batch: as `begin` was given it, but for the weights and what was known then."""
        self._batch = self._spoken = None
        if state:
            self._batch = _still(batch)
            self._batch.policy.load_state_dict(state["weights"])
            self._batch.casting.practice.restore(state["practice"])

    def _go_on(self) -> Future[list[Episode]]:
        assert self._batch is not None
        self._stopping = False
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead")
        self._spoken = self._thread.submit(self._speak, self._batch, lambda: self._stopping)
        return self._spoken


def _still(batch: Batch) -> Batch:
    """A copy that learning does not change."""
    casting = replace(batch.casting, practice=copy.deepcopy(batch.casting.practice))
    return replace(batch, policy=copy.deepcopy(batch.policy), casting=casting)
