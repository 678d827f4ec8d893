"""Which logged conversation a request goes on with: clients that keep nothing send the whole history each time.

A history is looked up by its digest, together with whose it is, in which pack and in which customer's place. Where two
conversations read alike so far, one that no other request has in hand is taken; such a one is as good as the other.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dialog_rl.chat.session import ChatSession
from dialog_rl.episode import StopReason
from dialog_rl.serve.keys import Owner, short_hash

PREFIX = "web"
_ID = re.compile(PREFIX + r"-\d{8}T\d{6}-(?P<owner>[0-9a-f]{8})-(?P<user>[0-9a-f]{8})-(?P<who>\d+|free)-[0-9a-f]{12}")

Said = tuple[str, str]
"""What the user said, and what was replied as the client was sent it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """What a conversation must share with a request beside its history."""

    owner: str
    user: str
    who: str
    """The customer's number, or free."""
    pack: str

    @classmethod
    def of(cls, owner: Owner, user: str, customer: int | None, pack: str) -> Whose:
        return cls(owner=owner.tag, user=short_hash(user), who="free" if customer is None else str(customer), pack=pack)

    def new_id(self) -> str:
        """An id that tells all of it but the pack, so that it is known again after a restart."""
        moment = time.strftime("%Y%m%dT%H%M%S")
        return f"{PREFIX}-{moment}-{self.owner}-{self.user}-{self.who}-{uuid.uuid4().hex[:12]}"

    @classmethod
    def told_by(cls, episode_id: str, pack: str) -> Whose | None:
        """Of a conversation that was held over HTTP; None of any other."""
        found = _ID.fullmatch(episode_id)
        return cls(**found.groupdict(), pack=pack) if found else None


@dataclass(slots=True, kw_only=True, eq=False)
class Held:
    """One conversation."""

    id: str
    whose: Whose
    said: list[Said] = field(default_factory=list)
    session: ChatSession | None = None
    """None: it is read from the log when it is needed."""
    busy: bool = True
    """A request has it in hand."""
    fresh: bool = False
    """Nothing was said in it yet."""
    ended: StopReason | None = None
    touched: float = 0.0


class Matching:
    """Conversations by id and by everything they once were. The caller sees to it that one thread at a time is in."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._by_digest: defaultdict[str, dict[str, int]] = defaultdict(dict)
        """Digest of a history → the conversations that begin so, and how many turns of them that is."""

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._held.values())

    def get(self, conversation: str) -> Held | None:
        return self._held.get(conversation)

    def add(self, held: Held) -> None:
        self._held[held.id] = held
        for digest, turns in _digests(held.whose, held.said):
            self._by_digest[digest][held.id] = turns

    def grow(self, held: Held, said: Said) -> None:
        """Note another turn of it."""
        held.said.append(said)
        self._by_digest[_digest(held.whose, held.said)][held.id] = len(held.said)

    def drop(self, held: Held) -> None:
        self._held.pop(held.id, None)
        for digest, _ in _digests(held.whose, held.said):
            self._by_digest[digest].pop(held.id, None)
            if not self._by_digest[digest]:
                del self._by_digest[digest]

    def find(self, whose: Whose, history: Sequence[Said]) -> tuple[Held, int] | None:
        """The conversation that begins so, and how many of its turns that is: one that is just there, and free, if any.

        Of several the one that was touched last.
        """
        found = [(self._held[key], turns) for key, turns in self._by_digest.get(_digest(whose, history), {}).items()]
        ranked = sorted(
            found, key=lambda f: (f[1] == len(f[0].said), f[0].ended is None, not f[0].busy, f[0].touched)
        )  # fmt: skip
        return ranked[-1] if ranked else None


def _digests(whose: Whose, said: Sequence[Said]) -> Iterable[tuple[str, int]]:
    return ((_digest(whose, said[:turns]), turns) for turns in range(1, len(said) + 1))


def _digest(whose: Whose, said: Sequence[Said]) -> str:
    told = [whose.owner, whose.user, whose.who, whose.pack, *said]
    return hashlib.sha256(json.dumps(told).encode("ascii")).hexdigest()
