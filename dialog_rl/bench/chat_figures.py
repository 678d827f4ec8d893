"""How quick the chat is for somebody who sits before it: measured on a real terminal, from outside."""

from __future__ import annotations

import os
import re
import shlex
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dialog_rl.bench.scripted_chat import LAST, keep_a_long_conversation
from dialog_rl.bench.terminal import Terminal
from dialog_rl.errors import ConfigError

TURNS = 2000
KEYS = 100
MESSAGES = ("hello", "I would like to know where my parcel is", "thank you", "hi there", "my name is Joel Doyle")
AIMS: Mapping[str, float] = {
    "first paint": 1.0,
    "first token": 0.2,
    "key to echo": 0.05,
    "2,000 turns opened": 1.5,
    "100 kB, longest gap": 0.5,
    "100 kB of Markdown, longest gap": 0.5,
}
"""Seconds that are aimed at."""
RUNS = "runs"
PROMPT = "Say something"
_LOADED = re.compile(r"[0-9a-f]{8} · ")
_CHAT = (sys.executable, "-m", "dialog_rl", "chat", "--customer", "1")


@dataclass
class Series:
    """One figure, measured several times."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """What the chat's process used for it, all threads together."""

    def add(self, wall: float, cpu: float) -> None:
        self.wall.append(wall)
        self.cpu.append(cpu)

    def document(self) -> dict[str, Any]:
        return {"times": len(self.wall), "wall": spread(self.wall), "cpu": spread(self.cpu)}


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Least, median and 95th percentile."""
    ordered = sorted(seconds)
    at = min(len(ordered) - 1, int(0.95 * len(ordered)))
    return {"min": ordered[0], "median": statistics.median(ordered), "p95": ordered[at]}


def bench_chat(
    *, repeats: int, log: Path, beside: str | None = None, progress: Callable[[str], object]
) -> dict[str, Any]:
    """All figures. log: where the chat keeps its conversations, from the folder of runs. beside: a command that runs
    meanwhile. Raises ConfigError if that command does not last, NeverShown if the chat does not do its part.
    """
    figures: dict[str, Series] = {}
    with TemporaryDirectory(prefix="chat-") as folder, _running(beside) as lasts:
        measuring = _Measuring(Path(folder), figures)
        for number in range(repeats):
            progress(f"round {number + 1} of {repeats}")
            measuring.start_and_talk()
            measuring.read_long("plain", "100 kB, longest gap")
            measuring.read_long("markdown", "100 kB of Markdown, longest gap")
        last = keep_a_long_conversation(Path(folder) / RUNS / log, TURNS)
        for _ in range(repeats):
            measuring.open_long(last)
        lasts()
    told = {name: {**series.document(), "aim": AIMS.get(name)} for name, series in figures.items()}
    return {"bench": "chat", "beside": beside or "", "load": os.getloadavg()[0], "figures": told}


class _Measuring:
    def __init__(self, folder: Path, figures: dict[str, Series]) -> None:
        self._folder, self._figures = folder, figures

    def _add(self, name: str, wall: float, cpu: float) -> None:
        self._figures.setdefault(name, Series()).add(wall, cpu)

    def _terminal(self, *command: str) -> Terminal:
        # Nobody's conversations, settings or versions but those that come with the program.
        environment = {
            "DIALOG_RL_PATHS_RUNS": str(self._folder / RUNS),
            "XDG_CONFIG_HOME": str(self._folder / "config"),
        }
        return Terminal(command, self._folder, environment)

    def start_and_talk(self) -> None:
        with self._terminal(*_CHAT) as there:
            self._add("first paint", there.until_shown(PROMPT) - there.started, there.cpu())
            there.type("é")
            self._add("first key shown", there.until(_typed("é"), "é") - there.started, there.cpu())
            if _LOADED.search(there.screen.lines[0]):
                raise ConfigError("the model was loaded before a key could be shown: nothing is measured that way")
            there.type("\x7f")
            loaded = there.until(lambda lines: _LOADED.search(lines[0]), "the model")
            self._add("model loaded", loaded - there.started, there.cpu())
            there.until(lambda lines: not any("loading the model" in line for line in lines), "the prompt")
            self._type(there)
            for message in MESSAGES:
                self._say(there, message)

    def _type(self, there: Terminal) -> None:
        """Characters that stand nowhere else, so that each is known when it is seen."""
        for number in range(KEYS):
            char = chr(0x100 + number)
            self._press(there, char, "key to echo")
        there.type("\x7f" * KEYS)
        there.until_shown(PROMPT)

    def _press(self, there: Terminal, char: str, name: str) -> None:
        time.sleep(0.03)  # people do not type faster, and the screen is at rest between two keys
        while there.look(0):
            pass
        begun, cpu = time.perf_counter(), there.cpu()
        there.type(char)
        self._add(name, there.until(_typed(char), char) - begun, there.cpu() - cpu)

    def _say(self, there: Terminal, message: str) -> None:
        there.type(message)
        there.until(_typed(message), message)
        begun, cpu = time.perf_counter(), there.cpu()
        there.type("\r")
        there.until(lambda lines: _answer(lines, message), f"an answer to {message!r}")
        self._add("first token", there.frames[-1] - begun, there.cpu() - cpu)
        there.until(lambda lines: not any("Esc stops it" in line for line in lines), "the end of the answer")
        while there.look(0.2):
            pass  # the cursor blinks every half a second

    def read_long(self, kind: str, name: str) -> None:
        folder = self._folder / f"{kind}-{len(self._figures.get(name, Series()).wall)}"
        folder.mkdir()
        with self._terminal(sys.executable, "-m", "dialog_rl.bench.scripted_chat", str(folder), kind) as there:
            there.until_shown("scripted")
            there.type("read it to me\r")
            there.until_shown("Esc stops it")
            cpu, frames = there.cpu(), len(there.frames)
            there.until_shown(LAST)
            gaps = [b - a for a, b in zip(there.frames[frames:], there.frames[frames + 1 :], strict=False)]
            self._add(name, max(gaps), there.cpu() - cpu)
            self._add(f"{name.partition(',')[0]}, read to the end", there.frames[-1] - there.frames[frames], 0.0)

    def open_long(self, last: str) -> None:
        with self._terminal(*_CHAT, "--resume", "long") as there:
            shown = there.until_shown(last) - there.started
            self._add("2,000 turns opened", shown, there.cpu())


def _typed(text: str) -> Callable[[list[str]], bool]:
    """Whether it stands where one types: in the lowest box."""
    return lambda lines: any(text in line for line in lines[-9:] if line.startswith("│"))


def _answer(lines: Sequence[str], message: str) -> bool:
    """Whether something stands beneath a message in the transcript."""
    left = [line.partition("│")[0].strip() for line in lines]
    said = [number for number, line in enumerate(left) if line == f"▌ {message}"]
    return bool(said) and said[-1] + 1 < len(left) and bool(left[said[-1] + 1])


@contextmanager
def _running(command: str | None) -> Iterator[Callable[[], None]]:
    """A command in the background, and what raises ConfigError if it has ended."""
    if command is None:
        yield lambda: None
        return
    child = subprocess.Popen(
        shlex.split(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip

    def lasts() -> None:
        if child.poll() is not None:
            raise ConfigError(f"{command!r} ended with {child.returncode} before everything was measured beside it")

    try:
        yield lasts
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)
            child.wait()


def lines(result: Mapping[str, Any]) -> list[str]:
    """A result as lines of text, in milliseconds."""
    beside = f", beside {result['beside']!r}" if result["beside"] else ""
    rows = [f"chat, load {result['load']:.1f}{beside}; milliseconds of wall (of CPU): least, median, 95th percentile"]
    for name, figure in result["figures"].items():
        cells = "".join(
            f"{1000 * figure['wall'][which]:8.0f} ({1000 * figure['cpu'][which]:.0f})"
            for which in ("min", "median", "p95")
        )
        aim = f"   aim {1000 * figure['aim']:.0f}" if figure["aim"] else ""
        rows.append(f"  {name:38s}{cells}   {figure['times']} times{aim}")
    return rows
