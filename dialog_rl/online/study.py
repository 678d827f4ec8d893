"""One update's learning: rated conversations and simulated ones in, other weights out, and what happened."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from dialog_rl.combination import Combination
from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode
from dialog_rl.episode_log.learning import LEARNT, Chosen, Plan
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import TrainingError
from dialog_rl.faults import fp
from dialog_rl.goals import make_scenario
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.rollouts import rollouts
from dialog_rl.online import guards
from dialog_rl.online.attacks import asking_about_anothers
from dialog_rl.online.guards import Wording
from dialog_rl.online.learn_config import LearnConfig
from dialog_rl.online.lessons import Baseline, Lesson, RatingsInUse, lessons
from dialog_rl.online.mixture import Mixture
from dialog_rl.online.run_state import load_state, save_state
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.learner import Learner
from dialog_rl.rl.update_stats import UpdateEnd, UpdateStats
from dialog_rl.scenario import Scenario
from dialog_rl.scoring import Reward
from dialog_rl.seeds import derive
from dialog_rl.staging import Stage

logger = logging.getLogger(__name__)

NOTHING = "nothing to learn: all were judged alike"
NOT_FINITE = "abandoned: no optimizer step was finite"
TOO_FAR = "undone: the policy had moved too far in one update"

BuildRewards = Callable[[RatingsInUse], Sequence[Reward]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What learning is made with."""

    model: SpeakingModel
    """Trained in place."""
    anchor: SpeakingModel
    """Frozen: what the KL penalty and the fuses measure from."""
    stages: Sequence[Stage]
    """Whose simulated customers take part."""
    live_rewards: BuildRewards
    """What people's conversations earn."""
    simulated_rewards: Sequence[Reward]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one update did."""

    update: int
    why: str
    start: str
    episodes: tuple[Chosen, ...]
    ratings: int
    simulated: int
    outcome: str
    """`learnt`, or why nothing came of it."""
    warning: str = ""
    stats: Mapping[str, Any] = field(default_factory=dict)
    signs: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def changed(self) -> bool:
        """Whether the weights may speak otherwise than before."""
        return self.outcome == LEARNT


class Study:
    """The part of an updater that holds tensors: the policy, its optimizer, and what both need to go on exactly."""

    def __init__(self, material: Material, config: LearnConfig, run: str, *, logs: bool = True) -> None:
        """logs: simulated conversations go into the log, and those that are there are not spoken again."""
        self.material, self.config, self.run = material, config, run
        self._logs = logs
        for parameter in material.anchor.policy.parameters():
            parameter.requires_grad_(False)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget everything but the weights: an optimizer's memory belongs to the course that made it."""
        self._mixture = Mixture(config=self.config.ppo, live_share=self.config.live_share)
        self._learner = Learner(
            self.material.model.policy, self.material.anchor.policy, self._mixture, self.config.learner
        )
        self._ratings = RatingsInUse()
        self._live = Combination(self.material.live_rewards(self._ratings))
        self._simulated = Combination(self.material.simulated_rewards)
        self._baseline = Baseline()
        self._first: Wording | None = None

    # What a checkpoint holds of it

    def save(self, folder: Path) -> None:
        self.material.model.save(folder)
        memory = {
            "live": self._live.state(), "simulated": self._simulated.state(), "baseline": self._baseline.recent,
            "first_wording": None if self._first is None else asdict(self._first),
        }  # fmt: skip
        save_state({"learner": self._learner.state_dict(), "memory": memory}, folder)

    def load(self, folder: Path) -> None:
        """Go on exactly from what `save` wrote. Raises CheckpointError."""
        state = load_state(folder)
        self.begin_anew()
        self.material.model.load_weights(folder)
        self._learner.load_state_dict(state["learner"])
        memory = state["memory"]
        self._live.restore(memory["live"])
        self._simulated.restore(memory["simulated"])
        self._baseline = Baseline(recent=list(memory["baseline"]))
        self._first = Wording(**memory["first_wording"]) if memory["first_wording"] is not None else None

    def load_weights(self, folder: Path) -> None:
        """Begin a course of its own from a version."""
        self.material.model.load_weights(folder)
        self.begin_anew()

    # One update

    def learn(self, plan: Plan, log: EpisodeLog) -> Record:
        """Make the update that a plan describes. An outcome other than `learnt` asks for the weights to be taken back.

        Raises RewardError: then the plan stands, to be made once the reward works.
        """
        started = time.perf_counter()
        fact = Record(
            update=plan.update, why=plan.why, start=plan.start, episodes=plan.episodes,
            ratings=sum(len(one.ratings) for one in plan.episodes), simulated=plan.simulated, outcome=LEARNT,
        )  # fmt: skip
        taught = self._lessons(plan, log)
        met = [log.get(one.episode_id) for one in plan.episodes if not one.ratings]
        spoken = self._spoken(plan, log)
        fp("updater.spoken")
        try:
            done = self._update(fact, taught, [*met, *spoken])
        except (TrainingError, MemoryError) as e:
            done = replace(fact, outcome=f"abandoned: {e or 'out of memory'}")
        return replace(done, seconds=time.perf_counter() - started)

    def _lessons(self, plan: Plan, log: EpisodeLog) -> list[Lesson]:
        rated = [one for one in plan.episodes if one.ratings]
        self._ratings.take(log, rated)
        taught = lessons(self._live, [log.get(one.episode_id) for one in rated])
        return [lesson for lesson in taught if any(step.action_ids for step in lesson.scored.episode.steps)]

    def _update(self, fact: Record, taught: Sequence[Lesson], simulated: Sequence[Episode]) -> Record:
        self._mixture.told = self._baseline.advantages(taught)
        scored = self._simulated.score(simulated)
        batch = EpisodeBatch.from_scored(
            [*(lesson.scored for lesson in taught), *scored], self.material.model.renderer.pad_id
        )
        stats = self._learner.update(batch)
        fp("updater.learnt")
        found = guards.signs(self.material.model.policy, self.material.anchor.policy, batch, simulated)
        if self._first is None:
            self._first = found.wording
        alarm = guards.alarm(found, self._first, self.config)
        return replace(
            fact, outcome=f"withheld: {alarm}" if alarm else _outcome(stats), stats=asdict(stats), signs=asdict(found),
            warning=guards.warning(found, self.config),
        )  # fmt: skip

    def _spoken(self, plan: Plan, log: EpisodeLog) -> list[Episode]:
        """The simulated conversations of an update: those in the log, and the others, which go there first."""
        ids = [f"{self.run}-{plan.update:06d}-{number:03d}" for number in range(plan.simulated)]
        if not self._logs:
            return list(self.speak(plan, list(enumerate(ids))))
        missing = [(number, name) for number, name in enumerate(ids) if name not in log]
        made = list(self.speak(plan, missing))
        log.append_many(made, run=self.run)
        by_id = {episode.episode_id: episode for episode in made}
        return [by_id[name] if name in by_id else log.get(name) for name in ids]

    def speak(self, plan: Plan, numbered: Sequence[tuple[int, str]]) -> Iterator[Episode]:
        """Simulated conversations by number and id, spoken by the weights as they are."""
        model = self.material.model
        episodes = rollouts(
            model.policy,
            model.renderer,
            self._conversations(plan, numbered),
            slots=min(self.config.slots, max(1, len(numbered))),
            max_length=model.policy.max_positions,
            temperature=self.config.temperature,
            version=f"{self.run}/{plan.start}",
        )
        return iter(sorted(episodes, key=lambda e: e.episode_id))

    def _conversations(self, plan: Plan, numbered: Sequence[tuple[int, str]]) -> Iterator[Conversation]:
        for number, name in numbered:
            stage = self.material.stages[number % len(self.material.stages)]
            seed = derive(self.config.seed, "learn", plan.update, number)
            scenario = self._foreign(stage, seed, number) or make_scenario(stage.pack, seed, split="train")
            yield stage.conversation(
                scenario,
                seed,
                episode_id=name,
                tokenizer=self.material.model.renderer.fingerprint,
                temperature=self.config.temperature,
            )

    def _foreign(self, stage: Stage, seed: int, number: int) -> Scenario | None:
        turn, rest = divmod(number + 1, self.config.foreign) if self.config.foreign else (0, 1)
        return None if rest else asking_about_anothers(stage.pack, seed, turn, split="train")


def environment() -> dict[str, Any]:
    """What bits depend on beside the seeds: with another of these, learning goes on, but not bit for bit."""
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
    }


def _outcome(stats: UpdateStats) -> str:
    if stats.end is UpdateEnd.DISCARDED:
        return TOO_FAR
    if stats.steps == 0 and stats.steps_skipped:
        return NOT_FINITE
    if stats.critic_only or stats.end is UpdateEnd.NOTHING_TO_LEARN or stats.steps == 0:
        return NOTHING
    return LEARNT
