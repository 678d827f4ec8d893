"""SentencePiece behind a reversible spelling that writes a word the same way wherever it stands.

"Anna", " anna" and `"ANNA"` share their pieces, so that a small model copies a name from a customer's message into a
call by looking it up, not by knowing three spellings of it:

* a word is spelled in lower case with a space before it, whether or not the text has them;
* CAP before a word says that its first letter is a capital, CAPS that all of it is, JOIN that the space is not there.

Digits stand alone; what the vocabulary lacks falls back to bytes. Any text comes back exactly; lone surrogates, which
UTF-8 cannot hold, come back as U+FFFD. Special tokens have ids that no text encodes to.
"""

from __future__ import annotations

import codecs
import io
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import sentencepiece

from dialog_rl.errors import CheckpointError

PAD, SYSTEM, USER, ASSISTANT, TOOL, CALL, END = SPECIALS = (
    "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|call|>", "<|end|>",
)  # fmt: skip

JOIN, CAP, CAPS = "\ue000", "\ue001", "\ue002"
SPACE = "\u2581"
"""SentencePiece's visible space. Found in text it is spelled in bytes, as the three marks above are."""

_LETTER = "A-Za-zÀ-ÖØ-öø-ɏ_"
_IN_WORD = re.compile(f"[{_LETTER}]")
_WORD = re.compile(rf"( ?)([{_LETTER}]+(?:['’][{_LETTER}]+)*)")
_RESERVED = re.compile(f"([{JOIN}{CAP}{CAPS}{SPACE}])")

# fmt: off
_JSON_OPENERS = (
    '{"', '":"', '","', ',"', '":{"', '":[{"', '":["', '[{"', '["', '"},{"', '},{"', '"},"', '},"', '],"', '"],"',
)
_JSON_OTHERS = ('":', '"}', '"}]', "}]", '"]', '"]}', '"}]}', "}]}", "{}", "[]", '":true', '":false', '":null')
# fmt: on
_JOINERS = ("('", '"', "'", "(", "[", "/", "-", ".", "@", "#", ":", "=", "$", "€", "\n")
"""What stands before a word without a space often enough that mark and sign are worth one piece."""


def _pieces_of_glue() -> list[str]:
    with_join = [text + JOIN for text in (*_JSON_OPENERS, *_JOINERS)]
    return [JOIN, CAP, CAPS, *with_join, *_JSON_OPENERS, *_JSON_OTHERS, "\n", "\n\n"]


def _is_capital(char: str) -> bool:
    """A capital that lower() and upper() carry there and back, from letter to letter of a word."""
    low = char.lower()
    return _IN_WORD.fullmatch(low) is not None and low != char and low.upper() == char


def _spell_word(word: str, gap: str) -> str:
    letters = [c for c in word if c not in "'’_"]
    if len(letters) > 1 and all(map(_is_capital, letters)):
        return f"{gap}{CAPS} {word.lower()}"
    first = f"{CAP} {word[0].lower()}" if _is_capital(word[0]) else f" {word[0]}"
    return gap + first + "".join(CAP + c.lower() if _is_capital(c) else c for c in word[1:])


def spell(text: str, *, at_start: bool = True) -> str:
    """The text as SentencePiece sees it. At the start of a message the first word's JOIN goes without saying."""

    def word(match: re.Match[str]) -> str:
        joined = not match[1] and not (at_start and match.start() == 0)
        return _spell_word(match[2], JOIN if joined else "")

    if at_start and text.startswith(" "):
        return " " + spell(text, at_start=False)
    return _WORD.sub(word, text)


class IncrementalDecoder:
    """Ids one by one → the text that is certain by then. Bytes of an unfinished character are held back.

    Total: whatever order a policy samples pieces in, a mark that applies to nothing is dropped.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._join, self._case, self._in_caps = True, "", False

    def push(self, token: int) -> str:
        """The text that this id adds; empty for special ids."""
        byte = self._tokenizer.byte_of(token)
        if byte is not None:
            return "".join(self._char(c, literal=True) for c in self._utf8.decode(byte))
        return self.finish() + "".join(self._char(c, literal=False) for c in self._tokenizer.piece(token))

    def finish(self) -> str:
        """What was held back: an unfinished character becomes U+FFFD."""
        return "".join(self._char(c, literal=True) for c in self._utf8.decode(b"", final=True))

    def _char(self, char: str, *, literal: bool) -> str:
        if not literal and char in (CAP, CAPS):
            self._case, self._in_caps = char, False
            return ""
        if not literal and char == JOIN:
            self._join = True
            return ""
        if not literal and char == SPACE:
            swallowed, self._join = self._join, False
            if self._in_caps:
                self._case = ""
            return "" if swallowed else " "
        self._join = False
        return self._cased(char)

    def _cased(self, char: str) -> str:
        if not self._case:
            return char
        if not _IN_WORD.fullmatch(char) and char not in "'’":  # words end here, and with them their capitals
            self._case, self._in_caps = "", False
            return char
        capital = char.upper() if len(char.upper()) == 1 else char
        self._in_caps = self._case == CAPS and (capital != char or char in "'’_")
        if not self._in_caps:
            self._case = ""
        return capital


class Tokenizer:
    """Text ↔ ids. Immutable once loaded; `data` is the SentencePiece model, byte for byte."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._model = sentencepiece.SentencePieceProcessor()
        try:
            self._model.LoadFromSerializedProto(data)
        except RuntimeError as e:
            raise CheckpointError(f"not a SentencePiece model ({len(data)} bytes): {e}") from e
        self._special_ids = {name: self._id_of_special(name) for name in SPECIALS}
        m, names = self._model, range(self._model.GetPieceSize())
        self._pieces = ["" if m.IsControl(i) or m.IsUnknown(i) else m.IdToPiece(i) for i in names]
        self._bytes = [bytes([int(self._pieces[i][3:5], 16)]) if m.IsByte(i) else None for i in names]
        self._byte_ids = {byte[0]: i for i, byte in enumerate(self._bytes) if byte is not None}
        if len(self._byte_ids) != 256:
            raise CheckpointError(f"{len(self._byte_ids)} byte pieces in the tokenizer; 256 spell any text")

    def _id_of_special(self, name: str) -> int:
        token = self._model.PieceToId(name)
        if not self._model.IsControl(token):
            raise CheckpointError(f"the tokenizer has no special token {name}; it was not made by dialog_rl pretrain")
        return token

    @classmethod
    def load(cls, source: Path | bytes) -> Tokenizer:
        """From a file or from its bytes. Raises CheckpointError if it is missing or of another make."""
        if isinstance(source, bytes):
            return cls(source)
        try:
            return cls(source.read_bytes())
        except OSError as e:
            raise CheckpointError(f"{source}: cannot read the tokenizer: {e.strerror}") from e

    def __len__(self) -> int:
        return len(self._pieces)

    def special(self, name: str) -> int:
        return self._special_ids[name]

    @property
    def special_ids(self) -> frozenset[int]:
        return frozenset(self._special_ids.values())

    def piece(self, token: int) -> str:
        """The piece as it is spelled; empty for special ids, U+FFFD for ids that only pad a model's vocabulary."""
        return self._pieces[token] if token < len(self._pieces) else "\ufffd"

    def id_of(self, piece: str) -> int | None:
        """The id of a piece as it is spelled; None if the vocabulary has none."""
        token = self._model.PieceToId(piece)
        return token if self.piece(token) == piece else None

    def byte_of(self, token: int) -> bytes | None:
        return self._bytes[token] if token < len(self._bytes) else None

    def encode(self, text: str) -> list[int]:
        """The ids of a whole message. Never a special id."""
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        parts = _RESERVED.split(text)
        ids: list[int] = []
        for i, part in enumerate(parts):
            if i % 2:
                ids.extend(self._byte_ids[byte] for byte in part.encode())
            elif part:
                ids.extend(self._model.EncodeAsIds(spell(part, at_start=i == 0)))
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of whole or cut-off messages; special ids add nothing."""
        decoder = IncrementalDecoder(self)
        return "".join(map(decoder.push, ids)) + decoder.finish()


def train_tokenizer(
    texts: Iterable[str],
    *,
    vocabulary: int = 3072,
    seed: int = 0,
    model_type: str = "unigram",
    max_texts: int = 200_000,
) -> Tokenizer:
    """A tokenizer for texts like these: the same bytes from the same texts and seed.

    Of more than `max_texts` texts a random sample is used. The vocabulary may come out smaller than asked for.
    """
    lines = _sample(texts, max_texts, random.Random(seed))
    spelled = [spell(part) for text in lines for part in _RESERVED.split(text) if part]
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(spelled),
        model_writer=out,
        model_type="bpe",
        vocab_size=vocabulary,
        hard_vocab_limit=False,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        split_digits=True,
        byte_fallback=True,
        character_coverage=0.9999,
        control_symbols=list(SPECIALS),
        user_defined_symbols=_pieces_of_glue(),
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return Tokenizer(out.getvalue())


def _sample(texts: Iterable[str], limit: int, rng: random.Random) -> Sequence[str]:
    """Reservoir sampling: a uniform sample in one pass, whole if it fits."""
    kept: list[str] = []
    for n, text in enumerate(texts):
        if n < limit:
            kept.append(text)
        elif (slot := rng.randrange(n + 1)) < limit:
            kept[slot] = text
    return kept
