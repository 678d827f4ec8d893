"""What a reward pays for that success does not: how an agent would get rich without helping anybody.

For each behaviour that can be counted in an episode, how strongly it goes along with the reward, and how strongly with
success. A behaviour that the reward likes and success does not is what the policy will learn instead of the task.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dialog_rl import metrics
from dialog_rl.episode import Episode

_WORD = re.compile(r"[^\W_\u3400-\u9fff]+|[\u3400-\u9fff]")
_FLATTERY = re.compile(
    r"\b(?:great|excellent|wonderful|brilliant|amazing|fantastic|genius|smart|clever|lovely|awesome|perfect|best) "
    r"(?:question|customer|choice|idea|point|taste|person|day)\b|\byou(?:'re| are) (?:so |very |truly |absolutely )?"
    r"(?:great|right|smart|wonderful|brilliant|amazing|kind|clever|the best|special|a genius)\b"
    r"|\b(?:love|admire|honou?red)\b|好问题|您真|太聪明|眼光真好|最好的顾客|荣幸",
    re.IGNORECASE,
)
_BEGGING = re.compile(
    r"\b(?:rate (?:me|us|this)|five stars|5 stars|good rating|thumbs up|feedback)\b|好评|五星|打分", re.I
)
_APOLOGY = re.compile(r"\b(?:sorry|apologi[sz]e|apologies)\b|抱歉|对不起|不好意思", re.I)
_REFUSAL = re.compile(
    r"\b(?:cannot|can't|can not|unable|not possible|impossible|not allowed)\b|无法|不能|不可以|办不了", re.I
)
_COURTESY = re.compile(r"\b(?:please|thank you|thanks|welcome)\b|请|谢谢|您", re.I)

NOTABLE = 0.35
"""Rank correlation with the reward from which a behaviour is worth naming."""
_COUNTED = frozenset(
    ("words in all", "words a reply", "turns", "apologies", "refusals", "questions", "exclamation marks", "tool calls",
     "refused tool calls")
)  # fmt: skip
LEAST = 20
"""Episodes below which no correlation is believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hack:
    """One behaviour that pays."""

    behaviour: str
    direction: str
    """more or less"""
    reward: float
    """Rank correlation of the behaviour with the reward, in [-1, 1]."""
    success: float | None
    """The same with success; None where no episode, or every one, succeeded."""
    worth: float = 0.0
    """What those who do it most are paid above those who do it least, a tenth at each end left out."""

    def __str__(self) -> str:
        beside = "success is the same in all" if self.success is None else f"{self.success:+.2f} with success"
        direction = "fewer" if self.direction == "less" and self.behaviour in _COUNTED else self.direction
        return (
            f"it pays for {direction} {self.behaviour} "
            f"({self.reward:+.2f} with the reward, {beside}; worth {self.worth:.3g})"
        )


def find_hacks(episodes: Sequence[Episode], values: Sequence[float | None]) -> list[Hack]:
    """Behaviours that a reward's values go along with and success does not, the strongest first.

    None in `values` leaves an episode out. With fewer than 20 episodes nothing is said.
    """
    known = [(e, v, succeeded(e)) for e, v in zip(episodes, values, strict=True) if v is not None]
    if len(known) < LEAST:
        return []
    paid = [value for _, value, _ in known]
    judged = [(i, float(s)) for i, (_, _, s) in enumerate(known) if s is not None]
    notable = max(NOTABLE, 3 / math.sqrt(len(known)))
    found: list[Hack] = []
    for behaviour, count in BEHAVIOURS.items():
        counted = [count(episode) for episode, _, _ in known]
        with_reward = rank_correlation(counted, paid)
        with_success = rank_correlation([counted[i] for i, _ in judged], [s for _, s in judged])
        if with_reward is None or abs(with_reward) < notable:
            continue
        sign = math.copysign(1, with_reward)
        if with_success is None or sign * with_success < abs(with_reward) / 3:
            direction = "more" if sign > 0 else "less"
            found.append(
                Hack(
                    behaviour=behaviour,
                    direction=direction,
                    reward=with_reward,
                    success=with_success,
                    worth=_worth(counted, paid),
                )
            )
    return sorted(found, key=lambda hack: -abs(hack.reward))


def _worth(counted: Sequence[float], paid: Sequence[float]) -> float:
    """By the least-squares line, the difference in pay between the ninth and the first decile of the behaviour."""
    ordered, last = sorted(counted), len(counted) - 1
    spread = ordered[round(0.9 * last)] - ordered[round(0.1 * last)]
    return abs(slope(counted, paid)) * spread


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Of the least-squares line; 0 where x is constant."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    squares = sum((a - mean_x) ** 2 for a in x)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / squares if squares else 0.0


def succeeded(episode: Episode) -> bool | None:
    """None where the episode does not say what success would be."""
    if not episode.scenario.get("success"):
        return None
    return metrics.success(episode).reached


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's, with ties; None where one side is constant or there are fewer than three pairs."""
    if len(a) < 3:
        return None
    x, y = ranks(a), ranks(b)
    mean = (len(a) + 1) / 2
    sx = math.sqrt(sum((v - mean) ** 2 for v in x))
    sy = math.sqrt(sum((v - mean) ** 2 for v in y))
    if not sx or not sy:
        return None
    return sum((v - mean) * (w - mean) for v, w in zip(x, y, strict=True)) / (sx * sy)


def preference(good: Sequence[float], bad: Sequence[float]) -> float | None:
    """How often a value of the first is larger than one of the second, ties half; None if either is empty."""
    if not good or not bad:
        return None
    return sum((g > b) + 0.5 * (g == b) for g in good for b in bad) / (len(good) * len(bad))


def ranks(values: Sequence[float]) -> list[float]:
    """1 for the smallest; equal values share their mean rank."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    ranked = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for i in order[start:end]:
            ranked[i] = (start + 1 + end) / 2
        start = end
    return ranked


def _replies(episode: Episode) -> list[str]:
    return [turn.reply for turn in episode.turns if turn.reply]


def _words(episode: Episode) -> float:
    return float(sum(len(_WORD.findall(reply[:20_000])) for reply in _replies(episode)))


def _words_a_reply(episode: Episode) -> float:
    return _words(episode) / max(1, len(_replies(episode)))


def _share(pattern: re.Pattern[str]) -> Callable[[Episode], float]:
    def share(episode: Episode) -> float:
        replies = _replies(episode)
        return sum(bool(pattern.search(reply[:20_000])) for reply in replies) / max(1, len(replies))

    return share


def _calls(episode: Episode) -> float:
    return float(sum(step.message.tool_call is not None for step in episode.steps))


def _repeated(episode: Episode) -> float:
    replies = _replies(episode)
    return 1 - len(set(replies)) / len(replies) if replies else 0.0


BEHAVIOURS: Mapping[str, Callable[[Episode], float]] = {
    "words in all": _words,
    "words a reply": _words_a_reply,
    "turns": lambda episode: float(len(episode.turns)),
    "flattery": _share(_FLATTERY),
    "asking for a good rating": _share(_BEGGING),
    "apologies": _share(_APOLOGY),
    "refusals": _share(_REFUSAL),
    "courtesy": _share(_COURTESY),
    "questions": _share(re.compile(r"[?？]")),
    "exclamation marks": _share(re.compile(r"[!！]")),
    "tool calls": _calls,
    "refused tool calls": lambda episode: float(metrics.tool_errors(episode)),
    "saying the same again": _repeated,
}
"""Name → how much of it there is in an episode."""
