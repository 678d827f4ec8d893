"""Off the screen's thread: what is spoken is heard in order and can be stopped, errands go one after the other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from dialog_rl.errors import ConfigError
from dialog_rl.tui.errands import Errands, Failed, Quiet, Speaking, why


def heard(speaking: Speaking) -> list[object]:
    """All that was spoken, taken in."""
    assert speaking.wait(20)
    events = speaking.heard()
    assert speaking.busy
    speaking.rest()
    return events


def test_what_is_spoken_is_heard_in_order_and_ends_quietly() -> None:
    speaking = Speaking()
    speaking.start(lambda cancelled: iter(["a", "b"]))
    assert speaking.busy and heard(speaking) == ["a", "b", Quiet()]
    assert not speaking.busy and speaking.heard() == []


def test_two_things_are_not_spoken_at_once() -> None:
    speaking, go = Speaking(), threading.Event()

    def slow(cancelled: Callable[[], bool]) -> Iterator[object]:
        go.wait()
        yield "a"

    speaking.start(slow)
    with pytest.raises(ValueError, match="already"):
        speaking.start(slow)
    go.set()
    heard(speaking)
    speaking.start(slow)
    assert heard(speaking) == ["a", Quiet()]


def test_a_stop_is_told_to_who_speaks_and_not_to_who_comes_next() -> None:
    speaking = Speaking()

    def endless(cancelled: Callable[[], bool]) -> Iterator[object]:
        while not cancelled():
            yield "again"

    speaking.start(endless)
    assert not speaking.wait(0.01)
    speaking.stop()
    assert heard(speaking)[-1] == Quiet()
    speaking.start(lambda cancelled: iter([cancelled()]))
    assert heard(speaking) == [False, Quiet()]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConfigError("no such [thing]"), "no such [thing]"),
        (OSError(28, "No space left on device", "x.db"), "x.db: No space left on device"),
        (ZeroDivisionError("a\x1bb"), "a fault in dialog_rl: ZeroDivisionError: a\\x1bb"),
    ],
)
def test_what_breaks_is_told_after_what_was_said(error: Exception, told: str) -> None:
    def breaking(cancelled: Callable[[], bool]) -> Iterator[object]:
        yield "a"
        raise error

    speaking = Speaking()
    speaking.start(breaking)
    assert heard(speaking) == ["a", Failed(told), Quiet()] and why(error) == told


def test_errands_are_done_in_the_order_in_which_they_were_asked_for() -> None:
    async def scene() -> None:
        errands, done, go = Errands(), [], threading.Event()

        def errand(number: int) -> int:
            go.wait()
            done.append(number)
            return number

        asked = [asyncio.ensure_future(errands.do(errand, n)) for n in range(20)]
        await asyncio.sleep(0)
        go.set()
        assert await asyncio.gather(*asked) == list(range(20)) == done
        with pytest.raises(ConfigError):
            await errands.do(_fail)
        errands.close()

    asyncio.run(scene())


def _fail() -> None:
    raise ConfigError("no")
