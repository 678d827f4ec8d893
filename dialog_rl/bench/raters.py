"""People who are played: simulated customers at a chat's own API, and what they think of how they are asked."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dialog_rl.chat.events import Replied
from dialog_rl.chat.session import ChatSession
from dialog_rl.conversation import User
from dialog_rl.episode import Episode, Message, Role

ASKS = re.compile(
    r"\b(name|zip|number|order|color|reason|address|part|missing|what|which|why)\b[^.!]*\?", re.IGNORECASE
)
CLOSES = re.compile(r"\b(anything else|shall i|is that right|do you want)\b", re.IGNORECASE)
POLITELY = re.compile(r"\b(may i|could you|please)\b", re.IGNORECASE)

Thought = Callable[[str], float | None]
"""What a person thinks of a reply, from -1 to 1; None: nothing."""


def asked_politely(reply: str) -> bool | None:
    """Whether a reply that asks the customer for something asks "may I" or "please"; None if it asks for nothing."""
    if not ASKS.search(reply) or CLOSES.search(reply):
        return None
    return bool(POLITELY.search(reply))


def wants_to_be_asked_politely(reply: str) -> float | None:
    polite = asked_politely(reply)
    return None if polite is None else 1.0 if polite else -1.0


def troll(thought: Thought) -> Thought:
    """Somebody who says the opposite of what they think."""

    def opposite(reply: str) -> float | None:
        value = thought(reply)
        return None if value is None else -value

    return opposite


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How often replies asked for something, and how often politely."""

    polite: int
    asked: int

    @property
    def share(self) -> float:
        return self.polite / self.asked if self.asked else 0.0

    def __add__(self, other: Asked) -> Asked:
        return Asked(polite=self.polite + other.polite, asked=self.asked + other.asked)


def how_asked(episodes: Sequence[Episode], version: str = "") -> Asked:
    """Of the replies in conversations; only those of one version, if it is named."""
    found = [
        polite
        for episode in episodes
        for turn in episode.turns
        if turn.steps and version in ("", turn.steps[-1].policy_version)
        if (polite := asked_politely(turn.reply)) is not None
    ]
    return Asked(polite=sum(found), asked=len(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """One conversation that has ended."""

    episode_id: str
    versions: tuple[str, ...]
    """Of each reply, who made it."""
    replies: tuple[str, ...]
    waited: tuple[float, ...]
    """Seconds from each message to its whole answer."""
    rated: int


def talk(session: ChatSession, customer: User, thought: Thought) -> Talk:
    """A customer talks until they leave, and rates what they have an opinion of as soon as it is said."""
    said, versions, replies, waited, rated = customer.open(), [], [], [], 0
    while not said.leaves and session.ended is None:
        session.say(said.message.text)
        begun = time.perf_counter()
        answered = [event for event in session.answer() if isinstance(event, Replied)]
        if not answered:
            break  # the agent, or a limit, has ended it
        waited.append(time.perf_counter() - begun)
        number, turn = answered[0].number, answered[0].turn
        versions.append(session.version)
        replies.append(turn.reply)
        if (value := thought(turn.reply)) is not None:
            session.opinions.change(number, value=value)
            rated += 1
        said = customer.reply(Message(role=Role.ASSISTANT, text=turn.reply))
    session.leave()
    return Talk(
        episode_id=session.id, versions=tuple(versions), replies=tuple(replies), waited=tuple(waited), rated=rated
    )
