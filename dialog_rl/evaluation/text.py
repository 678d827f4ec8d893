"""How replies read, apart from what they achieve: length, variety, likelihood, and nearness to what another said."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dialog_rl.episode import Episode
from dialog_rl.errors import ConfigError

EXTRA = "text-metrics"
SELF_BLEU_SAMPLE = 200
"""Replies that are compared with each other at most: their number enters squared."""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|[^\w\s]")
"""A word, one character of a script without spaces, or a mark."""

Likelihoods = Callable[[Sequence[Episode]], Sequence[Sequence[float | None]]]
"""Mean log-likelihood of each step's action, in nats a token."""


def words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def replies(episodes: Sequence[Episode]) -> list[str]:
    return [turn.reply for episode in episodes for turn in episode.turns if turn.reply]


def length(said: Sequence[str]) -> float:
    """Words a reply."""
    return sum(len(words(text)) for text in said) / len(said) if said else math.nan


def distinct(said: Sequence[str], n: int) -> float:
    """Share of all n-grams that are different from each other. Source: Li et al. 2016, arXiv:1510.03055."""
    grams = [tuple(w[i : i + n]) for w in map(words, said) for i in range(len(w) - n + 1)]
    return len(set(grams)) / len(grams) if grams else math.nan


def self_bleu(said: Sequence[str]) -> float:
    """Mean BLEU of a reply against the others, in [0, 1]: 1 says the same again and again. Source: Zhu et al. 2018."""
    some = said[:: max(1, -(-len(said) // SELF_BLEU_SAMPLE))]
    if len(some) < 2:
        return math.nan
    bleu = _bleu()
    return sum(bleu(text, [*some[:n], *some[n + 1 :]]) for n, text in enumerate(some)) / len(some)


def perplexity(episodes: Sequence[Episode], likelihoods: Likelihoods) -> float:
    """e to the mean negative log-likelihood of an action's tokens, each action counted by its tokens."""
    total = tokens = 0.0
    for episode, steps in zip(episodes, likelihoods(episodes), strict=True):
        for step, value in zip(episode.steps, steps, strict=True):
            if value is not None:
                total -= value * len(step.action_ids)
                tokens += len(step.action_ids)
    return math.exp(total / tokens) if tokens else math.nan


def nearness(episodes: Sequence[Episode], references: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """BLEU, chrF and ROUGE-L of each reply against what was said to the same customer, in [0, 1], on average.

    references: scenario id → replies. A reply counts against whichever of them it is nearest to.
    """
    measures = {"bleu": _bleu(), "chrf": _chrf(), "rouge_l": _rouge()}
    pairs = [
        (turn.reply, list(theirs))
        for episode in episodes
        if (theirs := references.get(scenario_id(episode)))
        for turn in episode.turns
        if turn.reply
    ]
    return {
        name: sum(measure(text, theirs) for text, theirs in pairs) / len(pairs) if pairs else math.nan
        for name, measure in measures.items()
    }


def scenario_id(episode: Episode) -> str:
    return str(episode.scenario.get("id", ""))


def by_customer(episodes: Sequence[Episode]) -> dict[str, list[str]]:
    """What was said to each customer: references for `nearness`."""
    said: dict[str, list[str]] = {}
    for episode in episodes:
        said.setdefault(scenario_id(episode), []).extend(replies([episode]))
    return said


def figures(
    episodes: Sequence[Episode],
    *,
    references: Mapping[str, Sequence[str]] | None = None,
    likelihoods: Likelihoods | None = None,
) -> dict[str, float]:
    """Every figure that can be had: NaN where there is nothing to measure. Raises ConfigError without the extra."""
    said = replies(episodes)
    found = {
        "words a reply": length(said), "distinct-1": distinct(said, 1), "distinct-2": distinct(said, 2),
        "self-BLEU": self_bleu(said),
    }  # fmt: skip
    if likelihoods is not None:
        found["perplexity"] = perplexity(episodes, likelihoods)
    if references is not None:
        names = {"bleu": "BLEU", "chrf": "chrF", "rouge_l": "ROUGE-L"}
        found |= {names[name]: value for name, value in nearness(episodes, references).items()}
    return found


Measure = Callable[[str, Sequence[str]], float]


def _bleu() -> Measure:
    bleu = _library("sacrebleu").BLEU(effective_order=True, tokenize="none")
    return lambda text, refs: bleu.sentence_score(_spaced(text), [_spaced(r) for r in refs]).score / 100


def _chrf() -> Measure:
    chrf = _library("sacrebleu").CHRF()
    return lambda text, refs: chrf.sentence_score(text, list(refs)).score / 100


class _Words:
    def tokenize(self, text: str) -> list[str]:
        return words(text)


def _rouge() -> Measure:
    scorer = _library("rouge_score.rouge_scorer").RougeScorer(["rougeL"], tokenizer=_Words())
    return lambda text, refs: max(scorer.score(reference, text)["rougeL"].fmeasure for reference in refs)


def _spaced(text: str) -> str:
    return " ".join(words(text))


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as e:
        raise ConfigError(f"measures of text need {e.name}: pip install 'dialog_rl[{EXTRA}]'") from e
