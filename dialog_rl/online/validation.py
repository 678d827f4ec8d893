"""How a run stands on customers it does not learn from, its best weights kept, and when to stop."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialog_rl import metrics
from dialog_rl.errors import ConfigError
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.rollouts import rollouts
from dialog_rl.online.casting import Source
from dialog_rl.staging import Customers, Stage

BEST = "best"
"""The folder in a run's folder that holds the best weights so far."""
SPLIT = "validation"


@dataclass(slots=True)
class Validation:
    """Success on the same validation customers every time, sampled as in training."""

    folder: Path
    stages: Sequence[Stage]
    customers: int
    """Of each pack."""
    patience: int
    """Validations without a better one after which to stop; 0 for never."""
    slots: int
    best: float = -1.0
    best_update: int = 0
    since: int = 0
    """Validations since the best."""

    @property
    def over(self) -> bool:
        return self.patience > 0 and self.since >= self.patience

    def look(self, model: SpeakingModel, update: int, *, temperature: float = 1.0) -> float:
        """Measure, and keep the weights if they are the best so far. Equally good ones came later and are not."""
        success = success_of(model, self.stages, self.customers, slots=self.slots, temperature=temperature)
        if success > self.best:
            self.best, self.best_update, self.since = success, update, 0
            self._keep(model)
        else:
            self.since += 1
        return success

    def take_best(self, model: SpeakingModel) -> None:
        """The weights become the best ones that were seen, if any were."""
        if self.best_update:
            model.load_weights(self.folder / BEST)

    def _keep(self, model: SpeakingModel) -> None:
        fresh, kept = self.folder / f"{BEST}.new", self.folder / BEST
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        model.save(fresh)
        shutil.rmtree(kept, ignore_errors=True)
        fresh.rename(kept)

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "best_update": self.best_update, "since": self.since}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.best = float(state.get("best", -1.0))
        self.best_update, self.since = int(state.get("best_update", 0)), int(state.get("since", 0))


def validation_of(
    folder: Path, sources: Sequence[Stage | Source], *, customers: int, patience: int, slots: int
) -> Validation:
    """Raises ConfigError where the conversations come from something that has no validation customers."""
    stages = [source for source in sources if isinstance(source, Stage)]
    if len(stages) < len(sources):
        raise ConfigError("train: validate_every needs packs; other sources have no validation customers")
    return Validation(folder=folder, stages=stages, customers=customers, patience=patience, slots=slots)


def success_of(
    model: SpeakingModel, stages: Sequence[Stage], customers: int, *, slots: int, temperature: float = 1.0
) -> float:
    """The share of a split's first customers whom the weights serve."""
    hits = total = 0
    for stage in stages:
        met = Customers(split=SPLIT, phrasing="train").scenarios(stage.pack, customers)
        conversations = (
            stage.conversation(
                scenario, seed, episode_id=f"{stage.pack.name}/{number}", tokenizer=model.renderer.fingerprint,
                temperature=temperature,
            )
            for number, (scenario, seed) in enumerate(met)
        )  # fmt: skip
        for episode in rollouts(
            model.policy, model.renderer, conversations, slots=slots, max_length=model.policy.max_positions,
            temperature=temperature,
        ):  # fmt: skip
            hits, total = hits + metrics.success(episode).reached, total + 1
    return hits / max(1, total)
