"""What many dialogues begin with is computed once: the policy text and the tools fill most of a real model's context.

A dialogue that begins is fed in chunks that end at the same places whoever else begins, so a chunk's keys and values
are the same bits whether they were computed for this dialogue or copied from another with the same words up to there.
As in vLLM's prefix caching (Kwon et al. 2023, arXiv:2309.06180), a chunk is known by the hash of all ids up to its end.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

CHUNK = 256
"""Tokens."""
MOST = 32
"""Chunks that are kept: more than one long brief, or several shorter ones."""


class Slots(Protocol):
    """What is needed of a decoder: see `dialog_rl.lm.slots`."""

    def feed(self, slots: Sequence[int], ids: Sequence[Sequence[int]]) -> object: ...

    def copied(self, slot: int, begin: int, end: int) -> Any: ...

    def paste(self, slot: int, cells: Any) -> None: ...


class Prefixes:
    """Keys and values of the chunks that dialogues began with, of one decoder and one version of its weights."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Any] = OrderedDict()

    def clear(self) -> None:
        """The weights have changed."""
        self._kept.clear()

    def begin(self, decoder: Slots, new: Mapping[int, Sequence[int]]) -> None:
        """Feed empty slots the whole chunks of what they are to be fed, but never its last token."""
        keys, at = dict.fromkeys(new, b""), 0
        while going := [slot for slot, ids in new.items() if len(ids) > at + CHUNK]:
            chunks = {slot: new[slot][at : at + CHUNK] for slot in going}
            keys |= {slot: _key(keys[slot], chunk) for slot, chunk in chunks.items()}
            first = {keys[slot]: slot for slot in reversed(going) if keys[slot] not in self._kept}
            if first:
                decoder.feed([*first.values()], [chunks[slot] for slot in first.values()])
                self._kept |= {key: decoder.copied(slot, at, at + CHUNK) for key, slot in first.items()}
            for slot in going:
                self._kept.move_to_end(keys[slot])
                if first.get(keys[slot]) != slot:
                    decoder.paste(slot, self._kept[keys[slot]])
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
            at += CHUNK


def _key(before: bytes, ids: Sequence[int]) -> bytes:
    return hashlib.blake2b(before + array("q", ids).tobytes(), digest_size=16).digest()
