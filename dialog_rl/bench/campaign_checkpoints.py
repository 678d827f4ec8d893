"""Checkpoints that were damaged in thousands of ways: none is accepted, and the one before is taken up instead."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dialog_rl.bench.campaign_updater import learn, prepare
from dialog_rl.bench.killing import start, upper_bound, was_killed
from dialog_rl.errors import DialogRLError
from dialog_rl.lm import checkpoints, versions
from dialog_rl.online.course import CHECKPOINTS

FULL = 5_000


class Accepted(DialogRLError):
    """A damaged checkpoint was taken for a good one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    mutations: int
    rejected: int
    by_kind: dict[str, int]
    seed: int


def damage_checkpoints(
    folder: Path, mutations: int, seed: int, progress: Callable[[int], object] = lambda done: None
) -> Tally:
    """Damage the latest checkpoint of a run so many times, each time from its sound state. Raises Accepted."""
    prepare(folder)
    was_killed(start(lambda: learn(folder)))
    states = sorted((folder / "learn" / CHECKPOINTS).glob("0*"))
    earlier, latest = states[-2:]
    sound = {path.relative_to(latest).as_posix(): path.read_bytes() for path in latest.rglob("*") if path.is_file()}
    other = {path.relative_to(earlier).as_posix(): path.read_bytes() for path in earlier.rglob("*") if path.is_file()}
    chance = random.Random(seed)
    counted: dict[str, int] = {}
    for number in range(mutations):
        kind, files = _damaged(sound, other, chance)
        _lay_out(latest, files)
        found, rejected = checkpoints.latest_valid(latest.parent)
        if found is None or found.path != earlier or len(rejected) != 1:
            raise Accepted(f"seed {seed}, mutation {number + 1} ({kind}): {found} was taken up, {rejected} rejected")
        counted[kind] = counted.get(kind, 0) + 1
        progress(number + 1)
    _lay_out(latest, sound)
    versions.verify(latest)
    return Tally(mutations=mutations, rejected=mutations, by_kind=dict(sorted(counted.items())), seed=seed)


def document(tally: Tally) -> dict[str, Any]:
    return {"bench": "checkpoints", **asdict(tally), "accepted": 0, "upper_bound": upper_bound(tally.mutations)}


Files = dict[str, bytes]


def _damaged(sound: Files, other: Files, chance: random.Random) -> tuple[str, Files]:
    """One way of damaging a checkpoint, and what is left of it: never what it was."""
    while True:
        kind = chance.choice(sorted(_WAYS))
        files = _WAYS[kind](dict(sound), other, chance)
        if files != sound:
            return kind, files


def _any(files: Files, chance: random.Random) -> str:
    return chance.choice(sorted(name for name, content in files.items() if content))


def _flip_a_bit(files: Files, other: Files, chance: random.Random) -> Files:
    name = _any(files, chance)
    content = bytearray(files[name])
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return {**files, name: bytes(content)}


def _truncate(files: Files, other: Files, chance: random.Random) -> Files:
    name = _any(files, chance)
    return {**files, name: files[name][: chance.randrange(len(files[name]))]}


def _zero_the_tail(files: Files, other: Files, chance: random.Random) -> Files:
    name = _any(files, chance)
    length = min(len(files[name]), chance.choice([1, 512, 4096]))
    return {**files, name: files[name][:-length] + b"\0" * length}


def _zero_a_page(files: Files, other: Files, chance: random.Random) -> Files:
    name = _any(files, chance)
    at = chance.randrange(len(files[name])) // 4096 * 4096
    content = files[name]
    return {**files, name: content[:at] + b"\0" * len(content[at : at + 4096]) + content[at + 4096 :]}


def _append(files: Files, other: Files, chance: random.Random) -> Files:
    name = _any(files, chance)
    return {**files, name: files[name] + chance.randbytes(chance.randrange(1, 64))}


def _take_anothers(files: Files, other: Files, chance: random.Random) -> Files:
    """A file of the checkpoint before, as when a sync was lost: its manifest among them."""
    name = chance.choice(sorted(other))
    return {**files, name: other[name]}


def _remove(files: Files, other: Files, chance: random.Random) -> Files:
    name = chance.choice(sorted(files))
    return {key: content for key, content in files.items() if key != name}


def _add(files: Files, other: Files, chance: random.Random) -> Files:
    return {**files, f"{chance.randrange(10**6)}.safetensors": chance.randbytes(32)}


def _swap(files: Files, other: Files, chance: random.Random) -> Files:
    one, another = chance.sample(sorted(files), 2)
    return {**files, one: files[another], another: files[one]}


def _forge_the_manifest(files: Files, other: Files, chance: random.Random) -> Files:
    """Another parent, size or hash in the manifest, whose seal was not made anew."""
    manifest = json.loads(files[versions.MANIFEST])
    key = chance.choice(["id", "parent", "fingerprint", "created_by", "format", "files"])
    manifest[key] = {} if key == "files" else 2 if key == "format" else f"{chance.randrange(16**8):08x}"
    return {**files, versions.MANIFEST: json.dumps(manifest, sort_keys=True, indent=1).encode() + b"\n"}


_WAYS: dict[str, Callable[[Files, Files, random.Random], Files]] = {
    "bit": _flip_a_bit,
    "truncated": _truncate,
    "zero tail": _zero_the_tail,
    "zero page": _zero_a_page,
    "appended": _append,
    "another's file": _take_anothers,
    "missing file": _remove,
    "extra file": _add,
    "swapped files": _swap,
    "forged manifest": _forge_the_manifest,
}


def _lay_out(folder: Path, files: Files) -> None:
    shutil.rmtree(folder)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    folder.mkdir(exist_ok=True)
