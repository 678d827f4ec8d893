"""What takes time, off the screen's own thread: one thing is spoken at a time, and errands to the log go in order."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from dialog_rl.errors import DialogRLError
from dialog_rl.text import one_line

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Failed:
    """It broke off, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Quiet:
    """It is over, however it ended: the thread does nothing more."""


class Speaking:
    """Runs something that yields events in a thread. The screen fetches them when it is time to draw, and lets it rest
    once it has drawn the last one."""

    def __init__(self) -> None:
        self._heard: deque[object] = deque()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """From the start until `rest`: it has fallen quiet, and all that it said was taken in."""
        return self._thread is not None

    def start(self, speak: Callable[[Callable[[], bool]], Iterable[object]]) -> None:
        """speak: is given what it must ask, before every token, whether to stop."""
        if self.busy:
            raise ValueError("something is being spoken already")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(speak, self._stop), name="speaking", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask it to stop. It has stopped once it is quiet: a cancelled thread still runs."""
        self._stop.set()

    def heard(self) -> list[object]:
        """What has happened since the last call."""
        return [self._heard.popleft() for _ in range(len(self._heard))]

    def rest(self) -> None:
        """Who listens has heard that it is quiet: something else may be spoken."""
        self._thread = None

    def wait(self, seconds: float) -> bool:
        """Whether the thread has ended within the time given."""
        if self._thread is not None:
            self._thread.join(seconds)
            return not self._thread.is_alive()
        return True

    def _run(self, speak: Callable[[Callable[[], bool]], Iterable[object]], stop: threading.Event) -> None:
        try:
            for event in speak(stop.is_set):
                self._heard.append(event)
        except Exception as e:  # marked border: whatever breaks in this thread is shown, and the screen goes on
            self._heard.append(Failed(why(e)))
        finally:
            self._heard.append(Quiet())


class Errands:
    """Runs short things one after the other in a thread of their own, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._clerk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="errands")

    async def do(self, errand: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.wrap_future(self._clerk.submit(errand, *args, **kwargs))

    def close(self) -> None:
        """What has begun is finished; what has not is dropped."""
        self._clerk.shutdown(wait=False, cancel_futures=True)


def why(error: Exception) -> str:
    """An error as a line for a person. One that is nobody's but ours goes to the program's record as well."""
    if isinstance(error, DialogRLError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    logger.error("a fault in the terminal", exc_info=error)
    return f"a fault in dialog_rl: {type(error).__name__}: {one_line(str(error))}"
