"""What one update of a training did, as it is told and recorded."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dialog_rl import metrics
from dialog_rl.rl.update_stats import UpdateStats
from dialog_rl.scoring import ScoredEpisode


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What one update did. Times are seconds of this process, wall clock."""

    update: int
    dialogues: int
    success: float
    """Share of this update's conversations, sampled as they were trained on."""
    violations: float
    """Conversations in which a policy rule was broken, as a share."""
    reward: float
    components: Mapping[str, float]
    """Each reward's mean over the episodes to which it applied."""
    turns: float
    stats: UpdateStats
    speaking_seconds: float
    learning_seconds: float
    combination: Mapping[str, float] = field(default_factory=dict)
    """What the next update's rewards are combined with: weights, and rates and multipliers of constraints."""
    temperature: float = 1.0
    practice: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What is known of each intent, where practice is chosen by it."""
    validation: float | None = None
    """Success on validation customers, where this update was followed by a look at them."""
    cpu_seconds: float = 0.0
    """Of this process and all its threads, in this update."""
    peak_memory: int = 0
    """Bytes: the most that this process has held so far."""


def spoken_of(scored: Sequence[ScoredEpisode], rewards: Sequence[str]) -> dict[str, Any]:
    """What Progress tells of an update's conversations. rewards: names of what they were scored with."""
    episodes = [one.episode for one in scored]
    return {
        "success": _mean([metrics.success(e).reached for e in episodes]),
        "violations": _mean([bool(metrics.violations(e)) for e in episodes]),
        "reward": _mean([one.reward for one in scored]),
        "components": {
            name: _mean([s.value for one in scored if (s := one.components[name]).value is not None])
            for name in rewards
        },
        "turns": _mean([len(e.turns) for e in episodes]),
    }


def peak_memory() -> int:
    """Bytes that this process has held at most; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
