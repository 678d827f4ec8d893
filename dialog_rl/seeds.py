"""One root seed; every other seed is derived from it by hashing what it is for."""

from __future__ import annotations

import hashlib
import random


def derive(root: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, e.g. `derive(0, "rollout", update, episode)`.

    Independent of call order, process and platform, so an episode does not depend on who ran before it.
    """
    text = "\x1f".join([str(root), *map(str, purpose)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(root: int, *purpose: str | int) -> random.Random:
    """A `random.Random` of its own for one purpose."""
    return random.Random(derive(root, *purpose))
