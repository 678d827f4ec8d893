"""An episode token by token: what was sampled how surely, what was expected of it, and what it was worth."""

from __future__ import annotations

from dataclasses import dataclass

from dialog_rl.browsing.stepping import Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One action token."""

    text: str
    """As the tokenizer writes it; its number where the tokenizer is not there."""
    logprob: float
    """Nats, as it was sampled."""
    value: float | None = None
    """What the value head expected before it, in units of reward."""
    advantage: float | None = None
    """By GAE, in units of reward, not whitened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepClosely:
    """One action: a reply or a call."""

    text: str
    tokens: tuple[Token, ...]
    reward: float | None = None
    """What this step was paid, the last one with what the whole was; None where nothing could be scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closely:
    turns: tuple[tuple[StepClosely, ...], ...]
    """The steps of each turn."""
    told: str
    """By whose tokens, values and rewards; or why there are none."""

    @property
    def drops(self) -> tuple[Point, ...]:
        """The turns that cost something."""
        paid = [sum(step.reward or 0.0 for step in steps) for steps in self.turns]
        return tuple(Point(turn=n, why=f"reward {reward:+.3g}") for n, reward in enumerate(paid) if reward < 0)
