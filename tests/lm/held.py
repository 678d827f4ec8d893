"""A choir whose first step waits until everybody has asked to speak, so that nothing depends on who is quick."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from dialog_rl.lm import choir


def first_step_held(monkeypatch: pytest.MonkeyPatch, *, until: int) -> list[int]:
    """Hold the first step of any choir until so many have asked. How many take part in each step, as they are taken.

    Whoever asks holds a slot in the step after this one at the latest: so the first two have at least so many parts.
    """
    widths: list[int] = []
    asked, everybody = 0, threading.Event()
    ask, speak_on = choir.Choir.ask, choir.speak_on

    def counted(self: choir.Choir, part: Any) -> None:
        nonlocal asked
        ask(self, part)
        asked += 1
        if asked >= until:
            everybody.set()

    def held(decoder: Any, voices: Any, *, temperature: Any) -> Any:
        assert everybody.wait(60), f"{asked} of {until} asked to speak"
        widths.append(len(voices))
        return speak_on(decoder, voices, temperature=temperature)

    monkeypatch.setattr(choir.Choir, "ask", counted)
    monkeypatch.setattr(choir, "speak_on", held)
    return widths
