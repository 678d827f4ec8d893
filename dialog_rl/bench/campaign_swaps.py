"""The champion changes a thousand times while twenty people talk: no turn is made by two of them, or another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dialog_rl.bench.killing import upper_bound
from dialog_rl.bench.rehearsal import SHAPE, stage, vocabulary
from dialog_rl.chat.events import Delta, Swapped
from dialog_rl.chat.session import ChatSession
from dialog_rl.chat.setting import Setting
from dialog_rl.episode import Episode
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import DialogRLError
from dialog_rl.goals import make_scenario
from dialog_rl.lm import promotions, versions
from dialog_rl.lm.journal import CHAMPION
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.policy import Policy
from dialog_rl.lm.renderer import EmbeddedRenderer
from dialog_rl.online.following import FollowingVoices, VersionFollower, roll_back
from dialog_rl.online.provenance import differences

FULL = 1_000
SAMPLE = 40
CHATS = 20
VERSIONS = 4
TURNS = 4
ROLLBACKS = 5
LEAST_BETWEEN = 4
"""Messages that are said or answered between two swaps: with twenty who talk, each conversation meets many swaps."""
MISMATCH = 1e-4
"""Nats: what a version says of its own tokens when it reads the conversation by itself (fp32)."""


class Mixed(DialogRLError):
    """A turn that two versions made, or one that another version made than it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    swaps: int
    turns: int
    conversations: int
    swapped: int
    """Conversations in which more than one version spoke."""
    mismatch: float
    """Nats at most, between what was logged of a token and what its version says of it."""
    rollback: float
    """Seconds at most from a rollback to the next turn being spoken by the version before."""


@dataclass(slots=True)
class _Talk:
    """What the talking threads share."""

    log: EpisodeLog
    follower: VersionFollower
    over: threading.Event = field(default_factory=threading.Event)
    episodes: list[Episode] = field(default_factory=list[Episode])
    failures: list[BaseException] = field(default_factory=list[BaseException])

    def session(self, number: int) -> ChatSession:
        setting = Setting(
            stage=stage(), scenario=make_scenario(stage().pack, number, split="validation"), seed=number,
            temperature=1.0,
        )  # fmt: skip
        return ChatSession(self.log, FollowingVoices(self.follower), setting, episode_id=f"chat-{number}", rater="ann")

    def go_on(self, first: int) -> None:
        """Conversation after conversation, until it is over."""
        try:
            number = first
            while not self.over.is_set():
                one = self.session(number)
                for turn in range(TURNS):
                    if one.ended is None:
                        one.say(f"hello {turn}")
                        list(one.answer())
                self.episodes.append(one.leave() or _ended(one))
                number += CHATS
        except BaseException as e:  # the thread's border: told where the campaign is
            self.failures.append(e)
            raise


def swap_while_talking(
    folder: Path, swaps: int, progress: Callable[[int], object] = lambda done: None, *, chats: int = CHATS
) -> Tally:
    """Raises Mixed as soon as a turn is not what it should be."""
    store = folder / "versions"
    ids = [_published(store, seed) for seed in range(VERSIONS)]
    promotions.promote(store, CHAMPION, ids[0], reason="first")
    with EpisodeLog.open(folder / "log.sqlite") as log:
        talk = _Talk(log=log, follower=VersionFollower([store]))
        threads = [threading.Thread(target=talk.go_on, args=(number,)) for number in range(chats)]
        for thread in threads:
            thread.start()
        try:
            for number in range(swaps):
                promotions.promote(store, CHAMPION, ids[(number + 1) % len(ids)], reason=f"swap {number}")
                _wait_for_words(log, talk, max(LEAST_BETWEEN, 4 * chats * TURNS // swaps))
                progress(number + 1)
        finally:
            talk.over.set()
            for thread in threads:
                thread.join()
        if talk.failures:
            raise talk.failures[0]
        rollback = max(_roll_back(talk, store, 10**6 + n) for n in range(ROLLBACKS))
    return _checked(talk.episodes, store, swaps, rollback)


def document(tally: Tally) -> dict[str, Any]:
    return {"bench": "swaps", **asdict(tally), "mixed": 0, "upper_bound": upper_bound(tally.turns)}


def _published(store: Path, seed: int) -> str:
    shape = replace(SHAPE, vocab_size=-(-len(vocabulary()) // 64) * 64)
    model = SpeakingModel(
        policy=Policy.fresh(shape, seed=seed), renderer=EmbeddedRenderer(vocabulary()), version=f"tiny-{seed}"
    )
    return versions.publish(store, model.save).id


def _wait_for_words(log: EpisodeLog, talk: _Talk, events: int) -> None:
    """Until so much was said and answered; in all enough for two conversations of everybody, however few swaps."""
    enough = log.last_seq() + events
    while log.last_seq() < enough and not talk.failures:
        time.sleep(0.002)


def _roll_back(talk: _Talk, store: Path, number: int) -> float:
    """Seconds from a rollback to the first word of the version before."""
    one = _in_progress(talk, number)
    one.say("hello again")
    begun = time.perf_counter()
    roll_back(store, one.version, "the campaign wants it", by="campaign")
    events = one.answer()
    if not any(isinstance(event, Swapped) for event in _until_speech(events)):
        raise Mixed("after a rollback the same version went on")
    seconds = time.perf_counter() - begun
    list(events)
    one.leave()
    return seconds


def _in_progress(talk: _Talk, number: int) -> ChatSession:
    """A conversation that has been answered once, and that no limit has ended."""
    while True:
        one = talk.session(number)
        one.say("hello")
        list(one.answer())
        if one.ended is None:
            return one
        number += ROLLBACKS


def _until_speech(events: Any) -> list[object]:
    met: list[object] = []
    for event in events:
        met.append(event)
        if isinstance(event, Delta) or len(met) > 1:
            break
    return met


def _ended(one: ChatSession) -> Episode:
    assert one.ended is not None
    return one.ended


def _checked(episodes: Sequence[Episode], store: Path, swaps: int, rollback: float) -> Tally:
    turns = [turn for episode in episodes for turn in episode.turns if turn.steps]
    if mixed := sum(len({step.policy_version for step in turn.steps}) > 1 for turn in turns):
        raise Mixed(f"{mixed} of {len(turns)} turns were made by more than one version")
    opened: dict[str, SpeakingModel] = {}

    def policy(version: str) -> Policy:
        opened[version] = opened.get(version) or SpeakingModel.load(store / version)
        return opened[version].policy

    off = max(differences(episodes, policy, EmbeddedRenderer(vocabulary()).pad_id).values())
    if not off <= MISMATCH:
        raise Mixed(f"a token's log-probability is {off:.3g} nats from what the version that is named for it says")
    return Tally(
        swaps=swaps, turns=len(turns), conversations=len(episodes),
        swapped=sum(len(episode.policy_versions) > 1 for episode in episodes), mismatch=off, rollback=rollback,
    )  # fmt: skip
