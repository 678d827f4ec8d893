"""kill -9 of the updater, many times: in the end weights, optimizer and random state are those of a run that was never
killed, every conversation was used once, and the log and the versions agree.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dialog_rl import faults
from dialog_rl.bench.killing import kill_after, start, upper_bound, was_killed
from dialog_rl.bench.rehearsal import World
from dialog_rl.episode_log.records import Kind
from dialog_rl.errors import CheckpointError, DialogRLError
from dialog_rl.lm import checkpoints, journal, versions
from dialog_rl.lm.threads import use_threads
from dialog_rl.online.course import CHECKPOINTS, HOMES, read_state

FULL = 3_000
CHATS = 9
"""Conversations that are learnt from: three updates, and the gates between them."""
_TENSORS = ("model.safetensors", "value_head.safetensors", "learner.safetensors", "learner.json")


class Differs(DialogRLError):
    """What was killed on the way did not come out as what was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run left, as far as it must not depend on how often it was killed."""

    tensors: tuple[str, ...]
    """sha256 of weights, value head, optimizer and random state in the last checkpoint."""
    used: tuple[tuple[str, str], ...]
    """Each use of a conversation: its event id and its sha256."""
    plans: tuple[str, ...]
    verdicts: tuple[str, ...]
    champions: tuple[str, ...]
    """Versions that were champion, in order."""
    homes: tuple[str, ...]
    """Training states of champions that are kept."""
    episodes: int
    """In the log, simulated ones included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    kills: int
    runs: int
    """From beginning to end, each killed on the way as often as it came."""
    seconds: float
    seed: int


def prepare(root: Path, chats: int = CHATS) -> World:
    """A world in which people have talked, and nobody has learnt yet."""
    world = World(root)
    with world.open_log() as log:
        world.chat(log, *range(chats))
    return world


def learn(root: Path) -> None:
    """An updater's process: everything that is queued, then the end."""
    use_threads(1)  # a forked process has none of its parent's, and would wait for them
    world = World(root)
    with world.open_log() as log:
        world.learn(log)


def result(root: Path) -> Result:
    """What a finished run left. Raises Differs if it is not in order."""
    world = World(root)
    last, rejected = checkpoints.latest_valid(world.folder / CHECKPOINTS)
    if last is None or rejected:
        raise Differs(f"{root}: no valid checkpoint, or invalid ones beside it: {rejected}")
    with world.open_log() as log:
        log.check()
        used = tuple((e.event_id, e.sha256) for e in log.events(kinds=(Kind.USED,)))
        told = {kind: tuple(e.sha256 for e in log.events(kinds=(kind,))) for kind in (Kind.UPDATE, Kind.VERDICT)}
        episodes = log.count()
    champions = [p.version for p in journal.read(world.versions) if p.alias == "champion" and p.event.moves]
    for version in champions:
        versions.verify(world.versions / version)
    return Result(
        tensors=tuple(_sha256(last.path / name) for name in _TENSORS),
        used=used,
        plans=told[Kind.UPDATE],
        verdicts=told[Kind.VERDICT],
        champions=tuple(champions),
        homes=tuple(sorted(path.name for path in (world.folder / HOMES).glob("0*"))),
        episodes=episodes,
    )


def uninterrupted(root: Path) -> tuple[Result, float]:
    """What an unharmed run leaves, and the seconds it takes, in a process of its own like the killed ones."""
    begun = time.monotonic()
    was_killed(start(lambda: learn(root)))
    return result(root), time.monotonic() - begun


def kill_while_learning(
    folder: Path, kills: int, seed: int, progress: Callable[[int], object] = lambda done: None
) -> Tally:
    """Kill updaters at random moments until there were so many kills, finishing every run. Raises Differs."""
    chance, begun = random.Random(seed), time.monotonic()
    template, at_work = folder / "template", folder / "run"
    prepare(template)
    wanted, longest = uninterrupted(_copy(template, folder / "unharmed"))
    killed = runs = 0
    while killed < kills:
        _copy(template, at_work)
        runs += 1
        # A product, so that most are killed early and a run is killed many times, and some only when nearly done.
        while kill_after(lambda: learn(at_work), longest * chance.random() * chance.random()):
            killed += 1
            require_sound(at_work)
            progress(killed)
        require_equal(result(at_work), wanted, f"seed {seed}, run {runs}, after {killed} kills in all")
    return Tally(kills=killed, runs=runs, seconds=time.monotonic() - begun, seed=seed)


def kill_at_every_point(folder: Path, *, chats: int = CHATS, prefix: str = "") -> Iterator[str]:
    """One run killed at each labelled point it passes: at the first, the second and the last passage of each.

    prefix: only of points whose label begins so. Yields after each. Raises Differs.
    """
    template = folder / "template"
    prepare(template, chats)
    wanted, _ = uninterrupted(_copy(template, folder / "unharmed"))
    passed = _passed(_copy(template, folder / "counted"))
    for label, times in ((label, times) for label, times in passed.items() if label.startswith(prefix)):
        for passage in sorted({1, 2, times} & set(range(1, times + 1))):
            at_work, spec = _copy(template, folder / "run"), f"{label}:{passage}:kill"
            if not was_killed(start(lambda root=at_work, spec=spec: (faults.arm(spec), learn(root)))):
                raise Differs(f"{spec} was not reached")
            require_sound(at_work)
            was_killed(start(lambda root=at_work: learn(root)))
            require_equal(result(at_work), wanted, spec)
            yield spec


def require_sound(root: Path) -> None:
    """At every moment, once there was a checkpoint, there is a valid one, and nothing was used that is not in it."""
    folder = root / "learn" / CHECKPOINTS
    if not any(folder.glob("0*")):
        return
    found, _ = checkpoints.latest_valid(folder)
    if found is None:
        raise Differs(f"{root}: there are checkpoints, and none of them is valid")
    in_checkpoint = read_state(found.path)["ledger"]["used"]
    world = World(root)
    with world.open_log() as log:
        told = {e.episode_id for e in log.events(kinds=(Kind.USED,))}
    if not told <= in_checkpoint.keys():
        raise Differs(f"{root}: the log tells of uses that no checkpoint holds: {sorted(told - in_checkpoint.keys())}")


def require_equal(found: Result, wanted: Result, where: str) -> None:
    for name, value in asdict(wanted).items():
        if asdict(found)[name] != value:
            raise Differs(f"{where}: {name} is {asdict(found)[name]}, and {value} without a kill")


def document(tally: Tally) -> dict[str, Any]:
    return {"bench": "updater-kills", **asdict(tally), "differing": 0, "upper_bound": upper_bound(tally.kills)}


def _passed(root: Path) -> dict[str, int]:
    """The labelled points that a whole run passes, and how often."""
    counted = root.parent / "passed.json"

    def count() -> None:
        faults.disarm()
        learn(root)
        counted.write_text(json.dumps(faults.passed()), encoding="utf-8")

    if was_killed(start(count)):
        raise CheckpointError(f"{root}: killed by somebody else")
    return json.loads(counted.read_text(encoding="utf-8"))


def _copy(template: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(template, target)
    return target


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
