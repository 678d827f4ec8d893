"""What people say, and how it is read: templates made into text, text read as acts. Fragments only, no regular expressions
from a file, so a pack from a stranger cannot stall the program."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dialog_rl.errors import ScenarioError
from dialog_rl.expressions import fill, holes
from dialog_rl.pack import Understanding

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SENTENCE = re.compile(r"(?<=[.!?])(?:\s+|(?=[\u4e00-\u9fff]))|(?<=[。！？])\s*|\n+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def phrase(
    phrases: Mapping[str, Any], occasion: str, rng: random.Random, *, values: Mapping[str, Any] | None = None, style: str = "train"
) -> str:
    """One way to say something: a template of the style that needs no more values than there are.

    `style` is "train" or "heldout": wordings that are never trained on.
    """
    values = values or {}
    return fill(wording(phrases, occasion, rng, values=values, style=style), values)


def wording(
    phrases: Mapping[str, Any], occasion: str, rng: random.Random, *, values: Mapping[str, Any], style: str = "train"
) -> str:
    """Like `phrase`, with the `{slots}` still in it, so that a speaker knows which values it is about to tell."""
    options = (_usable(template, values) for template in templates(phrases, occasion, style))
    usable = [segments for segments in options if segments is not None]
    if not usable:
        raise ScenarioError(f"no phrase for '{occasion}' can be said with: {', '.join(values) or 'nothing'}")
    return "".join(rng.choice(choices) for choices in rng.choice(usable))


def _usable(template: str, values: Mapping[str, Any]) -> list[list[str]] | None:
    """A template's segments, each with the alternatives that need no more values than there are; None if one has none."""
    segments = [[c for c in choices if all(_known(hole, values) for hole in holes(c))] for choices in _segments(template)]
    return segments if all(segments) else None


@lru_cache(maxsize=4096)
def _segments(template: str) -> tuple[tuple[str, ...], ...]:
    """`[Hi|Hello], where is it?` as (("Hi", "Hello"), (", where is it?",))."""
    parts = _CHOICE.split(template)
    return tuple(tuple(part.split("|")) if n % 2 else (part,) for n, part in enumerate(parts) if part or n % 2)


def templates(phrases: Mapping[str, Any], occasion: str, style: str) -> Sequence[str]:
    """The templates of an occasion. Raises ScenarioError naming one that is not there."""
    listed = phrases.get(occasion)
    if listed is None:
        raise ScenarioError(f"no phrases for '{occasion}'; there are: {', '.join(phrases) or 'none'}")
    return listed.get(style, listed["train"]) if isinstance(listed, Mapping) else listed


def _known(path: str, values: Mapping[str, Any]) -> bool:
    value: Any = values
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    return True


def mistype(text: str, chance: float, rng: random.Random, keep: Sequence[str] = ()) -> str:
    """Text as hurried people type it: in some words two letters swapped or one lost. Values in `keep` are left alone."""
    if not chance:
        return text
    kept = {word for value in keep for word in value.split()}
    return " ".join(
        _slip(w, rng) if w.isalpha() and w.isascii() and len(w) > 3 and w not in kept and rng.random() < chance else w
        for w in text.split(" ")
    )


def _slip(word: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(word) - 1)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return rng.choice([swapped, word[:at] + word[at + 1 :]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a customer understood of an agent's reply."""

    requests: tuple[str, ...] = ()
    confirms: bool = False
    done: bool = False
    refuses: bool = False
    anything_else: bool = False
    numbers: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        return not (self.requests or self.confirms or self.done or self.refuses or self.anything_else)


def read_agent(text: str, understand: Understanding) -> Reading:
    """An agent's free text as acts, sentence by sentence: only a question can ask for a slot or a confirmation."""
    requests: dict[str, None] = {}
    flags = dict.fromkeys(("confirms", "done", "refuses", "anything_else"), False)
    for sentence in _SENTENCE.split(text.lower()):
        if any(_has(sentence, p) for p in understand.anything_else):
            flags["anything_else"] = True
            continue
        asking = any(mark in sentence for mark in ("?", "？")) or any(_has(sentence, p) for p in understand.asking)
        if asking and any(_has(sentence, p) for p in understand.confirm):
            flags["confirms"] = True
            continue
        if asking:
            requests.update({s: None for s, patterns in understand.request.items() if any(_has(sentence, p) for p in patterns)})
        refuses = any(_has(sentence, p) for p in understand.refuse)
        flags["refuses"] |= refuses
        flags["done"] |= not refuses and not asking and any(_has(sentence, p) for p in understand.done)
    return Reading(requests=tuple(requests), numbers=tuple(_NUMBER.findall(text)), **flags)


def says_yes(text: str, understand: Understanding) -> bool:
    """Whether a person's message agrees to what was proposed."""
    low = text.lower()
    return any(_has_word(low, p) for p in understand.affirm) and not any(_has_word(low, p) for p in understand.deny)


def mentions(text: str, value: str) -> bool:
    """Whether a text tells a value: numbers as whole numbers (1,204.50 is 1204.50), anything else as a fragment."""
    if value.replace(".", "", 1).isdigit():
        return any(_same_number(n, value) for n in _NUMBER.findall(text))
    return value.casefold() in text.casefold()


def _same_number(found: str, value: str) -> bool:
    plain = found.replace(",", "")
    return plain == value or ("." in plain + value and _amount(plain) == _amount(value) is not None)


def _amount(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _has(sentence: str, pattern: str) -> bool:
    at = 0
    for part in _parts(pattern):
        at = sentence.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def _has_word(text: str, pattern: str) -> bool:
    if not pattern.isascii():
        return pattern in text
    return re.search(rf"(?<![a-z]){re.escape(pattern)}(?![a-z])", text) is not None


@lru_cache(maxsize=4096)
def _parts(pattern: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in pattern.lower().split("*"))
