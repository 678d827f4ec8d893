"""Thousands of hostile YAML and JSON inputs: each is taken as plain data or refused with a typed error, at once, in
little memory, and without a file or the network being touched."""

from __future__ import annotations

import ctypes
import json
import os
import random
import resource
import signal
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dialog_rl import safe_yaml
from dialog_rl.bench.hostile import mutated
from dialog_rl.bench.killing import start, upper_bound, was_killed
from dialog_rl.chatlogs import brought, read_chats
from dialog_rl.episode import to_json
from dialog_rl.episode_log.transfer import read_line
from dialog_rl.errors import DialogRLError
from dialog_rl.goals import make_scenario
from dialog_rl.pack import Pack, read_file, read_phrasing
from dialog_rl.phrasing import read_agent
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.scenario import Scenario, validate
from dialog_rl.seeds import derive
from dialog_rl.staging import document, pack_folder
from dialog_rl.testing.episodes import called, make_episode

SAMPLE, FULL = 600, 50_000
MILLISECONDS, MEGABYTES = 100.0, 64.0
"""Of processor time and of memory, at most, for one input."""
HANGS = 5.0
"""Seconds of processor time after which an input is given up."""
TRACED = 20
"""One input in so many is fed once more, under the eyes of the allocator."""


class GaveWay(DialogRLError):
    """A hostile input did harm."""


@dataclass(slots=True)
class Tally:
    inputs: int = 0
    refused: int = 0
    """With a typed error; the others were plain data after all."""
    by_kind: dict[str, int] = field(default_factory=dict[str, int])
    slowest_ms: float = 0.0
    """Processor time."""
    largest_mb: float = 0.0
    """Memory that one input took beyond what was taken before."""
    seed: int = 0


OUTSIDE = ("open", "socket.", "subprocess.", "os.", "shutil.", "urllib.", "ctypes.")
"""How the audit events begin of what touches files, the network or other programs."""

Feed = Callable[[bytes], object]


def feed(folder: Path, count: int, seed: int, progress: Callable[[int], object] = lambda done: None) -> Tally:
    """Feed so many inputs in a process of their own. Raises GaveWay naming the input that did harm."""
    told, at = folder / "tally.json", folder / "at"
    child = start(lambda: told.write_text(json.dumps(_told(folder, count, seed, at))))
    while not (ended := os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)):
        time.sleep(0.05)
        progress(_number(at))
    assert ended
    was_killed(child)
    tally = json.loads(told.read_text())
    if "gave_way" in tally:
        raise GaveWay(f"seed {seed}: {tally['gave_way']}")
    progress(count)
    return Tally(**tally)


def _told(folder: Path, count: int, seed: int, at: Path) -> dict[str, Any]:
    try:
        return asdict(_fed(folder, count, seed, at))
    except GaveWay as e:
        return {"gave_way": str(e)}


def _number(at: Path) -> int:
    try:
        return int(at.read_text() or 0)
    except (OSError, ValueError):
        return 0


def document_of(tally: Tally) -> dict[str, Any]:
    return {"bench": "hostile", **asdict(tally), "harm": 0, "upper_bound": upper_bound(tally.inputs)}


def _fed(folder: Path, count: int, seed: int, at: Path) -> Tally:
    doors = _doors(folder)
    tally, watch = Tally(seed=seed), _Watch(folder)
    chance = random.Random(seed)
    for number in range(count):
        name = sorted(doors)[number % len(doors)]
        text, sound, door = doors[name]
        kind, raw = mutated(text, sound, chance)
        what = f"input {number + 1}, {kind} in a {name}"
        milliseconds, megabytes, refused = watch.over(door, raw, what, traced=number % TRACED == 0)
        tally.inputs += 1
        tally.refused += refused
        tally.by_kind[kind] = tally.by_kind.get(kind, 0) + 1
        tally.slowest_ms = max(tally.slowest_ms, milliseconds)
        tally.largest_mb = max(tally.largest_mb, megabytes)
        if number % 100 == 0:
            at.write_text(str(number))
    return tally


def _doors(folder: Path) -> dict[str, tuple[str, Any, Feed]]:
    """Where such text comes in: name → a sound text, the same as plain values, and what reads it."""
    home = pack_folder(load_plugins().registry, "retail")
    whole, words = safe_yaml.load(home / "pack.yaml").data, safe_yaml.load(home / "phrasing.yaml").data
    few = ("order_status", "return_item")
    small = {**whole, "intents": {name: whole["intents"][name] for name in few}, "pools": _shortened(whole["pools"])}
    spoken = {**_shortened(words), "understand": _shortened(words["understand"])}
    phrasing = read_phrasing(home)
    pack = Pack(read_file(home), phrasing, "", home)
    scenario = document(make_scenario(pack, 7))
    episode = make_episode(("where?", called("get_order", "{}", order_id="7"), "Soon."), scenario=scenario)
    line = {
        "log": 1,
        "event_id": "episode:episode-1",
        "kind": "episode",
        "episode_id": "episode-1",
        "body": to_json(episode),
    }

    def as_pack(raw: bytes) -> None:
        (folder / "pack.yaml").write_bytes(raw)
        taken = Pack(read_file(folder), phrasing, "", folder)
        make_scenario(taken, derive(0, "hostile"))

    def as_phrasing(raw: bytes) -> None:
        (folder / "phrasing.yaml").write_bytes(raw)
        read_agent("Could you tell me your name? It is done, anything else?", read_phrasing(folder).understand)

    def as_scenario(raw: bytes) -> None:
        (folder / "scenario.yaml").write_bytes(raw)
        data, lines = safe_yaml.load(folder / "scenario.yaml")
        validate(Scenario, data, source="scenario.yaml", lines=lines)

    def as_line(raw: bytes) -> None:
        read_line(raw, "log.jsonl, line 1")

    def as_chats(raw: bytes) -> None:
        (folder / "chats.jsonl").write_bytes(raw.replace(b"\n", b" ") if raw.startswith(b"{\n") else raw)
        for chat in read_chats(folder / "chats.jsonl"):
            brought(chat, pack="shop")

    asked = {"id": "1", "function": {"name": "get_order", "arguments": json.dumps({"order_id": "7"})}}
    chat = {"id": "a", "messages": [
        {"role": "user", "content": "I am Ines, mail ines@example.com"}, {"role": "assistant", "tool_calls": [asked]},
        {"role": "tool", "tool_call_id": "1", "content": "{}"}, {"role": "assistant", "content": "Soon."},
    ]}  # fmt: skip
    parts: dict[str, tuple[Any, Feed]] = {
        "pack": (small, as_pack), "phrasing": (spoken, as_phrasing), "scenario": (scenario, as_scenario),
        "log line": (line, as_line), "chats": (chat, as_chats),
    }  # fmt: skip
    return {name: (json.dumps(sound, indent=1), sound, door) for name, (sound, door) in parts.items()}


def _shortened(value: Any, most: int = 4) -> Any:
    """The same with short lists: what is mutated often should be read quickly."""
    if isinstance(value, dict):
        return {key: _shortened(item, most) for key, item in value.items()}
    return [_shortened(item, most) for item in value[:most]] if isinstance(value, list) else value


def _memory_anew() -> int:
    """kB that this process takes; from here on `_most_memory` counts anew, where the system can forget the peak.

    What was freed before is first given back to the system: taken again, it would not show as more.
    """
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # glibc's
        trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    return _most_memory()


def _most_memory() -> int:
    """kB that this process took at most."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(status.partition("VmHWM:")[2].split()[0])


class _Watch:
    """Time, memory and what is touched, of one input after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._touched, self._on = str(folder), list[str](), False
        sys.addaudithook(self._audit)
        signal.signal(signal.SIGPROF, self._hangs)

    def over(self, door: Feed, raw: bytes, what: str, *, traced: bool) -> tuple[float, float, bool]:
        """Milliseconds, megabytes and whether it was refused. Raises GaveWay."""
        milliseconds, megabytes, refused = self._measured(door, raw, what)
        if milliseconds > MILLISECONDS:  # once more: a collection, or a first import, may have fallen into it
            milliseconds = min(milliseconds, self._measured(door, raw, what)[0])
        if traced:
            tracemalloc.start()
            self._outcome(door, raw, what)
            megabytes = max(megabytes, tracemalloc.get_traced_memory()[1] / 2**20)
            tracemalloc.stop()
        if self._touched:
            raise GaveWay(f"{what}: it touched {', '.join(self._touched[:3])}")
        if milliseconds > MILLISECONDS or megabytes > MEGABYTES:
            raise GaveWay(f"{what}: {milliseconds:.0f} ms, {megabytes:.0f} MB")
        return milliseconds, megabytes, refused

    def _measured(self, door: Feed, raw: bytes, what: str) -> tuple[float, float, bool]:
        before = _memory_anew()
        started = time.process_time()
        refused = self._outcome(door, raw, what)
        spent = 1000 * (time.process_time() - started)
        return spent, (_most_memory() - before) / 1024, refused

    def _outcome(self, door: Feed, raw: bytes, what: str) -> bool:
        with self._watching():
            try:
                door(raw)
            except DialogRLError as e:
                if len(str(e)) > 8_000:
                    raise GaveWay(f"{what}: an error of {len(str(e))} characters") from None
                return True
            except Exception as e:  # the border that is tried: anything but a typed error is a finding
                raise GaveWay(f"{what}: {type(e).__name__}: {str(e)[:200]}; {raw[:200]!r}") from e
        return False

    @contextmanager
    def _watching(self) -> Iterator[None]:
        signal.setitimer(signal.ITIMER_PROF, HANGS)
        self._on = True
        try:
            yield
        finally:
            self._on = False
            signal.setitimer(signal.ITIMER_PROF, 0)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on or not event.startswith(OUTSIDE):
            return
        where = str(arguments[0]) if arguments else ""
        if event == "open" and (where.startswith(self._folder) or where.endswith((".py", ".pyc"))):
            return
        self._touched.append(f"{event} {where}")

    def _hangs(self, number: int, frame: object) -> None:
        raise TimeoutError(f"no end after {HANGS} s")
