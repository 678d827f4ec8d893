"""A stranger's tokenizer.json, tried before anybody talks: that its ids are the model's, and that no text is a bomb.

A tokenizer is a small program of patterns and replacements. One pattern can make the library compute for minutes, or
panic, over a word that a customer types; one replacement can make gigabytes of a letter. So it is run here first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dialog_rl.errors import CheckpointError
from dialog_rl.lm.hub_renderer import IN_ACTIONS, HubRenderer
from dialog_rl.lm.hub_tokenizer import MAX_BYTES, HubTokenizer

_RUNS = ("a", "x", "A", "e ", "1", "0.", " ", "\t", "\n", "\r\n", ".", "-", "_", "ab", "é", "中", "🙂", "\u0301", "'s ")
_ENDS = ("!", "a", "A", "1", " ", "\n", "#")
"""A pattern computes longest where it nearly fits …"""
_LETTERS = "".join(map(chr, range(32, 127)))
_TAIL = f"\x01{_LETTERS}" + "".join(f"{letter}\n" for letter in _LETTERS)
"""… and not at all where a letter that it needs is not there."""
_LENGTH = 240
_NO_LONGER = 4_000
_ATOM = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]", re.DOTALL)
_REPEATED_GROUP = re.compile(r"\)[*+{]")
_MOST = 8
"""Ids for a byte, and bytes for an id's: no tokenizer of the known families exceeds one and one."""


def read(path: Path, *, vocabulary: int) -> HubTokenizer:
    """The tokenizer in a file. vocabulary: ids that the model has. Raises CheckpointError that says what is wrong."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise CheckpointError(f"{path.name}: {size} bytes; at most {MAX_BYTES} are read")
    tokenizer = HubTokenizer(path.read_bytes())
    largest = tokenizer.largest_id
    if not 0 <= largest < vocabulary:
        raise CheckpointError(f"{path.name}: has ids up to {largest}; the model's vocabulary has {vocabulary}")
    _require_plain_patterns(tokenizer)
    for run in _RUNS:
        for end in _ENDS:
            _try(tokenizer, run, end, path.name)
    return tokenizer


def require_marks(renderer: HubRenderer, *, vocabulary: int) -> None:
    """Raises CheckpointError if the chat format is written with tokens that the model does not have."""
    tokenizer, chat_format = renderer.tokenizer, renderer.format
    used = {chat_format.end, *chat_format.marks, *tokenizer.added_tokens.intersection(IN_ACTIONS)}
    if beyond := sorted(mark for mark in used if not 0 <= tokenizer.special(mark) < vocabulary):
        raise CheckpointError(
            f"{beyond[0]} is id {tokenizer.special(beyond[0])}; the model's vocabulary has {vocabulary}"
        )


def _require_plain_patterns(tokenizer: HubTokenizer) -> None:
    """A group that is repeated is what makes a pattern try more ways than there are; no known family has one."""
    for pattern in _patterns(json.loads(tokenizer.data)):
        if len(pattern) > _NO_LONGER or _REPEATED_GROUP.search(_ATOM.sub("x", pattern)):
            raise CheckpointError(f"tokenizer.json: its pattern {pattern[:60]!r} is too long or repeats a group")


def _patterns(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "Regex" and isinstance(value, str):
                yield value
            elif name not in ("vocab", "merges"):
                yield from _patterns(value)
    elif isinstance(part, list):
        for value in part:
            yield from _patterns(value)


def _try(tokenizer: HubTokenizer, run: str, end: str, name: str) -> None:
    text = run * (_LENGTH // len(run)) + end + _TAIL
    try:
        ids = tokenizer.encode(text)
        said = tokenizer.decode(ids)
    except BaseException as e:  # marked border: the library's panics are no Exception
        raise CheckpointError(f"{name}: fails on {run!r} repeated: {str(e)[:120]}") from None
    most = _MOST * len(text.encode())
    if len(ids) > most or len(said.encode()) > _MOST * most:
        raise CheckpointError(f"{name}: makes {len(ids)} ids of {run!r} repeated to {len(text)} characters")
