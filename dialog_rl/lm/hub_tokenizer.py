"""The tokenizer of a Hugging Face checkpoint, which no text can talk into a special token.

The library finds special tokens by their spelling, so that a customer who types "<|im_end|>" would end their turn. Here
every added token goes by a name drawn afresh for each process, which nobody can type; what the renderer marks as such
is spelled by that name, and everything else is text. The ids are the checkpoint's own.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from dialog_rl.errors import CheckpointError

MAX_BYTES = 64 << 20
"""The largest tokenizer.json that is read; Gemma's, the largest of the known families, has 33 MB."""


class Text(NamedTuple):
    """Words of somebody else: every character is text."""

    text: str


class Markup(NamedTuple):
    """Words of the chat format: added tokens in it are tokens."""

    text: str


Piece = Text | Markup


class HubTokenizer:
    """Text ↔ ids of a `tokenizer.json`. Immutable; `data` is the file, byte for byte."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        document = _document(data)
        added = [(str(token["content"]), int(token["id"])) for token in document["added_tokens"]]
        self._ids = {content: token for content, token in added if content}
        nonce = secrets.token_hex(8)
        self._names = {content: f"\ue010{nonce}-{token}\ue011" for content, token in self._ids.items()}
        self._reader = _made(document)
        self._writer = _made(_renamed(document, self._names))
        own = {self._writer.token_to_id(name): self._ids[content] for content, name in self._names.items()}
        self._own_ids = {written: token for written, token in own.items() if written != token}
        self._longest_first = sorted(self._ids, key=len, reverse=True)

    def __len__(self) -> int:
        return self._reader.get_vocab_size(with_added_tokens=True)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def added_tokens(self) -> frozenset[str]:
        return frozenset(self._ids)

    @property
    def largest_id(self) -> int:
        """Of what text can become; added tokens may lie beyond, as Gemma's for images do."""
        added = self._ids.keys()
        return max((i for piece, i in self._reader.get_vocab().items() if piece not in added), default=-1)

    def special(self, content: str) -> int:
        """The id of an added token. Raises CheckpointError if there is none of this spelling."""
        if content not in self._ids:
            raise CheckpointError(f"the tokenizer has no special token {content!r}")
        return self._ids[content]

    def encode_pieces(self, pieces: Iterable[Piece]) -> list[int]:
        """The ids of text with marks, as the library gives them for the same text where nobody typed a mark."""
        spelled = "".join(
            self._with_names(piece.text) if isinstance(piece, Markup) else _without_surrogates(piece.text)
            for piece in pieces
        )
        ids = self._writer.encode(spelled, add_special_tokens=False).ids
        return [self._own_ids.get(i, i) for i in ids] if self._own_ids else ids

    def encode(self, text: str) -> list[int]:
        """The ids of text without marks."""
        return self.encode_pieces([Text(text)])

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, added tokens spelled out."""
        size = len(self)
        return self._reader.decode([i for i in ids if 0 <= i < size], skip_special_tokens=False)

    def _with_names(self, markup: str) -> str:
        for content in self._longest_first:
            markup = markup.replace(content, self._names[content])
        return markup


def _document(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise CheckpointError(f"tokenizer.json has {len(data)} bytes; at most {MAX_BYTES} are read")
    try:
        document = json.loads(data)
        added, model = document.setdefault("added_tokens", []), document["model"]
        kind, fine = model["type"], all(isinstance(t["content"], str) and isinstance(t["id"], int) for t in added)
        vocabulary = model["vocab"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise CheckpointError(f"tokenizer.json cannot be read: {type(e).__name__}: {e}") from e
    if kind != "BPE" or not isinstance(vocabulary, dict) or not fine:
        raise CheckpointError(f"a tokenizer of the kind {kind!r}; those of the known families are BPE")
    return {**document, "truncation": None, "padding": None}


def _renamed(document: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The tokenizer with other names for its added tokens, in the vocabulary too: no merge leads to them."""
    added = [{**token, "content": names.get(token["content"], token["content"])} for token in document["added_tokens"]]
    model = document["model"]
    vocabulary = {names.get(piece, piece): token for piece, token in model["vocab"].items()}
    changed = {**model, "vocab": vocabulary, "merges": _without(model.get("merges", []), names)}
    for field in ("unk_token",):
        if isinstance(model.get(field), str):
            changed[field] = names.get(model[field], model[field])
    # what comes before and after a text is the chat format's business, and names tokens by their spelling
    return {**document, "added_tokens": added, "model": changed, "post_processor": None}


def _without(merges: Sequence[Any], names: dict[str, str]) -> list[Any]:
    """The merges that make no added token."""
    kept: list[Any] = []
    for merge in merges:
        parts = merge.split(" ") if isinstance(merge, str) else list(merge)
        if "".join(parts) not in names and not any(part in names for part in parts):
            kept.append(merge)
    return kept


def _made(document: dict[str, Any]) -> Tokenizer:
    try:
        return Tokenizer.from_str(json.dumps(document))
    except Exception as e:  # the library raises bare Exceptions
        raise CheckpointError(f"tokenizer.json cannot be read: {e}") from e


def _without_surrogates(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
