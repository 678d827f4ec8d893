"""Credit on the way to the goal that cannot change where the way should lead: potential-based shaping.

Step t is paid gamma * potential(after) - potential(before), with a potential of 0 once the conversation has ended. Over
an episode the payments sum to a constant, so what is best stays best whatever the potential is.
Source: Ng, Harada and Russell 1999, "Policy invariance under reward transformations", theorem 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dialog_rl.episode import Episode
from dialog_rl.scoring import Score

Potential = Callable[[Episode], Sequence[float]]
"""The potential before each Step, and after the last one: one more value than the episode has steps."""


class Progress:
    """Shaping by the share of the goal's gold actions that were carried out and values that were told so far."""

    def __init__(self, *, gamma: float = 1.0, scale: float = 1.0, potential: Potential | None = None) -> None:
        """`gamma` must be the learner's own discount between steps; the guarantee holds for no other."""
        if not 0 < gamma <= 1:
            raise ValueError(f"gamma must be in (0, 1], not {gamma}")
        self._gamma, self._scale = gamma, scale
        self._potential = potential or goal_progress

    def score(self, episodes: Sequence[Episode]) -> list[Score]:
        return [self._score(episode) for episode in episodes]

    def _score(self, episode: Episode) -> Score:
        potentials = self._potential(episode)
        if len(potentials) < 2:
            return Score(value=None, reason="no goal to make progress to" if not potentials else "no step")
        shaped = shaping(potentials, gamma=self._gamma, terminated=episode.stop.terminated)
        return Score(value=None, per_step=tuple(self._scale * value for value in shaped))


def shaping(potentials: Sequence[float], *, gamma: float, terminated: bool) -> list[float]:
    """What each step is paid. A truncated episode keeps its last potential: its future is bootstrapped, not over."""
    after = [*potentials[1:-1], 0.0 if terminated else potentials[-1]]
    return [gamma * later - before for before, later in zip(potentials[:-1], after, strict=True)]


def goal_progress(episode: Episode) -> list[float]:
    """The share of gold actions done and values told, before each step and after the last; empty without a goal."""
    wanted: Mapping[str, Any] = episode.scenario.get("success", {})
    gold = list(wanted.get("db", {}).get("from_actions", ())) + list(wanted.get("actions", {}).get("required", ()))
    tell = [need["any_of"] for need in wanted.get("communicate", ())]
    if not gold and not tell:
        return []
    done, told, values = set[int](), set[int](), [0.0]
    for step in episode.steps:
        call = step.message.tool_call
        if call is not None and step.result is not None and not step.result.error:
            done |= {n for n, g in enumerate(gold) if g["tool"] == call.name and _agrees(g, call.arguments)}
        elif call is None:
            told |= {n for n, options in enumerate(tell) if any(str(o) in step.message.text for o in options)}
        values.append((len(done) + len(told)) / (len(gold) + len(tell)))
    return values


def _agrees(gold: Mapping[str, Any], arguments: Mapping[str, Any]) -> bool:
    return all(arguments.get(key) == value for key, value in gold.get("arguments", {}).items())
