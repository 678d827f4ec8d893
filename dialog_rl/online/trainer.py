"""Training on simulated customers: speak, log, score, learn, checkpoint; again.

Everything follows from the seed: which customers call, what is sampled, how episodes are batched. A run stopped at any
moment goes on from its last checkpoint as if it had not been stopped, to the last bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from dialog_rl.combination import Combination
from dialog_rl.episode import Episode
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import ConfigError
from dialog_rl.lm import checkpoints, versions
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.precision import bf16_pays
from dialog_rl.lm.rollouts import Rollouts, rollouts
from dialog_rl.online import training_record as record
from dialog_rl.online import tuition
from dialog_rl.online.ahead import Ahead, Batch
from dialog_rl.online.casting import Casting, Source, episode_id, name_of
from dialog_rl.online.practice import Practice, Strategy
from dialog_rl.online.progress import Progress, peak_memory, spoken_of
from dialog_rl.online.run_state import load_state, save_state
from dialog_rl.online.successes import Successes, succeeded
from dialog_rl.online.train_config import GROUP, OFF_POLICY, TrainConfig
from dialog_rl.online.validation import Validation, validation_of
from dialog_rl.plugins.loading import Plugins, facts_of
from dialog_rl.rl.algorithm import Algorithm
from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.freezing import freeze_all_but_last
from dialog_rl.rl.learner import Learner
from dialog_rl.rl.per_task import PerTask
from dialog_rl.rl.schedules import between, factor
from dialog_rl.scoring import Reward
from dialog_rl.staging import Stage

LOG = "episodes.db"


class Trainer:
    """One run in one folder: its log, its checkpoints, its metrics."""

    def __init__(
        self,
        folder: Path,
        stages: Sequence[Stage | Source],
        model: SpeakingModel,
        reference: SpeakingModel,
        rewards: Sequence[Reward],
        config: TrainConfig,
        *,
        algorithm: Algorithm | None = None,
        plugins: Plugins | None = None,
        speak: Rollouts = rollouts,
        learn: Callable[..., Learner] = Learner,
    ) -> None:
        """model is trained in place; reference is what the KL penalty holds it to, and is never changed.
        algorithm is PPO unless given. `speak` lets the policy speak, here or elsewhere; `learn`
        makes the learner, which may be more than this process.

        `plugins` are told what happens, and may replace the weighted sum of the rewards.
        """
        if not stages:
            raise ConfigError("train: no packs")
        self.folder, self.config = folder, config
        self._stages, self._model, self._rewards = stages, model, rewards
        self._plugins, self._rollouts = plugins, speak
        self._combination = Combination(rewards, combine=plugins.combine if plugins is not None else None)
        self._parent = model.version
        for taught in (model, reference):
            taught.policy.autocast = config.bf16 and bf16_pays(taught.policy.device)
        for parameter in reference.policy.parameters():
            parameter.requires_grad_(False)
        self._successes = Successes(config.seed)
        rule = algorithm or PPO(config.ppo)
        learning = replace(config.learner, **OFF_POLICY) if config.overlap else config.learner
        self._casting = self._cast(rule)
        if config.last_layers is not None:
            freeze_all_but_last(model.policy, config.last_layers)
        self.learner = learn(
            model.policy, reference.policy, PerTask(rule) if config.per_pack else rule, learning,
            schedule=partial(_rate, config),
        )  # fmt: skip
        self.validation: Validation | None = None
        if config.validate_every:
            self.validation = validation_of(
                folder, stages, customers=config.validation, patience=config.patience, slots=config.slots
            )
        self._ahead = Ahead(self._speak)
        folder.mkdir(parents=True, exist_ok=True)

    def _cast(self, algorithm: Algorithm) -> Casting:
        """Raises ConfigError where groups do not fit into an update."""
        c = self.config
        group = c.group or (GROUP if algorithm.needs.groups else 1)
        if c.batch % group:
            raise ConfigError(
                f"train: {algorithm.name} compares {group} dialogues with each customer, so batch must be a multiple "
                f"of {group}, not {c.batch}; or set group"
            )
        return Casting(sources=self._stages, seed=c.seed, practice=Practice(c.practice), group=group)

    @property
    def done(self) -> int:
        """Updates made."""
        return self.learner.updates

    @property
    def model(self) -> SpeakingModel:
        return self._model

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The packs among what is learned from."""
        return tuple(stage for stage in self._stages if isinstance(stage, Stage))

    @property
    def over(self) -> bool:
        """All dialogues are spoken, or validation has not become better for too long."""
        return self.done >= self.config.updates or (self.validation is not None and self.validation.over)

    def resume(self) -> tuple[checkpoints.Rejected, ...]:
        """Take up the latest valid checkpoint, if there is one. Returns those passed over, with the reason."""
        found, rejected = checkpoints.latest_valid(self.folder / "checkpoints")
        if found is not None:
            self._model.load_weights(found.path)
            state = load_state(found.path)
            self._combination.restore(state.pop("combination", {}))
            self._casting.practice.restore(state.pop("practice", {}))
            seen = state.pop("validation", {})
            if self.validation is not None:
                self.validation.restore(seen)
            ahead = state.pop("ahead", {})
            self.learner.load_state_dict(state)
            self._ahead.restore(ahead, self._batch(age=1))
            record.cut(self.folder, found.step)
            self._successes.read_again(
                self.folder / LOG, self.folder.name, episode_id(self.folder.name, self.done * self.config.batch)
            )
        return rejected

    def run(self, *, cancelled: Callable[[], bool] = lambda: False) -> Generator[Progress, None, None]:
        """Update after update until the configured dialogues are spoken. What is cancelled in mid-update is dropped."""
        with self._plugins.watching(self.folder.name, self.folder) if self._plugins is not None else nullcontext():
            yield from self._run(cancelled)

    def _run(self, cancelled: Callable[[], bool]) -> Iterator[Progress]:
        with EpisodeLog.open(self.folder / LOG) as log:
            if self._plugins is not None:
                log.listener = self._plugins.hearing(self.folder.name, self.folder)
            try:
                while not self.over:
                    progress = self._update(log, cancelled)
                    if progress is None:
                        return
                    record.append(self.folder, asdict(progress))
                    if self._plugins is not None:
                        facts = facts_of(self.folder.name, self.folder)
                        self._plugins.notify("on_update_end", run=facts, stats=asdict(progress))
                    if self.over or self.done % self.config.checkpoint_every == 0:
                        self.checkpoint()
                    yield progress
            finally:
                self._ahead.stop()

    def checkpoint(self) -> checkpoints.Checkpoint:
        """Make the state after the last update durable."""

        def fill(folder: Path) -> None:
            self._model.save(folder)
            save_state(
                {
                    **self.learner.state_dict(),
                    "combination": self._combination.state(),
                    "practice": self._casting.practice.state(),
                    "ahead": self._ahead.state(),
                    "validation": self.validation.state() if self.validation is not None else {},
                },
                folder,
            )

        return checkpoints.save(self.folder / "checkpoints", self.done, fill, self._origin(), keep=2)

    def publish(self, root: Path) -> versions.Version:
        """The weights as they are, or the best that validation saw, as an immutable version."""
        if self.validation is not None:
            self.validation.take_best(self._model)
        return versions.publish(root, self._model.save, self._origin())

    def _origin(self) -> versions.Origin:
        trained_on = {
            "packs": [name_of(stage) for stage in self._stages],
            "dialogues": self.done * self.config.batch,
            "updates": self.done,
            "seed": self.config.seed,
            "algorithm": self.learner.algorithm.name,
        }
        return versions.Origin(
            parent=self._parent, fingerprint=self._model.renderer.fingerprint, trained_on=trained_on, created_by="train"
        )

    # One update

    def _update(self, log: EpisodeLog, cancelled: Callable[[], bool]) -> Progress | None:
        started, cpu_before = time.perf_counter(), time.process_time()
        self._be_taught()
        episodes = self._ahead.take(self.done, cancelled)
        if episodes is None:
            episodes = self._speak(self._batch(age=0), cancelled)
        if len(episodes) < self.config.batch:
            return None
        log.append_many(episodes, run=self.folder.name)
        scored = self._combination.score(episodes)
        spoken = time.perf_counter()
        replay = self.config.replay if self.config.learner.imitation_coef else 0
        batch = EpisodeBatch.from_scored(
            scored, self._model.renderer.pad_id, replayed=self._successes.drawn(replay, self.done),
            imitate=lambda one: succeeded(one.episode),
        )  # fmt: skip
        temperature = self._temperature(self.done)
        if self.config.overlap and self.done + 1 < self.config.updates:
            self._ahead.begin(replace(self._batch(age=1), update=self.done + 1))
        stats = self.learner.update(batch)
        learnt = time.perf_counter()
        self._successes.remember(episodes)
        self._casting.hear(episodes)
        return Progress(
            update=self.done,
            dialogues=self.done * self.config.batch,
            **spoken_of(scored, [reward.name for reward in self._rewards]),
            stats=stats,
            speaking_seconds=spoken - started,
            learning_seconds=learnt - spoken,
            combination=self._combination.figures(),
            temperature=temperature,
            practice=self._casting.practice.figures() if self.config.practice is not Strategy.UNIFORM else {},
            validation=self._validate(),
            cpu_seconds=time.process_time() - cpu_before,
            peak_memory=peak_memory(),
        )

    def _validate(self) -> float | None:
        if self.validation is None or (self.done % self.config.validate_every and self.done < self.config.updates):
            return None
        return self.validation.look(self._model, self.done)

    def _be_taught(self) -> None:
        """A supervised phase, where one is due before this update."""
        c, every = self.config, self.config.tuition_every
        if every and self.done % every == 0:
            if not self.stages:
                raise ConfigError("train: tuition_every needs packs; other sources have no expert")
            self.learner.imitate(
                tuition.lessons(
                    self.stages, self._model.renderer, c.tuition, seed=c.seed, phase=self.done // every,
                    longest=self._model.policy.max_positions,
                )
            )  # fmt: skip

    def _temperature(self, update: int) -> float:
        """Of an update's sampling."""
        c = self.config
        if c.temperature_end is None:
            return c.temperature
        return between(c.temperature, c.temperature_end, update, c.updates)

    def _batch(self, *, age: int) -> Batch:
        """The conversations that are due, with everything as it is now."""
        return Batch(update=self.done, policy=self._model.policy, age=age, casting=self._casting)

    def _speak(self, batch: Batch, cancelled: Callable[[], bool]) -> list[Episode]:
        """A batch's conversations, in the order of their numbers, whichever ended first."""
        renderer, temperature = self._model.renderer, self._temperature(batch.update)
        episodes = self._rollouts(
            batch.policy,
            renderer,
            batch.casting.conversations(
                batch.update * self.config.batch, self.config.batch, run=self.folder.name,
                tokenizer=renderer.fingerprint, temperature=temperature,
            ),
            slots=self.config.slots,
            max_length=batch.policy.max_positions,
            temperature=temperature,
            version=f"{self._parent}+{batch.update - batch.age}",
            cancelled=cancelled,
        )  # fmt: skip
        return sorted(episodes, key=lambda e: e.episode_id)


def _rate(config: TrainConfig, update: int) -> float:
    return factor(config.schedule, update, config.updates, config.warmup)
