"""Slot filling: which words of a customer's message are the order number, the colour, the name.

The examples are a pack's own: its simulated customers know which values they say, and where these stand in the text.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dialog_rl.episode import Message
from dialog_rl.errors import ConfigError
from dialog_rl.expert import Expert
from dialog_rl.goals import make_scenario
from dialog_rl.mistakes import NONE
from dialog_rl.rl.tagging import ClassReport, Sentence, Tagger, classification_report, entities, practise, teach
from dialog_rl.seeds import derive, generator
from dialog_rl.staging import Stage

FEATURES = 1 << 14
"""Features are hashed into so many numbers."""
_TOKEN = re.compile(r"\d+|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\d_]+|[^\w\s]")
_BEYOND = "<>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    text: str
    spans: tuple[tuple[str, int, int], ...]
    """Slot, first character, one past the last."""


def utterances(stages: Sequence[Stage], count: int, *, seed: int, split: str, phrasing: str) -> list[Utterance]:
    """What simulated customers say to the expert, with the values that they told, conversation after conversation."""
    found: list[Utterance] = []
    number = 0
    while len(found) < count:
        stage, own = stages[number % len(stages)], derive(seed, "slots", split, number)
        scenario = make_scenario(stage.pack, own, split=split, phrasing=phrasing)
        conversation = stage.conversation(scenario, own, episode_id=f"slots-{number}")
        expert = Expert(stage.pack, generator(own, "expert"), NONE)
        while conversation.stopped is None:
            conversation.act(expert.act(conversation.unobserved()))
        found += [utterance(turn.user) for turn in conversation.episode().turns]
        number += 1
        if number > 20 * count:
            raise ConfigError(f"{number} conversations with customers gave only {len(found)} messages")
    return found[:count]


def utterance(message: Message) -> Utterance:
    """A customer's message with the places of the values that its acts tell."""
    spans: list[tuple[str, int, int]] = []
    for act in message.acts:
        if act.kind in ("inform", "correct") and act.slot and act.value:
            at = message.text.lower().find(act.value.lower())
            if at >= 0 and all(at >= end or at + len(act.value) <= start for _, start, end in spans):
                spans.append((act.slot, at, at + len(act.value)))
    return Utterance(text=message.text, spans=tuple(spans))


def sentence(given: Utterance, slots: Sequence[str]) -> Sentence:
    tokens = [(match.group(), match.start(), match.end()) for match in _TOKEN.finditer(given.text)]
    words = [word for word, _, _ in tokens]
    tags: list[int] = []
    for _, start, end in tokens:
        inside = next((s for s in given.spans if start >= s[1] and end <= s[2] and s[0] in slots), None)
        tags.append(0 if inside is None else 2 * slots.index(inside[0]) + (1 if start == inside[1] else 2))
    return Sentence(features=tuple(_features(words, n) for n in range(len(words))), tags=tuple(tags))


def _features(words: Sequence[str], n: int) -> tuple[int, ...]:
    """Of a token and its neighbours: the word, its shape, how it begins and ends."""

    def of() -> Iterator[str]:
        for offset in (-2, -1, 0, 1, 2):
            at = n + offset
            word = words[at] if 0 <= at < len(words) else _BEYOND
            yield f"{offset} word {word.lower()}"
            yield f"{offset} shape {_shape(word)}"
            if abs(offset) < 2:
                yield f"{offset} begins {word[:3].lower()}"
                yield f"{offset} ends {word[-3:].lower()}"

    return tuple(zlib.crc32(name.encode()) % FEATURES for name in of())


def _shape(word: str) -> str:
    if word.isdigit():
        return f"{len(word)} digits"
    return "Xx" if word[:1].isupper() else "x" if word.islower() else word


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotStudy:
    slots: tuple[str, ...]
    before: tuple[ClassReport, ...]
    """On held-out wording, after the supervised phase."""
    after: tuple[ClassReport, ...]
    """And after the phase of policy gradient."""
    losses: tuple[float, ...]
    rewards: tuple[float, ...]


def study(stages: Sequence[Stage], *, examples: int, practice: int, held_out: int, epochs: int, seed: int) -> SlotStudy:
    """A tagger from few examples, made better by policy gradient on other messages; measured on new wording."""
    taught = utterances(stages, examples, seed=derive(seed, "examples"), split="train", phrasing="train")
    others = utterances(stages, practice, seed=derive(seed, "practice"), split="train", phrasing="train")
    tested = utterances(stages, held_out, seed=derive(seed, "test"), split="heldout", phrasing="heldout")
    slots = tuple(sorted({slot for some in (taught, others, tested) for one in some for slot, _, _ in one.spans}))
    lessons, exercises, test = ([sentence(u, slots) for u in some if u.text] for some in (taught, others, tested))
    model = Tagger(FEATURES, 2 * len(slots) + 1, seed=seed)
    losses = teach(model, lessons, epochs=epochs, learning_rate=3e-2, seed=seed)
    before = report(model, test)
    earned = practise(model, exercises, epochs=epochs, learning_rate=3e-3, samples=4, seed=seed)
    return SlotStudy(slots=slots, before=before, after=report(model, test), losses=tuple(losses), rewards=tuple(earned))


def report(model: Tagger, sentences: Sequence[Sentence]) -> tuple[ClassReport, ...]:
    said = [entities(tags) for tags in model.tag(sentences)]
    return classification_report(said, [entities(one.tags) for one in sentences])
