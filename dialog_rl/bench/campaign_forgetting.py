"""Many people are forgotten: the weights are those of a run that never met them, and no file holds a word of theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dialog_rl.bench.rehearsal import CONFIG, Decides, World, chats, log_chat
from dialog_rl.episode import Message, Rating, Role
from dialog_rl.episode_log.forgetting import forget
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import DialogRLError
from dialog_rl.lm import versions
from dialog_rl.online.study import Material
from dialog_rl.online.unlearning import own_words, unlearn

FULL = 50
SAMPLE = 4
SESSION = 3
"""Conversations an update, of which two are forgotten."""
CANARY = "hunter2-canary-7d1f"
"""What those who are forgotten said, and what was thought of it."""


class Remembered(DialogRLError):
    """Something that was forgotten is still there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    forgotten: int
    """Conversations, all of which had been learnt from."""
    updates: int
    """Made again without them."""
    version: str
    """Made again: the same weights, to the bit, as of a run that never had them."""
    files: int
    """Looked through for what they said."""


def forget_many(folder: Path, episodes: int, progress: Callable[[int], object] = lambda done: None) -> Tally:
    """Two runs, one with people who are forgotten afterwards and one without them. Raises Remembered."""
    sessions = [range(SESSION * n, SESSION * (n + 1)) for n in range(-(-episodes // (SESSION - 1)))]
    gone = [number for session in sessions for number in session[1:]][:episodes]
    with_them = _lived(folder / "with", sessions, gone, progress)
    without = _lived(folder / "without", [[n for n in s if n not in gone] for s in sessions], (), lambda done: None)
    with with_them.open_log() as log, without.open_log() as other:
        _require_said(with_them.root)
        found = forget(log, [f"chat-{number}" for number in gone])
        forget(log, own_words(log, with_them.name, found))
        done = unlearn(with_them.folder, with_them.versions, log, _material(with_them), fence=1)
        never = versions.publish(folder / "compared", without.updater(other).study.material.model.save).id
    if done.version != never:
        raise Remembered(f"made again without them the weights are {done.version}, never having met them {never}")
    files = _require_silent(with_them.root, gone)
    return Tally(forgotten=len(gone), updates=len(sessions) - done.since + 1, version=done.version, files=files)


def document(tally: Tally) -> dict[str, Any]:
    return {"bench": "forgetting", **asdict(tally), "differing": 0, "found": 0}


def _lived(
    root: Path, sessions: Sequence[Sequence[int]], gone: Sequence[int], progress: Callable[[int], object]
) -> World:
    """Chats and updates in turns, one update for each session; nothing is ever promoted, so all meet one version."""
    root.mkdir(parents=True)
    world = World(root, gate=Decides(lambda number: False), config=replace(CONFIG, patience=10_000))
    model = world.champion()
    with world.open_log() as log:
        for number, session in enumerate(sessions):
            for episode in chats(model, session, version=model.version):
                if episode.seed in gone:
                    _say_a_secret(log, log_chat, episode)
                else:
                    log_chat(log, episode)
            world.learn(log)
            progress(number + 1)
    return world


def _say_a_secret(log: EpisodeLog, log_it: Callable[..., None], episode: Any) -> None:
    first, *rest = episode.turns
    said = replace(first, user=Message(role=Role.USER, text=f"{first.user.text} {CANARY}"))
    log_it(log, replace(episode, turns=(said, *rest), note=CANARY))
    rating = Rating(episode_id=episode.episode_id, rater="ann", turn=0, value=1.0, comment=CANARY, correction=CANARY)
    log.rate(rating, event_id=f"{episode.episode_id}:secret")


def _material(world: World) -> Callable[[str], Material]:
    def material(anchor: str) -> Material:
        return replace(world.material(), anchor=world.store.open(anchor))

    return material


def _files(root: Path) -> list[Path]:
    return [path for path in sorted(root.rglob("*")) if path.is_file()]


def _require_said(root: Path) -> None:
    if not any(CANARY.encode() in path.read_bytes() for path in _files(root)):
        raise Remembered("nobody said what is to be forgotten: the campaign shows nothing")


def _require_silent(root: Path, gone: Sequence[int]) -> int:
    words = [CANARY.encode(), *(f'"chat-{number}"'.encode() for number in gone)]
    files = _files(root)
    for path in files:
        content = path.read_bytes()
        if found := [word.decode() for word in words if word in content]:
            raise Remembered(f"{path.relative_to(root)} still holds {found[0]}")
    return len(files)
