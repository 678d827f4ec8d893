"""Logged conversations as demonstrations: a supervised start from what others have said, imported chats above all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

from dialog_rl import metrics
from dialog_rl.chat.setting import PERSON
from dialog_rl.episode import Episode
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import ConfigError
from dialog_rl.lm.demonstrations import Demonstration
from dialog_rl.seeds import derive, generator

ONE_IN = 10
"""So many conversations, one is not learnt from: what real language costs the model is measured on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogues:
    logs: tuple[str, ...]
    """By their names, without passwords."""
    learned: tuple[Demonstration, ...]
    held_out: tuple[Demonstration, ...]
    left_out: Mapping[str, int]
    """Why → how many."""


def dialogues_of(logs: Sequence[str | Path]) -> Dialogues:
    """What is in logs. Raises ConfigError if there is nothing to learn from.

    Whether a conversation is held out follows from its id, so that it stays so when the log grows.
    """
    names: list[str] = []
    learned: list[Demonstration] = []
    held_out: list[Demonstration] = []
    left_out = Counter[str]()
    for where in logs:
        with EpisodeLog.open(where, read_only=True) as log:
            names.append(log.name)
            for logged in log.episodes():
                episode = logged.episode
                why = _unfit(episode, log.consented(episode.episode_id))
                if why:
                    left_out[why] += 1
                    continue
                aside = derive(0, "held out", episode.episode_id) % ONE_IN == 0
                (held_out if aside else learned).append(_demonstration(episode))
    if not learned:
        found = "; ".join(f"{count}: {why}" for why, count in left_out.items()) or "it is empty"
        raise ConfigError(f"there is nothing to learn from in {', '.join(names)}: {found}")
    return Dialogues(logs=tuple(names), learned=tuple(learned), held_out=tuple(held_out), left_out=dict(left_out))


def mixed(
    made: Iterable[Demonstration], dialogues: Sequence[Demonstration], *, share: float, seed: int
) -> Iterator[Demonstration]:
    """Demonstrations without end, of which a `share` are dialogues: round after round of them, each in a new order."""
    rng, own, others = generator(seed, "mixed"), iter(made), _rounds(dialogues, seed)
    while True:
        found = next(others if rng.random() < share else own, None)
        if found is None:
            return
        yield found


def _rounds(dialogues: Sequence[Demonstration], seed: int) -> Iterator[Demonstration]:
    rng = generator(seed, "dialogues")
    while True:
        yield from rng.sample(dialogues, len(dialogues))


def _unfit(episode: Episode, consented: bool | None) -> str:
    """Why nobody should speak like this; empty if there is nothing against it."""
    if consented is False or (consented is None and episode.simulator == PERSON):
        return "a person who has not agreed to it"
    if not episode.stop.terminated:
        return "broken off"
    if any(step.message.malformed for step in episode.steps) or not any(True for _ in episode.steps):
        return "nothing in it that can be said again"
    if episode.scenario.get("success") and not metrics.success(episode).reached:
        return "its goal was not reached"
    return ""


def _demonstration(episode: Episode) -> Demonstration:
    """What it was worth nobody has said, so the value head learns nothing from it."""
    return Demonstration(messages=tuple(episode.messages()), episode_return=nan, pack=episode.pack)
