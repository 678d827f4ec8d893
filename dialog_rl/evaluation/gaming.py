"""What the rewards that an agent is trained on like, and task success does not: what learning would turn it into."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dialog_rl.combination import Combination
from dialog_rl.episode import Episode
from dialog_rl.hacks import BEHAVIOURS, LEAST, Hack, find_hacks, preference, slope, succeeded
from dialog_rl.plugins.trial import whole
from dialog_rl.scoring import Combine, OnFailure, Reward, ScoredEpisode

MATTERS = 0.25
"""Of what a success pays: what a behaviour must be worth to be named."""
NAMED = 2
"""Failures named that were paid more than the middle success."""
MOVED = 0.8
"""Standard deviations by which a behaviour must have moved to be named: a large effect by Cohen's convention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """A failure that was paid more than the middle one of the successes."""

    episode: str
    reward: float
    reply: str
    """The agent's last words in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaming:
    """How far what one agent is paid follows success."""

    name: str
    episodes: int
    """Those that have a reward, and say what success is."""
    success_pays: float | None
    """What a success is paid above a failure, on average; None without both."""
    prefers_success: float | None
    """How often a success is paid more than a failure, ties half."""
    hacks: tuple[Hack, ...]
    through: Mapping[str, str]
    """Behaviour → the reward that pays most of it."""
    failures: tuple[Paid, ...]


def gaming(
    name: str, episodes: Sequence[Episode], rewards: Sequence[Reward], combine: Combine | None = None
) -> Gaming | None:
    """What the rewards pay in these episodes, as training would add them up. None where too few say what success is."""
    return gaming_of(name, *paid_leniently(episodes, rewards, combine))


def paid_leniently(
    episodes: Sequence[Episode], rewards: Sequence[Reward], combine: Combine | None = None
) -> tuple[list[ScoredEpisode], dict[str, float]]:
    """The episodes that have a reward, and the components' weights.

    A reward that fails abstains. Constraints cost what they cost at the beginning of a run: nothing.
    """
    lenient = [replace(reward, on_failure=OnFailure.ABSTAIN) for reward in rewards]
    combination = Combination(lenient, combine)
    return combination.score(episodes), combination.weights()


def gaming_of(name: str, scored: Sequence[ScoredEpisode], weights: Mapping[str, float]) -> Gaming | None:
    """The same of episodes that were scored already."""
    scored = [one for one in scored if succeeded(one.episode) is not None]
    if len(scored) < LEAST:
        return None
    paid = [total(one) for one in scored]
    good = [value for one, value in zip(scored, paid, strict=True) if succeeded(one.episode)]
    bad = [value for one, value in zip(scored, paid, strict=True) if not succeeded(one.episode)]
    success_pays = statistics.fmean(good) - statistics.fmean(bad) if good and bad else None
    hacks = [] if not bad else find_hacks([one.episode for one in scored], paid)
    least = MATTERS * abs(success_pays) if success_pays else 0.0
    telling = tuple(hack for hack in hacks if hack.worth >= least)
    return Gaming(
        name=name,
        episodes=len(scored),
        success_pays=success_pays,
        prefers_success=preference(good, bad),
        hacks=telling,
        through={hack.behaviour: _payer(hack, scored, weights) for hack in telling},
        failures=_paid_failures(scored, paid, good),
    )


def total(one: ScoredEpisode) -> float:
    """What an episode earned in all."""
    return one.reward + sum(one.step_rewards)


def _payer(hack: Hack, scored: Sequence[ScoredEpisode], weights: Mapping[str, float]) -> str:
    """The component with the largest part of the reward's slope along the behaviour: slopes add up as rewards do."""
    counted = [BEHAVIOURS[hack.behaviour](one.episode) for one in scored]
    sign = 1 if hack.direction == "more" else -1

    def part(name: str) -> float:
        return sign * slope(counted, [weights[name] * (whole(one.components[name]) or 0.0) for one in scored])

    return max(weights, key=part, default="")


def _paid_failures(scored: Sequence[ScoredEpisode], paid: Sequence[float], good: Sequence[float]) -> tuple[Paid, ...]:
    if not good:
        return ()
    middle = statistics.median(good)
    better = [(v, one) for one, v in zip(scored, paid, strict=True) if v > middle and not succeeded(one.episode)]
    better.sort(key=lambda pair: -pair[0])
    return tuple(
        Paid(
            episode=one.episode.episode_id,
            reward=value,
            reply=next((turn.reply for turn in reversed(one.episode.turns) if turn.reply), ""),
        )
        for value, one in better[:NAMED]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A behaviour that learning has changed a great deal."""

    behaviour: str
    before: float
    after: float
    deviations: float
    """How far, in standard deviations."""

    def __str__(self) -> str:
        return f"{self.behaviour} went from {self.before:.3g} to {self.after:.3g}"


def grown(before: Sequence[Episode], after: Sequence[Episode]) -> list[Growth]:
    """Behaviours that moved far from the first episodes to the last, the farthest first. Few episodes say nothing."""
    if min(len(before), len(after)) < LEAST:
        return []
    found: list[Growth] = []
    for behaviour, count in BEHAVIOURS.items():
        a, b = [count(e) for e in before], [count(e) for e in after]
        spread = ((statistics.variance(a) + statistics.variance(b)) / 2) ** 0.5
        moved = statistics.fmean(b) - statistics.fmean(a)
        if abs(moved) > MOVED * spread and moved:
            deviations = moved / spread if spread else float("inf") * moved
            found.append(
                Growth(
                    behaviour=behaviour, before=statistics.fmean(a), after=statistics.fmean(b), deviations=deviations
                )
            )
    return sorted(found, key=lambda growth: -abs(growth.deviations))


def remarks(found: Gaming) -> list[str]:
    """What there is to say, a line each; how far pay follows success comes first."""
    lines: list[str] = []
    if found.prefers_success is not None and found.success_pays is not None:
        lines += [
            f"a success is paid {found.success_pays:+.3g} above a failure on average, "
            f"and more than a failure {100 * found.prefers_success:.0f} % of the time"
        ]
    for hack in found.hacks:
        payer = found.through.get(hack.behaviour, "")
        lines += [f"{hack}" + (f", most of it through {payer}" if payer else "")]
    lines += [f"failure {one.episode} was paid {one.reward:+.3g}: {one.reply}" for one in found.failures]
    return lines
