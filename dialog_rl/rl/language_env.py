"""The smallest language task: say a sentence word by word, where each word is judged by the one before it.

It is the problem on which Q-learning on words can be checked by hand, for all its values are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageEnv:
    """Sentences of `length` words. A state is how many words were said, and the last of them.

    `rewards_SV[u, w]` is what word w earns after word u - 1; row 0 is the beginning of the sentence.
    """

    words: tuple[str, ...]
    length: int
    rewards_SV: Tensor

    def __post_init__(self) -> None:
        count = len(self.words)
        if not count or self.length < 1 or self.rewards_SV.shape != (count + 1, count):
            raise ValueError(
                f"{count} words, length {self.length}, rewards {list(self.rewards_SV.shape)}: expected at least one "
                f"word, a length of at least 1, and rewards [{count + 1}, {count}]"
            )

    @property
    def states(self) -> int:
        """Terminal ones left out."""
        return 1 + (self.length - 1) * len(self.words)

    def state(self, said: Sequence[int]) -> int | None:
        """The number of the state after some words; None when the sentence is finished."""
        if len(said) >= self.length:
            return None
        return 0 if not said else 1 + (len(said) - 1) * len(self.words) + said[-1]

    def step(self, state: int, word: int) -> tuple[float, int | None]:
        """What saying a word earns, and the state after it; None after the last word."""
        count = len(self.words)
        said, last = (0, 0) if state == 0 else ((state - 1) // count + 1, (state - 1) % count + 1)
        return float(self.rewards_SV[last, word]), None if said + 1 == self.length else 1 + said * count + word

    def tables(self) -> tuple[Tensor, Tensor]:
        """Rewards and next states of every state and word; the next state of a finished sentence is -1."""
        rewards_SV, next_SV = torch.zeros(self.states, len(self.words)), torch.full((self.states, len(self.words)), -1)
        for state in range(self.states):
            for word in range(len(self.words)):
                rewards_SV[state, word], after = self.step(state, word)
                next_SV[state, word] = -1 if after is None else after
        return rewards_SV, next_SV

    def say(self, q_SV: Tensor) -> tuple[tuple[str, ...], float]:
        """The sentence that is greedy in Q, and what it earns."""
        state: int | None = 0
        said: list[str] = []
        earned = 0.0
        while state is not None:
            word = int(q_SV[state].argmax())
            reward, state = self.step(state, word)
            said.append(self.words[word])
            earned += reward
        return tuple(said), earned


def i_love_you() -> LanguageEnv:
    """我, 爱, 你: one point for each word that follows the right one, so 我爱你 earns 3 and nothing earns more."""
    rewards_SV = torch.zeros(4, 3)
    for before, word in enumerate(range(3)):
        rewards_SV[before, word] = 1.0
    return LanguageEnv(words=("我", "爱", "你"), length=3, rewards_SV=rewards_SV)


def generated(words: int, length: int, *, seed: int) -> LanguageEnv:
    """A language of made-up words whose pairs earn uniform random points in [0, 1)."""
    rewards_SV = torch.rand(words + 1, words, generator=torch.Generator().manual_seed(seed))
    return LanguageEnv(words=tuple(_word(n) for n in range(words)), length=length, rewards_SV=rewards_SV)


def _word(number: int) -> str:
    onsets, vowels = "bdfgklmnprstvz", "aeiou"
    said = ""
    while True:
        number, syllable = divmod(number, len(onsets) * len(vowels))
        said += onsets[syllable // len(vowels)] + vowels[syllable % len(vowels)]
        if number == 0:
            return said
