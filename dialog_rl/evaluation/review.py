"""A finished training looked back on: what changed, what the rewards pay for by now, whether constraints were kept."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dialog_rl.combination import violates
from dialog_rl.episode import Episode
from dialog_rl.evaluation import document, gaming
from dialog_rl.evaluation.curves import Violations
from dialog_rl.evaluation.document import Document, Points, Section, Table
from dialog_rl.evaluation.gaming import Gaming, Growth
from dialog_rl.scoring import Combine, Part, Reward, checked_scores

SHARE = 0.2
"""Of the updates that count as the beginning, and as the end."""
FIGURES = (
    ("success", "success", 100),
    ("rules broken", "violations", 100),
    ("reward", "reward", 1),
    ("turns", "turns", 1),
)
"""Name, key of the record, factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How a constraint fared."""

    name: str
    target: float
    rate: float
    """Mean share of violating episodes in the last updates."""
    multiplier: float
    """Its price at the end."""

    def __str__(self) -> str:
        return (
            f"{self.name}: broken in {100 * self.rate:.1f} % of the last dialogues, at most {100 * self.target:.1f} % "
            f"wanted; a violation came to cost {self.multiplier:.3g}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    updates: int
    figures: Mapping[str, tuple[float, float]]
    """Means over the first and over the last updates; shares in per cent."""
    components: Mapping[str, tuple[float, float]]
    pay: Gaming | None
    growth: tuple[Growth, ...]
    constraints: tuple[Kept, ...]


def review(
    updates: Sequence[Mapping[str, Any]],
    first: Sequence[Episode],
    last: Sequence[Episode],
    rewards: Sequence[Reward],
    combine: Combine | None = None,
) -> Review | None:
    """From a run's record, one mapping an update, and its first and last episodes. None before the first update."""
    if not updates:
        return None
    count = max(1, round(SHARE * len(updates)))
    begin, end = updates[:count], updates[-count:]
    means = {name: tuple(factor * _mean(part, key) for part in (begin, end)) for name, key, factor in FIGURES}
    names = updates[-1].get("components", {})
    components = {name: tuple(_mean([u["components"] for u in part], name) for part in (begin, end)) for name in names}
    return Review(
        updates=len(updates),
        figures={name: (a, b) for name, (a, b) in means.items()},
        components={name: (a, b) for name, (a, b) in components.items()},
        pay=gaming.gaming("the agent", last, rewards, combine),
        growth=tuple(gaming.grown(first, last)),
        constraints=tuple(_kept(reward, end) for reward in rewards if reward.part is Part.CONSTRAINT),
    )


def _mean(rows: Sequence[Mapping[str, Any]], key: str) -> float:
    return statistics.fmean(row.get(key) or 0.0 for row in rows)


def _kept(reward: Reward, end: Sequence[Mapping[str, Any]]) -> Kept:
    found = [update.get("combination", {}) for update in end]
    multiplier = found[-1].get(f"multiplier/{reward.name}", 0.0)
    return Kept(name=reward.name, target=reward.target, rate=_mean(found, f"rate/{reward.name}"), multiplier=multiplier)


def violations_of(
    name: str,
    updates: Sequence[Mapping[str, Any]],
    episodes: Sequence[Episode],
    reward: Reward,
    *,
    target: float | None = None,
) -> Violations:
    """How often each update's episodes break what a reward forbids, whether or not the run was trained on that reward.

    `episodes` are the run's, in the order of their numbers. Where the reward abstains nothing is broken.
    """
    ends = [int(update["dialogues"]) for update in updates]
    rates: list[float] = []
    for begin, end in zip([0, *ends], ends, strict=False):
        scores = checked_scores(reward, episodes[begin:end])
        rates.append(sum(map(violates, scores)) / max(1, len(scores)))
    return Violations(name=name, dialogues=ends, rates=rates, target=target)


def remarks(found: Review) -> list[str]:
    """What there is to say beside the figures, a line each."""
    lines = [f"constraint {kept}" for kept in found.constraints]
    if found.pay is not None:
        lines += gaming.remarks(found.pay)
    return [*lines, *(f"while it learned, {growth}" for growth in found.growth)]


def sections(found: Review) -> tuple[Section, ...]:
    """The same for a page."""
    rows = [(name, f"{a:.3g}", f"{b:.3g}") for name, (a, b) in found.figures.items()]
    rows += [(f"reward {name}", f"{a:.3g}", f"{b:.3g}") for name, (a, b) in found.components.items()]
    about = f"{found.updates} updates; means over the first and the last fifth of them, shares in per cent."
    figures = Table(headers=("", "first", "last"), rows=tuple(rows))
    made = [Section(title="From first to last", about=about, blocks=(figures,))]
    lines = remarks(found)
    if lines:
        made.append(Section(title="What it was paid for, and what changed", blocks=(Points(lines=tuple(lines)),)))
    return tuple(made)


def markdown(found: Review, title: str = "What the agent learned") -> str:
    """The same for a file."""
    return document.markdown(Document(title=title, lead="", opening=(), sections=sections(found)))
