"""What people say, and how it is read: templates made into text, text read as acts.

Fragments only, no regular expressions from a file, so a pack from a stranger cannot stall the program.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dialog_rl.errors import ScenarioError
from dialog_rl.expressions import fill, holes
from dialog_rl.pack import Understanding

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SENTENCE = re.compile(r"(?<=[.!?])(?:\s+|(?=[\u4e00-\u9fff]))|(?<=[。！？])\s*|\n+")
_CLAUSE = re.compile(r"[,;:，；：]|\s[-–—]\s")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_CONTRACTIONS = (
    ("can't", "cannot"), ("can not", "cannot"), ("won't", "will not"), ("n't", " not"), ("'ve", " have"),
    ("'ll", " will"), ("'re", " are"), ("i'm", "i am"), ("it's", "it is"), ("that's", "that is"),
    ("what's", "what is"), ("there's", "there is"), ("where's", "where is"), ("who's", "who is"), ("'d", " would"),
)  # fmt: skip


def phrase(
    phrases: Mapping[str, Any],
    occasion: str,
    rng: random.Random,
    *,
    values: Mapping[str, Any] | None = None,
    style: str = "train",
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
    """A template's segments, each with the alternatives that can be said with the values; None if one has none."""
    segments = [[c for c in choices if all(_known(h, values) for h in holes(c))] for choices in _segments(template)]
    return segments if all(segments) else None


def expansions(template: str) -> Iterator[str]:
    """Every text that a template stands for, its `{slots}` still to be filled in."""
    return ("".join(chosen) for chosen in itertools.product(*_segments(template)))


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
    """Text as hurried people type it: in some words two letters swapped or one lost, but not in `keep`."""
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
    checks: bool = False
    """A slot was asked for in words that may also ask for a yes: "Can you confirm your address?"."""
    confirms: bool = False
    done: bool = False
    refuses: bool = False
    anything_else: bool = False
    numbers: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    """The intents that the reply may have taken up, as far as its words tell."""

    @property
    def nothing(self) -> bool:
        return not (self.requests or self.confirms or self.done or self.refuses or self.anything_else)


def read_agent(text: str, understand: Understanding) -> Reading:
    """An agent's free text as acts, sentence by sentence: only a question can ask for a slot or a confirmation.

    Who asks for a slot has not refused: "I can't find you. What is your zip code?" wants an answer.
    """
    requests: dict[str, None] = {}
    acts: set[str] = set()
    for sentence in _SENTENCE.split(_expanded(text)):
        statement = _before_offer(sentence, understand)
        if statement is not None:
            acts.add("anything_else")
            acts |= _stated(statement, understand)
        elif "?" in sentence or "？" in sentence or _has_any(sentence, understand.asking):
            slots, act = _asked(sentence, understand)
            requests.update(dict.fromkeys(slots))
            acts |= act or _stated(sentence, understand) - {"done"}
        else:
            acts |= _stated(sentence, understand)
    if requests:
        acts.discard("refuses")
    about = tuple(intent for intent, patterns in understand.about.items() if _has_any(_expanded(text), patterns))
    return Reading(
        requests=tuple(requests), numbers=tuple(_NUMBER.findall(text)), about=about, **dict.fromkeys(acts, True)
    )


def _asked(sentence: str, understand: Understanding) -> tuple[list[str], set[str]]:
    """What a question wants: slots, or a yes."""
    slots = [slot for slot, patterns in understand.request.items() if _has_any(sentence, patterns)]
    for_yes = _has_any(sentence, understand.confirm)
    checks = _has_any(sentence, understand.check)
    if slots and (not for_yes or _has_any(sentence, understand.open)):
        return slots, {"checks"} if checks else set()
    return [], {"confirms"} if for_yes or checks else set()


def _stated(sentence: str, understand: Understanding) -> set[str]:
    if _has_any(sentence, understand.refuse):
        return {"refuses"}
    return {"done"} if _has_any(sentence, understand.done) else set()


def _before_offer(sentence: str, understand: Understanding) -> str | None:
    """What a sentence says before it offers more help: "It is sent, anything else?"; None if it offers none."""
    at = _find(sentence, understand.anything_else)
    if at < 0:
        return None
    clauses = [m.start() for m in _CLAUSE.finditer(sentence, 0, at)]
    return sentence[: clauses[-1]] if clauses else ""


def _expanded(text: str) -> str:
    """Lower case, plain apostrophes, contractions as what they stand for."""
    low = text.lower().replace("\u2019", "'")
    for contraction, words in _CONTRACTIONS if "'" in low or "can not" in low else ():
        low = low.replace(contraction, words)
    return low


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


def _has_any(sentence: str, patterns: tuple[str, ...]) -> bool:
    return _find(sentence, patterns) >= 0


def _find(sentence: str, patterns: tuple[str, ...]) -> int:
    """Where the first of the patterns is found; -1 if none is."""
    fragments, chains = _matcher(patterns)
    match = fragments.search(sentence) if fragments else None
    found = [match.start()] if match else []
    found += [at for chain in chains if (at := _find_chain(sentence, chain)) >= 0]
    return min(found, default=-1)


def _find_chain(sentence: str, chain: Sequence[re.Pattern[str]]) -> int:
    first, at = -1, 0
    for fragment in chain:
        match = fragment.search(sentence, at)
        if match is None:
            return -1
        first, at = match.start() if first < 0 else first, match.end()
    return first


@lru_cache(maxsize=1024)
def _matcher(patterns: tuple[str, ...]) -> tuple[re.Pattern[str] | None, tuple[tuple[re.Pattern[str], ...], ...]]:
    """Patterns as one search for all single fragments, and the chains of several. Fragments are escaped: plain text."""
    spelled = ["".join(choice) for p in patterns for choice in itertools.product(*_segments(_expanded(p)))]
    single = [p for p in spelled if "*" not in p]
    chains = tuple(tuple(_any_of([part]) for part in p.split("*")) for p in spelled if "*" in p)
    return _any_of(single) if single else None, chains


def _any_of(fragments: Sequence[str]) -> re.Pattern[str]:
    """Any of the fragments; one that begins with a letter of an alphabet begins where a word does."""
    texts = [f.strip() for f in fragments if f.strip()]
    words = [re.escape(t) for t in texts if t[0].isascii() and t[0].isalpha()]
    others = [re.escape(t) for t in texts if not (t[0].isascii() and t[0].isalpha())]
    options = ([rf"(?<![a-z])(?:{'|'.join(words)})"] if words else []) + others
    return re.compile("|".join(options) or "(?!)")


def _has_word(text: str, pattern: str) -> bool:
    if not pattern.isascii():
        return pattern in text
    return re.search(rf"(?<![a-z]){re.escape(pattern)}(?![a-z])", text) is not None
