"""Demonstrations made harder, so that what is learned from them carries further: other names, other spellings, rougher
words.

No torch here, so that processes which only make demonstrations start fast.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from dialog_rl.episode import Message, Role
from dialog_rl.lm.demonstrations import Demonstration, Row
from dialog_rl.lm.tokenizer import SPACE, Tokenizer

_WORD = re.compile(r"(?<![a-z])[a-z]{3,}(?![a-z])")
_HAN = "\u4e00-\u9fff"
_HAN_RANGE = (0x4E00, 0x9FA5)
_UNKNOWN = 0.4
"""Share of the characters of made-up Chinese names that may be any."""
_HAN_NAME = re.compile(rf"[{_HAN}]{{2,4}}")
_UNIT = re.compile(rf"[{_HAN}]|[^\s{_HAN}]+|\s+")
"""What roughening drops: a Chinese character, or what stands between spaces."""

_KEPT = frozenset(
    "yes yeah yep yup no not don't won't can't isn't wrong right correct sure ok okay fine wait instead rather "
    "actually sorry 是 对 不 没 别 好 行 错 改 换 可 以 要".split()
)
"""Words that turn a message into its contrary: never dropped."""
_ROUGH_FROM = 4
"""Units; a shorter message has nothing to spare."""
_LOST = 0.1
"""Share of the units that are lost."""

_PLAIN = ("b d f g h j k l m n p r s t v w z".split(), "a e i o u".split(), ["", "", *"nlrstk"])
_RICH = (
    "b d f g h j k l m n p r s t v w y z br dr gr kr st tr bl kl sh ch th wh sch gl fl pr qu ph c x".split(),
    "a e i o u ai ei ou oo ee ea au ie y ue ia io".split(),
    ["", "", "", *"n r l s m d t x k nd rt ck mb ss tt ng lt ll ns rg man son".split()],
)
"""Onsets, nuclei and codas of syllables: names of two languages that do not exist."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """What names can be spelled from: every piece of a vocabulary, so that each one is practised in names.

    A piece that never stood in a copied name is not copied when it does, however well its neighbours are.
    """

    latin: tuple[str, ...] = ()
    han: tuple[str, ...] = ()

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Pieces:
        pieces = {tokenizer.piece(i) for i in range(len(tokenizer)) if tokenizer.byte_of(i) is None}
        return cls(
            # A piece that begins a word is often a word, and "I am called Anna" must not be a name of three.
            latin=tuple(sorted(p for p in pieces if p.isascii() and p.isalpha() and p.islower())),
            han=tuple(sorted({p.strip(SPACE) for p in pieces if re.fullmatch(rf"{SPACE}?[{_HAN}]", p)})),
        )


def rename(
    demonstration: Demonstration, rng: random.Random, *, share: float, pieces: Pieces = Pieces()
) -> Demonstration:
    """The same conversation about other names: words that a call repeats after the user become made-up ones.

    A pack has some hundred names; a model that has seen only those learns to pick from them instead of repeating what
    it was told. Each word is exchanged everywhere in the conversation, whatever its case. share: of such words; every
    other one is made from pieces, if there are any.
    """
    made_up = {word: _made_up(word, rng, pieces) for word in _repeated_words(demonstration) if rng.random() < share}
    if not made_up:
        return demonstration
    latin = [word for word in made_up if word.isascii()]
    han = [re.escape(word) for word in made_up if not word.isascii()]
    either = [rf"(?<![A-Za-z])(?:{'|'.join(latin)})(?![A-Za-z])"] * bool(latin) + han
    pattern = re.compile("|".join(either), re.IGNORECASE)

    def exchanged(text: str) -> str:
        return pattern.sub(lambda found: _in_the_case_of(found[0], made_up[found[0].lower()]), text)

    return replace(demonstration, messages=tuple(_with_text(m, exchanged) for m in demonstration.messages))


def _repeated_words(demonstration: Demonstration) -> list[str]:
    """Latin words, and Chinese values as long as a name, that the user says and a call repeats."""
    heard = "\n".join(m.text.lower() for m in demonstration.messages if m.role is Role.USER)
    said = set(_WORD.findall(heard))
    repeated: dict[str, None] = {}
    for message in demonstration.messages:
        for value in message.tool_call.arguments.values() if message.tool_call else ():
            if not isinstance(value, str):
                continue
            repeated.update(dict.fromkeys(word for word in _WORD.findall(value.lower()) if word in said))
            if _HAN_NAME.fullmatch(value) and value in heard:
                repeated[value] = None
    return list(repeated)


def _with_text(message: Message, change: Callable[[str], str]) -> Message:
    call = message.tool_call
    if call is not None:
        values = {k: change(v) if isinstance(v, str) else v for k, v in call.arguments.items()}
        call = replace(call, arguments=values)
    return replace(message, text=change(message.text), tool_call=call)


def _made_up(word: str, rng: random.Random, pieces: Pieces = Pieces()) -> str:
    if not word.isascii():
        if not pieces.han:
            return word
        # A character without a piece is spelled in bytes; it stands beside known ones, as in 郭志远.
        drawn = (rng.random() < _UNKNOWN for _ in range(rng.randint(2, 4)))
        return "".join(chr(rng.randint(*_HAN_RANGE)) if unknown else rng.choice(pieces.han) for unknown in drawn)
    if pieces.latin and rng.random() < 0.5:
        return "".join(rng.choice(pieces.latin) for _ in range(rng.randint(1, 4)))
    syllable = _PLAIN if rng.random() < 0.6 else _RICH
    made = "".join(rng.choice(part) for _ in range(rng.choice((1, 2, 2, 3))) for part in syllable)
    return made[1:] if rng.random() < 0.2 and len(made) > 4 else made


def _in_the_case_of(model: str, word: str) -> str:
    if model.isupper():
        return word.upper()
    return word.capitalize() if model[0].isupper() else word


def roughen(demonstration: Demonstration, rng: random.Random, *, share: float) -> Demonstration:
    """The same conversation with some words lost, in `share` of the customer's messages.

    What a call or the agent repeats stays, and so do digits and words such as "no": the sense must not turn. A model
    that has learned from such messages hangs on no single word.
    """
    used = " ".join(_repeated_text(m) for m in demonstration.messages).lower()

    def rough(message: Message) -> Message:
        if message.role is not Role.USER or rng.random() >= share:
            return message
        units = _UNIT.findall(message.text)
        if sum(not unit.isspace() for unit in units) < _ROUGH_FROM:
            return message
        text = "".join("" if _spare(unit, used) and rng.random() < _LOST else unit for unit in units)
        return replace(message, text=re.sub(r" {2,}", " ", text).strip() or message.text)

    return replace(demonstration, messages=tuple(map(rough, demonstration.messages)))


def _repeated_text(message: Message) -> str:
    if message.tool_call is not None:
        return " ".join(str(value) for value in message.tool_call.arguments.values())
    return message.text if message.role is Role.TOOL else ""


def _spare(unit: str, used: str) -> bool:
    plain = unit.lower().strip(".,!?;:()\"'。，！？")
    return bool(plain) and plain not in _KEPT and plain not in used and not any(c.isdigit() for c in plain)


def respell(row: Row, tokenizer: Tokenizer, rng: random.Random, *, share: float) -> Row:
    """The same text with some pieces of copied values split in two or more, everywhere in the row alike.

    Names known from the demonstrations are one piece each; a new customer's name takes several. So that those are
    copied too, known ones are practised in pieces. Expects a row made with `find_copies`.
    """
    observed = {i for i, acted in zip(row.ids, row.action_mask, strict=True) if not acted}
    copied = {i for copy in row.copies for i in row.ids[copy.start : copy.stop]} & observed
    parts = {i: _split(i, tokenizer, rng) for i in sorted(copied) if rng.random() < share}
    if not any(len(part) > 1 for part in parts.values()):
        return row
    spelled = [parts.get(i, (i,)) for i in row.ids]
    at = list(itertools.accumulate(map(len, spelled), initial=0))
    return replace(
        row,
        ids=tuple(itertools.chain(*spelled)),
        action_mask=tuple(acted for part, acted in zip(spelled, row.action_mask, strict=True) for _ in part),
        copies=tuple(replace(copy, start=at[copy.start], stop=at[copy.stop]) for copy in row.copies),
    )


def _split(token: int, tokenizer: Tokenizer, rng: random.Random) -> tuple[int, ...]:
    """Ids of smaller pieces that spell the same; the token itself if there are none, or if it is a byte or a mark."""
    piece = tokenizer.piece(token)
    if tokenizer.byte_of(token) is not None or not piece.strip(SPACE).isalpha():
        return (token,)
    halves = [(tokenizer.id_of(piece[:k]), tokenizer.id_of(piece[k:])) for k in range(1, len(piece))]
    whole = [(left, right) for left, right in halves if left is not None and right is not None]
    if not whole:
        return (token,)
    left, right = rng.choice(whole)
    return tuple(i for half in (left, right) for i in (_split(half, tokenizer, rng) if rng.random() < 0.5 else (half,)))
