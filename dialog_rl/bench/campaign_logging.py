"""kill -9 while logging, many times: what was acknowledged is there, once and whole; what was not may be sent again."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dialog_rl.bench.killing import start, upper_bound, was_killed
from dialog_rl.episode import Episode, Message, Rating, Role, Step, StopReason, ToolCall, Turn
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import EpisodeLogError

FULL = 10_000
_LONGEST = 0.055
"""Seconds from a process's first acknowledgement to its death: some tens of commits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    kills: int
    acknowledged: int
    """Events whose sender was told that they are durable."""
    found: int
    """Events that the log holds in the end."""
    seed: int


def kill_while_logging(
    where: str | Path, kills: int, seed: int, progress: Callable[[int], object] = lambda done: None
) -> Tally:
    """Kill a logging process again and again, each time looking at what it left.

    Raises EpisodeLogError, naming the seed, if an acknowledged event is lost, torn, doubled or out of order.
    """
    chance = random.Random(seed)
    done: dict[str, None] = {}
    number = acknowledged = 0
    with EpisodeLog.open(where) as log:
        for killed in range(kills):
            told = [event_ids(n)[part] for n, part in _killed_after(where, number, chance.uniform(0.0, _LONGEST))]
            acknowledged += len(told)
            sent = [key for key in told if key not in done]
            found = [event.event_id for event in log.events(since=len(done))]
            # one event more may be there: committed, but killed before it could say so
            if found[: len(sent)] != sent or len(found) - len(sent) not in (0, 1):
                raise EpisodeLogError(f"seed {seed}, kill {killed + 1}: acknowledged {sent}, found {found}")
            done |= dict.fromkeys(found)
            while set(event_ids(number)) <= done.keys():
                number += 1
            progress(killed + 1)
        _require_whole(log, list(done), seed)
    return Tally(kills=kills, acknowledged=acknowledged, found=len(done), seed=seed)


def document(tally: Tally) -> dict[str, Any]:
    return {"bench": "logging-kills", **asdict(tally), "lost": 0, "torn": 0, "doubled": 0,
            "upper_bound": upper_bound(tally.kills)}  # fmt: skip


def made_up(number: int) -> Episode:
    """An episode of one turn, of a size that differs from one to the next."""
    chance = random.Random(number)
    call = ToolCall(name="track", arguments={"id": str(number)})
    steps = (
        _step(Message(role=Role.ASSISTANT, text="track {}", tool_call=call), chance, answer="on its way"),
        _step(Message(role=Role.ASSISTANT, text="On its way."), chance),
    )
    return Episode(
        episode_id=f"e{number}", pack="retail", scenario={"split": "train"}, seed=number,
        system=Message(role=Role.SYSTEM, text="You answer customers."),
        turns=(Turn(user=Message(role=Role.USER, text="where is my parcel?"), steps=steps),),
        stop=StopReason.USER_LEFT, note="x" * (number % 7 * 1500),
    )  # fmt: skip


def _step(message: Message, chance: random.Random, *, answer: str = "") -> Step:
    return Step(
        message=message,
        result=Message(role=Role.TOOL, text=answer) if answer else None,
        observation_ids=tuple(chance.randrange(3072) for _ in range(12)),
        action_ids=tuple(chance.randrange(3072) for _ in range(12)),
        logprobs=tuple(-chance.expovariate(1.0) for _ in range(12)),
        policy_version="v1",
    )


def messages(number: int) -> Sequence[Callable[[EpisodeLog], object]]:
    """The `number`-th thing to log: a finished episode and a rating of it, or a live conversation of one turn."""
    episode, name = made_up(number), f"e{number}"
    if number % 3:
        rating = Rating(episode_id=name, rater="ann", turn=0, value=1.0)
        return [
            lambda log: log.append(episode, run="kills"),
            lambda log: log.rate(rating, event_id=f"r{number}"),
        ]
    return [
        lambda log: log.begin(replace(episode, turns=(), stop=StopReason.ABORTED)),
        lambda log: log.user_said(name, 0, episode.turns[0].user),
        lambda log: log.answered(name, 0, episode.turns[0]),
        lambda log: log.append(episode, run="kills"),
    ]


def event_ids(number: int) -> list[str]:
    """The ids of its events, in order."""
    keys = [f"begin:e{number}", f"user:e{number}:0", f"turn:e{number}:0"] if number % 3 == 0 else []
    return [*keys, f"episode:e{number}", *([f"rating:r{number}"] if number % 3 else [])]


def _log_from(where: str | Path, first: int, acknowledge: int) -> None:
    """Log one message after another until killed, and tell of each event through a pipe once it is acknowledged."""
    with EpisodeLog.open(where) as log:
        number = first
        while True:
            for part, send in enumerate(messages(number)):
                send(log)
                os.write(acknowledge, b"%d %d\n" % (number, part))
            number += 1


def _killed_after(where: str | Path, first: int, seconds: float) -> list[tuple[int, int]]:
    """What a process acknowledged that was killed so long after its first acknowledgement."""
    reader, writer = os.pipe()
    child = start(lambda: _log_from(where, first, writer))
    os.close(writer)
    begun = os.read(reader, 1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    was_killed(child)
    with os.fdopen(reader, "rb") as rest:
        lines = (begun + rest.read()).splitlines()
    return [(int(number), int(part)) for number, part in map(bytes.split, lines)]


def _require_whole(log: EpisodeLog, done: list[str], seed: int) -> None:
    if [event.event_id for event in log.events()] != done or log.check().events != len(done):
        raise EpisodeLogError(f"seed {seed}: in the end the log holds other events than were seen on the way")
    for logged in log.episodes():
        if logged.episode != made_up(int(logged.episode.episode_id[1:])):
            raise EpisodeLogError(f"seed {seed}: {logged.episode.episode_id} is not what was sent")
