"""A world so small that it can be killed thousands of times: a tiny model, people who talk to it, a gate that nods.

The model babbles and the people's opinions mean nothing; the log, the updater, the versions and all that may break in
between are the real ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from dialog_rl.chat.setting import LEARNABLE
from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode, Rating, StopReason
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.goals import make_scenario
from dialog_rl.lm import versions
from dialog_rl.lm.demonstrations import texts_of
from dialog_rl.lm.journal import ANCHOR, CHAMPION
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.policy import ModelShape, Policy
from dialog_rl.lm.renderer import EmbeddedRenderer
from dialog_rl.lm.rollouts import rollouts
from dialog_rl.lm.tokenizer import Tokenizer, train_tokenizer
from dialog_rl.online.apprentice import DEFAULT_REWARDS, Apprenticeship, demonstrations
from dialog_rl.online.learn_config import LearnConfig
from dialog_rl.online.lease import Lease, hold
from dialog_rl.online.lessons import RatingsInUse
from dialog_rl.online.study import Material
from dialog_rl.online.training_record import LOCK
from dialog_rl.online.updater import Report, Updater
from dialog_rl.online.version_store import VersionStore
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.plugins.registry import Registry
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.rl.learner_config import LearnerConfig
from dialog_rl.scoring import Reward, RewardSpec
from dialog_rl.staging import Stage, open_stage

PACK = "retail"
SHAPE = ModelShape(hidden=32, layers=2, heads=2, intermediate=48, max_positions=384)
CONFIG = LearnConfig(
    batch=3, wait=math.inf, simulated=1.0, slots=4, kl_budget=math.inf, entropy_floor=0.01, distinct_floor=0.01,
    most_duplicates=1.0,
    learner=LearnerConfig(
        learning_rate=1e-3, kl_stop=math.inf, kl_discard=math.inf, max_mismatch=math.inf, max_mismatch_k3=math.inf
    ),
)  # fmt: skip
"""Small batches, and fuses that a babbler does not blow."""

MakeModel = Callable[[], SpeakingModel]


@cache
def registry() -> Registry:
    return load_plugins().registry


@cache
def stage() -> Stage:
    return open_stage(registry(), PACK)


@cache
def vocabulary() -> Tokenizer:
    shown = demonstrations(Apprenticeship(packs=(PACK,)), count=40)
    return train_tokenizer(texts_of(shown), vocabulary=640, seed=0)


def babbler() -> SpeakingModel:
    """The same fresh tiny model every time."""
    shape = replace(SHAPE, vocab_size=-(-len(vocabulary()) // 64) * 64)
    return SpeakingModel(policy=Policy.fresh(shape, seed=3), renderer=EmbeddedRenderer(vocabulary()), version="tiny")


def chats(model: SpeakingModel, numbers: Sequence[int], *, version: str) -> list[Episode]:
    """Conversations that people might have had with a version; the same number is the same conversation."""
    spoken = rollouts(
        model.policy,
        model.renderer,
        _opened(model, numbers),
        slots=4,
        max_length=model.policy.max_positions,
        temperature=LEARNABLE,
        version=version,
    )
    return sorted(spoken, key=lambda e: e.episode_id)


def _opened(model: SpeakingModel, numbers: Sequence[int]) -> Iterator[Conversation]:
    for number in numbers:
        scenario = make_scenario(stage().pack, number, split="validation")
        yield stage().conversation_with(
            stage().simulator.start(scenario, number),
            scenario,
            number,
            episode_id=f"chat-{number}",
            simulator="person",
            tokenizer=model.renderer.fingerprint,
            temperature=LEARNABLE,
        )


def log_chat(
    log: EpisodeLog,
    episode: Episode,
    *,
    rated: Mapping[int | None, float] | None = None,
    rater: str = "ann",
    consent: bool | None = True,
) -> None:
    """As a chat does it: begun, ended, rated. By default its first turn is rated, one way or the other by its seed."""
    if rated is None:
        rated = {0: 1.0 if episode.seed % 2 else -1.0}
    log.begin(replace(episode, turns=(), journal=(), stop=StopReason.ABORTED, note=""))
    if consent is not None:
        log.consent(episode.episode_id, train=consent, event_id=f"{episode.episode_id}:consent")
    log.append(episode, run="chat")
    for turn, value in rated.items():
        rating = Rating(episode_id=episode.episode_id, rater=rater, turn=turn, value=value)
        log.rate(rating, event_id=f"{episode.episode_id}:{rater}:{turn}")


@dataclass
class Says:
    """A gate's outcome."""

    promoted: bool
    reason: str = "as the rehearsal wants it"
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Decides:
    """A gate that decides by its number."""

    decide: Callable[[int], bool] = lambda number: True
    asked: list[int] = field(default_factory=list)

    def examine(
        self, candidate: SpeakingModel, champion: SpeakingModel, anchor: SpeakingModel, *, gate_number: int
    ) -> Says:
        self.asked.append(gate_number)
        return Says(self.decide(gate_number), evidence={"candidate": candidate.version, "champion": champion.version})


def human_ratings(ratings: RatingsInUse) -> Sequence[Reward]:
    return build_rewards(registry(), [RewardSpec(use="human_rating")], resources={"ratings": ratings})


@dataclass
class World:
    """A folder with a log, a store whose champion is a tiny model, and updaters of one run on them."""

    root: Path
    make: MakeModel = babbler
    gate: Any = field(default_factory=Decides)
    config: LearnConfig = CONFIG
    name: str = "learn"
    where: str | Path = ""

    def __post_init__(self) -> None:
        self.where = self.where or self.root / "log.sqlite"
        self.versions = self.root / "versions"
        first = versions.publish(self.versions, self.make().save)
        self.first = first.id
        self.store = VersionStore(self.versions, run=self.name, keep_champions=5)
        self.store.settle_in(first)

    @property
    def folder(self) -> Path:
        """Of the updater's run."""
        return self.root / self.name

    def open_log(self) -> EpisodeLog:
        return EpisodeLog.open(self.where)

    def champion(self) -> SpeakingModel:
        return self.store.open(self.store.standing(CHAMPION))

    def chat(self, log: EpisodeLog, *numbers: int, **how: Any) -> list[Episode]:
        """People talk to the champion, and their conversations are logged."""
        model = self.champion()
        spoken = chats(model, numbers, version=model.version)
        for episode in spoken:
            log_chat(log, episode, **how)
        return spoken

    def material(self) -> Material:
        return Material(
            model=self.make(),
            anchor=self.store.open(self.store.standing(ANCHOR)),
            stages=[stage()],
            live_rewards=human_ratings,
            simulated_rewards=build_rewards(registry(), DEFAULT_REWARDS),
        )

    def updater(self, log: EpisodeLog, *, lease: Lease | None = None, **changed: Any) -> Updater:
        """A fresh process's updater, taken up where the last one left off."""
        config = replace(self.config, **changed)
        lease = lease or Lease(log, self.name, 1, local=True)
        one = Updater(self.folder, log, self.store, self.gate, self.material(), config, lease)
        one.resume()
        return one

    def learn(self, log: EpisodeLog, **changed: Any) -> list[Report]:
        """Everything that is queued, as a process of its own would."""
        with hold(log, self.name, (self.folder / LOCK,)) as lease:
            return list(self.updater(log, lease=lease, **changed).run_on(once=True))
