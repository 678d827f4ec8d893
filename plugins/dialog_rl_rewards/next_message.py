"""What the customer's next message says about the reply before it: thanks, complaint, repetition, correction, leaving.

Rules for what is said outright, a small classifier for the rest, and silence where neither is sure.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

from dialog_rl.episode import Episode
from dialog_rl.scoring import Score
from dialog_rl_rewards.next_message_examples import EXAMPLES
from dialog_rl_rewards.ratings import Ratings, at_replies, standing

VALUES: Mapping[str, float] = {
    "thanks": 1.0, "complaint": -1.0, "repetition": -0.5, "correction": -0.5, "giving_up": -1.0,
}  # fmt: skip
"""What each label says about the reply; neutral says nothing."""
_RULES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (label, re.compile(pattern))
    for label, pattern in (
        (
            "giving_up",
            r"\b(?:forget it|never ?mind|i give up|going nowhere|(?:real|actual) (?:person|human)|to a human)\b"
            r"|算了|转人工|人工客服|放弃了?",
        ),
        (
            "repetition",
            r"\b(?:i (?:have )?(?:already|just) (?:told|said|gave|answered|mentioned)|as i (?:said|told)"
            r"|like i said|you (?:already )?asked (?:me )?that)\b"
            r"|(?:说|问|告诉)过了|刚才(?:说|告诉)|已经(?:说|告诉)|再说一遍|好几遍",
        ),
        (
            "complaint",
            r"\b(?:ridiculous|unacceptable|not acceptable|terrible|useless|horrible|worst|disappointed|annoyed"
            r"|frustrat\w+|complain\w*|rip-?off)\b|投诉|太差|太慢|太过分|差劲|不满意|生气",
        ),
        (
            "correction",
            r"^(?:no+|nope|wrong)\b[,.! ]+(?:that|it|not|i (?:said|meant)|the)\b|\b(?:i meant|not what i (?:meant"
            r"|asked|said)|misunderstood|(?:that'?s|that is|it'?s) (?:wrong|not right|incorrect))\b"
            r"|^不对|弄错|搞错|理解错"
            r"|^错了|不是这个",
        ),
        ("thanks", r"\b(?:thanks|thank you|thx|cheers|much appreciated|appreciate (?:it|that|your))\b|谢谢|感谢|多谢"),
    )
)  # fmt: skip
"""In order of weight: somebody who gives up politely has given up."""
_TOKEN = re.compile(r"[a-z']+|\d+|[\u3400-\u9fff]")
_LIMIT = 2000


class NextMessage:
    """`worth` times what the customer's next message says, paid at the reply before it; abstains when unsure.

    Keep `worth` below what an explicit rating pays. A turn that somebody rated is left to the rating.
    """

    def __init__(self, *, worth: float = 0.3, sure: float = 0.9, ratings: Ratings | None = None) -> None:
        """`sure` is the least posterior probability at which the classifier is believed."""
        if not 0.5 <= sure <= 1:
            raise ValueError(f"sure must be between 0.5 and 1, not {sure}")
        self._worth, self._sure, self._ratings = worth, sure, ratings

    def score(self, episodes: Sequence[Episode]) -> list[Score]:
        ratings = self._ratings(episodes) if self._ratings is not None else [()] * len(episodes)
        return [self._score(episode, set(standing(of))) for episode, of in zip(episodes, ratings, strict=True)]

    def _score(self, episode: Episode, rated: set[int | None]) -> Score:
        said = [turn.user.text for turn in episode.turns]
        labels = {
            number - 1: label
            for number in range(1, len(said))
            if number - 1 not in rated and (label := read(said[number], said[:number], self._sure)) in VALUES
        }
        if not labels:
            return Score(value=None, reason="nothing said about a reply")
        steps = at_replies(episode, {turn: self._worth * VALUES[label] for turn, label in labels.items()})
        return Score(value=None, per_step=steps, reason=", ".join(f"{n + 1}: {label}" for n, label in labels.items()))


def read(text: str, before: Sequence[str] = (), sure: float = 0.9) -> str:
    """The label of a message, given the customer's earlier ones; "neutral" or "" (unsure) say nothing."""
    lowered = text[:_LIMIT].lower().replace("\u2019", "'").strip()
    for label, pattern in _RULES:
        if pattern.search(lowered):
            return label
    if _repeats(lowered, before):
        return "repetition"
    label, probability = classify(lowered)
    return label if probability >= sure else ""


def _repeats(text: str, before: Sequence[str]) -> bool:
    """The same again: at least four tokens, nine in ten of them in one earlier message and the other way round."""
    tokens = Counter(_TOKEN.findall(text))
    if tokens.total() < 4:
        return False
    for earlier in before:
        other = Counter(_TOKEN.findall(earlier[:_LIMIT].lower()))
        if 2 * (tokens & other).total() >= 0.9 * (tokens.total() + other.total()):
            return True
    return False


def classify(text: str) -> tuple[str, float]:
    """The likeliest label by naive Bayes over words and neighbours, and its posterior probability."""
    counts, totals, vocabulary = _trained()
    features = [f for f in _features(text) if any(f in of for of in counts.values())]
    if not features:
        return "neutral", 0.0
    logs = {
        label: sum(math.log((of[f] + 0.3) / (totals[label] + 0.3 * vocabulary)) for f in features)
        for label, of in counts.items()
    }
    top = max(logs.values())
    weights = {label: math.exp(value - top) for label, value in logs.items()}
    best = max(weights, key=lambda label: weights[label])
    return best, weights[best] / sum(weights.values())


@lru_cache(maxsize=1)
def _trained() -> tuple[dict[str, Counter[str]], dict[str, int], int]:
    counts = {label: Counter(f for line in _lines(label) for f in _features(line)) for label in EXAMPLES}
    vocabulary = len(set().union(*counts.values()))
    return counts, {label: of.total() for label, of in counts.items()}, vocabulary


def _lines(label: str) -> list[str]:
    return [line.lower() for line in EXAMPLES[label].strip().splitlines()]


def _features(text: str) -> list[str]:
    tokens = ["#" if token.isdigit() else token for token in _TOKEN.findall(text[:_LIMIT])]
    padded = ["^", *tokens, "$"]
    return tokens + [f"{a} {b}" for a, b in zip(padded, padded[1:], strict=False)]
