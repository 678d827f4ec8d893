"""Saying what somebody would have said: BLEU, chrF or ROUGE-L against a reference reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dialog_rl.episode import Episode
from dialog_rl.errors import ConfigError
from dialog_rl.scoring import Score
from dialog_rl_rewards.ratings import Ratings, at_replies

References = Callable[[Sequence[Episode]], Sequence[Sequence[str | None]]]
"""For each episode, a reference reply of each turn or None."""
EXTRA = "text-metrics"


class ReferenceText:
    """How near each reply is to its reference, in [0, 1], paid at the reply; abstains where there is no reference.

    `measure` is bleu (sentence level, smoothed), chrf or rouge (ROUGE-L F1). References come from the program or,
    where it has none, from the corrections that people wrote when rating.
    """

    def __init__(
        self, *, measure: str = "chrf", references: References | None = None, ratings: Ratings | None = None
    ) -> None:
        if measure not in _MEASURES:
            raise ConfigError(f"measure {measure!r} is not known; there is {', '.join(_MEASURES)}")
        if references is None and ratings is None:
            raise ConfigError("reference_text needs references or ratings, and this command has neither")
        self._similarity = _MEASURES[measure]()
        self._references, self._ratings = references, ratings

    def score(self, episodes: Sequence[Episode]) -> list[Score]:
        references = self._references(episodes) if self._references is not None else self._corrections(episodes)
        return [self._score(episode, texts) for episode, texts in zip(episodes, references, strict=True)]

    def _corrections(self, episodes: Sequence[Episode]) -> list[list[str | None]]:
        assert self._ratings is not None
        found: list[list[str | None]] = []
        for episode, ratings in zip(episodes, self._ratings(episodes), strict=True):
            texts: list[str | None] = [None] * len(episode.turns)
            for rating in ratings:
                if rating.correction and rating.turn is not None and rating.turn < len(texts):
                    texts[rating.turn] = rating.correction
            found.append(texts)
        return found

    def _score(self, episode: Episode, references: Sequence[str | None]) -> Score:
        near = {
            number: self._similarity(turn.reply, reference)
            for number, (turn, reference) in enumerate(zip(episode.turns, references, strict=False))
            if reference and turn.steps
        }
        if not near:
            return Score(value=None, reason="no reference")
        return Score(value=None, per_step=at_replies(episode, near), reason=f"{len(near)} replies compared")


def _bleu() -> Callable[[str, str], float]:
    bleu = _library("sacrebleu").BLEU(effective_order=True, tokenize="intl")
    cjk = _library("sacrebleu").BLEU(effective_order=True, tokenize="zh")
    return lambda reply, ref: _unit((cjk if _is_cjk(ref) else bleu).sentence_score(reply, [ref]).score / 100)


def _chrf() -> Callable[[str, str], float]:
    chrf = _library("sacrebleu").CHRF()
    return lambda reply, ref: _unit(chrf.sentence_score(reply, [ref]).score / 100)


class _Characters:
    """ROUGE's own tokenizer drops everything but Latin letters and digits."""

    def tokenize(self, text: str) -> list[str]:
        return [char for char in text.lower() if not char.isspace()]


def _rouge() -> Callable[[str, str], float]:
    scorer = _library("rouge_score.rouge_scorer").RougeScorer
    words, characters = scorer(["rougeL"]), scorer(["rougeL"], tokenizer=_Characters())
    return lambda reply, ref: _unit((characters if _is_cjk(ref) else words).score(ref, reply)["rougeL"].fmeasure)


_MEASURES: dict[str, Callable[[], Callable[[str, str], float]]] = {"bleu": _bleu, "chrf": _chrf, "rouge": _rouge}


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as e:
        raise ConfigError(f"reference_text needs {e.name}: pip install 'dialog_rl[{EXTRA}]'") from e


def _is_cjk(text: str) -> bool:
    return any("\u3040" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff" for char in text)


def _unit(value: float) -> float:
    return min(1.0, max(0.0, float(value)))
