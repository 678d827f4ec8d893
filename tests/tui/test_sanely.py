"""A signal asks for an orderly end; one that does not come is an end at once. The rest is tested on a real terminal."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from dialog_rl.tui import sanely
from dialog_rl.tui.sanely import Ending, Terminal


@pytest.fixture
def fallen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    codes: list[int] = []
    monkeypatch.setattr(sanely.os, "_exit", codes.append)
    yield codes


def test_a_signal_begins_an_orderly_end_and_a_second_one_ends_at_once(fallen: list[int]) -> None:
    left: list[int] = []
    ending = Ending(Terminal(), left.append, patience=60)
    uninstall = ending.install()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        assert (left, fallen) == ([143], [])
        os.kill(os.getpid(), signal.SIGHUP)
        assert fallen == [129]
    finally:
        assert ending._impatience is not None  # noqa: SLF001
        ending._impatience.cancel()  # noqa: SLF001
        uninstall()


def test_an_orderly_end_that_does_not_come_is_not_waited_for(fallen: list[int]) -> None:
    fell = threading.Event()
    terminal = Terminal()
    terminal.restore = fell.set  # type: ignore[method-assign]
    uninstall = Ending(terminal, lambda code: None, patience=0.05).install()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        assert fell.wait(20)
    finally:
        uninstall()


def test_who_listened_before_listens_again() -> None:
    before = [signal.getsignal(number) for number in sanely.SIGNALS]
    Ending(Terminal(), lambda code: None).install()()
    assert [signal.getsignal(number) for number in sanely.SIGNALS] == before
