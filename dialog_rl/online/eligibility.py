"""Which conversations may be learnt from, and why the others may not: a pure function of logged facts.

Nothing is ever left out in silence. A conversation that is not used has a reason, and `learn status` counts them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from dialog_rl.chat.setting import LEARNABLE
from dialog_rl.episode import StopReason
from dialog_rl.online.ledger import Facts

TRAIN_SPLIT = "train"


class Why(StrEnum):
    """Why a conversation is not learnt from. The first that holds is told."""

    QUARANTINED = "quarantined"
    UNFINISHED = "unfinished"
    BROKEN = "broken off"
    UNRATED = "not rated"
    NOT_ASKED = "nobody was asked for consent"
    REFUSED = "consent refused"
    HELD_OUT = "held out for tests"
    FOREIGN = "spoken by a foreign model"
    GONE = "its version is no longer kept"
    STALE = "too stale"
    TOKENIZER = "other tokenizer"
    TEMPERATURE = "other temperature"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a conversation is judged by, beside its own facts."""

    tokenizer: str
    """Fingerprint of the tokens that the policy in training writes."""
    champions: tuple[str, ...]
    """Every version that was champion, oldest first; one that became it again stands there again."""
    kept: Collection[str]
    """Versions that are in the store, so that what they said can be checked."""
    max_lag: int = 4
    """Promotions since the version that spoke."""
    temperature: float = LEARNABLE
    """Ids drawn at another temperature, or greedily, are no sample of the policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    why: Why | None
    """None: it may be learnt from."""
    detail: str = ""

    @property
    def eligible(self) -> bool:
        return self.why is None


ELIGIBLE = Judgement(why=None)


def judge(facts: Facts, rules: Rules) -> Judgement:
    """Whether one conversation may be learnt from."""
    if facts.quarantined:
        return Judgement(why=Why.QUARANTINED, detail=facts.quarantined)
    if not facts.finished:
        return Judgement(why=Why.UNFINISHED, detail="it is going on, or was killed and can be resumed")
    if not StopReason(facts.stop).trainable:
        return Judgement(why=Why.BROKEN, detail=f"it ended as {facts.stop}")
    return _judge_partner(facts) or _judge_speaker(facts, rules) or ELIGIBLE


def _judge_partner(facts: Facts) -> Judgement | None:
    if not facts.live:
        if facts.split and facts.split != TRAIN_SPLIT:
            return Judgement(why=Why.HELD_OUT, detail=f"a simulated customer of the split {facts.split}")
        return None
    if not facts.ratings:
        return Judgement(why=Why.UNRATED, detail="a rating is missing, which is not a rating of 0")
    if facts.consent is None:
        return Judgement(why=Why.NOT_ASKED, detail="what is said is kept, but not learnt from, unless somebody agrees")
    if not facts.consent:
        return Judgement(why=Why.REFUSED)
    return None


def _judge_speaker(facts: Facts, rules: Rules) -> Judgement | None:
    for version in facts.versions:
        if version not in rules.champions:
            return Judgement(
                why=Why.FOREIGN, detail=f"{version or 'a model without a version'} was never champion here"
            )
        if (lag := lag_of(version, rules.champions)) > rules.max_lag:
            return Judgement(why=Why.STALE, detail=f"{version} spoke, {lag} promotions ago; at most {rules.max_lag}")
        if version not in rules.kept:
            return Judgement(why=Why.GONE, detail=f"{version} cannot be asked whether it said this")
    if not facts.versions:
        return Judgement(why=Why.FOREIGN, detail="no step of it was spoken by a policy")
    if facts.tokenizer != rules.tokenizer:
        return Judgement(why=Why.TOKENIZER, detail=f"written in tokens {facts.tokenizer or '?'}, not {rules.tokenizer}")
    if facts.temperature != rules.temperature:
        spoken = "greedily" if facts.temperature == 0 else f"at temperature {facts.temperature:g}"
        return Judgement(why=Why.TEMPERATURE, detail=f"spoken {spoken}; learning is at {rules.temperature:g}")
    return None


def lag_of(version: str, champions: tuple[str, ...]) -> int:
    """How many promotions came after a version was last champion."""
    return list(reversed(champions)).index(version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The conversations that wait, sorted by what becomes of them."""

    queued: tuple[Facts, ...]
    """Rated conversations with people that may be learnt from, in the order in which they ended."""
    simulated: tuple[Facts, ...]
    """Logged conversations with simulated customers that may be."""
    refused: Mapping[Why, int]
    examples: Mapping[Why, str]
    """Of each reason one conversation with the detail."""


def summarise(waiting: Iterable[Facts], rules: Rules) -> Summary:
    queued: list[Facts] = []
    simulated: list[Facts] = []
    refused: Counter[Why] = Counter()
    examples: dict[Why, str] = {}
    for facts in waiting:
        judgement = judge(facts, rules)
        if judgement.why is None:
            (queued if facts.live else simulated).append(facts)
            continue
        refused[judgement.why] += 1
        detail = f": {judgement.detail}" if judgement.detail else ""
        examples[judgement.why] = f"{facts.episode_id}{detail}"
    return Summary(
        queued=tuple(sorted(queued, key=lambda f: f.finished)),
        simulated=tuple(sorted(simulated, key=lambda f: f.finished)),
        refused={why: refused[why] for why in Why if why in refused},
        examples=examples,
    )
