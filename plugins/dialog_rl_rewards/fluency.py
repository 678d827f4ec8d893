"""Speaking well: like the reference policy, without repetition and broken markup. A penalty in [-1, 0]."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from dialog_rl.episode import Episode
from dialog_rl.scoring import Score

Reference = Callable[[Sequence[Episode]], Sequence[Sequence[float | None]]]
"""Mean log-likelihood of each Step's action tokens under the reference policy, in nats a token, one list an episode."""

_WORD = re.compile(r"[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""A word, or one character of a script that is written without spaces."""
_MARKUP = re.compile(r"<\|?/?[a-z_]*\|?>|\{\s*\"|\"\s*:|\}\s*$|\uFFFD|&[a-z]+;|\[/?[A-Z]{2,}\]|^\s*[,.;:]")


class Fluency:
    """Minus the mean of the agent's faults, each in [0, 1].

    unlikely: an action's length-normalised log-likelihood under the reference, from `fluent` (no fault) to `garbled`
    nats a token (full fault), where there is a reference; repeated: 3-grams said twice in one reply, and whole replies
    said before; monotonous: distinct bigrams below half of all; broken: unreadable calls, control markup or JSON said
    aloud.
    Abstains where the agent never acted.
    """

    def __init__(self, *, reference: Reference | None = None, fluent: float = -1.0, garbled: float = -4.0) -> None:
        if garbled >= fluent:
            raise ValueError(f"garbled ({garbled}) must be below fluent ({fluent}): both are nats a token")
        self._reference, self._fluent, self._garbled = reference, fluent, garbled

    def score(self, episodes: Sequence[Episode]) -> list[Score]:
        likelihoods = self._reference(episodes) if self._reference is not None else [None] * len(episodes)
        return [self._score(episode, steps) for episode, steps in zip(episodes, likelihoods, strict=True)]

    def _score(self, episode: Episode, likelihoods: Sequence[float | None] | None) -> Score:
        replies = [turn.reply for turn in episode.turns if turn.reply]
        actions = sum(1 for _ in episode.steps)
        if not actions:
            return Score(value=None, reason="the agent never acted")
        faults = {
            "repeated": repetition(replies),
            "monotonous": monotony(replies),
            "broken": broken(episode),
        }
        known = [value for value in likelihoods or () if value is not None]
        if known:
            faults["unlikely"] = self._unlikely(known)
        value = -sum(faults.values()) / len(faults)
        return Score(value=value, reason=", ".join(f"{name} {fault:.2f}" for name, fault in faults.items()))

    def _unlikely(self, likelihoods: Sequence[float]) -> float:
        span = self._fluent - self._garbled
        return sum(min(1.0, max(0.0, (self._fluent - value) / span)) for value in likelihoods) / len(likelihoods)


def words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text[:20_000])]


def repetition(replies: Sequence[str]) -> float:
    """Share of replies said before in this episode, or the share of 3-grams said twice within one: the larger."""
    if not replies:
        return 0.0
    seen = [" ".join(words(reply)) for reply in replies]
    copies = 1 - len(set(seen)) / len(seen)
    twice = [1 - _distinct(words(reply), 3) for reply in replies]
    return max(copies, sum(twice) / len(twice))


def monotony(replies: Sequence[str]) -> float:
    """0 while at least half of all the episode's bigrams are distinct, rising to 1."""
    distinct = _distinct([word for reply in replies for word in words(reply)], 2)
    return max(0.0, 1 - 2 * distinct)


def broken(episode: Episode) -> float:
    """Share of actions that are unreadable calls or say markup aloud."""
    steps = list(episode.steps)
    bad = sum(bool(s.message.malformed) or (s.message.tool_call is None and _is_broken(s.message.text)) for s in steps)
    return bad / len(steps) if steps else 0.0


def _is_broken(text: str) -> bool:
    head = text[:20_000]
    unbalanced = any(head.count(a) != head.count(b) for a, b in ("()", "[]"))
    return not head.strip() or unbalanced or bool(_MARKUP.search(head))


def _distinct(tokens: Sequence[str], n: int) -> float:
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0
