"""Turns on threads, told to the event loop as they are made: limited in number and time, given up if nobody listens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from dialog_rl.serve.refusals import Refused

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _End(Generic[T]):
    error: BaseException | None


class Turns:
    """So many at once; more wait for their turn, up to a limit."""

    def __init__(self, *, at_once: int, waiting: int, seconds: float) -> None:
        """seconds: that a turn may take, waiting included."""
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="turn")
        self._most, self._seconds = at_once + waiting, seconds
        self.under_way = 0

    async def run(self, turn: Callable[[Callable[[], bool]], Iterator[T]]) -> AsyncIterator[T]:
        """The events of a turn as they happen. `turn` is told how to ask whether it is still wanted.

        Leaving the iteration gives it up within a token. Raises Refused where too many wait, or it takes too long.
        """
        if self.under_way >= self._most:
            raise Refused("too many turns are waiting", status=503, code="overloaded", wait=2)
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[T | _End[T]] = asyncio.Queue()
        stop = threading.Event()

        def tell(event: T | _End[T]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(events.put_nowait, event)

        def work() -> None:
            try:
                for event in turn(stop.is_set):
                    tell(event)
            except BaseException as e:  # whatever it is, the request that waits must hear of it
                tell(_End(e))
            else:
                tell(_End(None))
            finally:
                self.under_way -= 1

        def too_late() -> None:
            stop.set()
            seconds = f"{self._seconds:g} seconds"
            events.put_nowait(_End(Refused(f"no answer within {seconds}", status=504, code="timeout", wait=1)))

        self.under_way += 1
        self._threads.submit(work)
        deadline = loop.call_later(self._seconds, too_late)
        try:
            while True:
                event = await events.get()
                if isinstance(event, _End):
                    if event.error is not None:
                        raise event.error
                    return
                yield event
        finally:
            deadline.cancel()
            stop.set()

    def close(self) -> None:
        """Wait for what is under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)
