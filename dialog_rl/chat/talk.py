"""What a face needs of a conversation and of where conversations are kept: in this process, or at a service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from dialog_rl.chat.card import Card
from dialog_rl.chat.events import Event
from dialog_rl.chat.opinions import Opinions
from dialog_rl.chat.saved import Saved
from dialog_rl.chat.voice import never
from dialog_rl.episode import Episode, Message, Turn
from dialog_rl.errors import DialogRLError

MAX_MESSAGE = 2000
"""Characters. Longer ones are refused before anything is done with them; the model's whole context is about as long."""


class NotSent(DialogRLError):
    """A message that cannot be taken: too long, or the conversation has ended."""


class Talk(Protocol):
    """One conversation with a person. What its methods do and raise stands at `chat.session.ChatSession`."""

    id: str
    turns: tuple[Turn, ...]
    unanswered: Message | None
    ended: Episode | None
    trains: bool | None
    version: str
    opinions: Opinions

    @property
    def pack(self) -> str: ...

    @property
    def kept_in(self) -> str:
        """Where it is kept, in a word for people."""
        ...

    @property
    def begun(self) -> bool: ...

    @property
    def learnable(self) -> bool: ...

    def card(self) -> Card: ...

    def begin(self) -> None: ...

    def say(self, text: str) -> None: ...

    def answer(self, cancelled: Callable[[], bool] = never) -> Iterator[Event]: ...

    def up_to(self, number: int) -> Episode:
        """As an episode that came no further than this turn; the whole one, if it ended with it."""
        ...

    def leave(self) -> Episode | None: ...

    def abort(self, note: str = "") -> Episode | None: ...

    def branch(self, turns: Sequence[Turn], say: str | None = None) -> Talk: ...

    def allow_training(self, allowed: bool) -> None: ...


class Talks(Protocol):
    """Where conversations begin and are found again. What its methods do and raise stands at `chat.room.ChatRoom`."""

    @property
    def folder(self) -> Path:
        """Where what belongs to this machine alone is kept: what was typed and not sent, what was exported."""
        ...

    def new(self, pack: str, number: int | None = None, *, free: bool = False) -> Talk: ...

    def take_up(self, saved: Saved) -> Talk: ...

    def saved(self, words: str = "") -> list[Saved]: ...

    def find(self, name: str) -> Saved: ...

    def rename(self, episode_id: str, title: str) -> None: ...

    def put_away(self, episode_id: str) -> None: ...

    def export(self, saved: Saved, kind: str) -> Path: ...

    def draft(self) -> str: ...

    def keep_draft(self, text: str) -> None: ...


def about_learning(talk: Talk) -> str:
    """Whether a conversation will be learnt from, and if not, why."""
    if not talk.trains:
        return "this conversation is not learnt from"
    if not talk.learnable:
        return "this conversation was begun without chance in it and teaches nothing; the next one will"
    return "this conversation may be learnt from, once it is rated and has ended"


def about_length(episode: Episode) -> str:
    """Why a conversation ended whose context is full."""
    if any(step.action_ids for step in episode.steps):
        return "the conversation is as long as the model can remember"
    return (
        "the agent's brief and the first message are longer than the model can remember: "
        "take a model with more positions, or raise model.context"
    )


def says_something_new(talk: Talk, text: str) -> bool:
    """Whether `text` can be said, and was not said already and left unanswered. Raises NotSent."""
    if talk.ended is not None:
        raise NotSent("the conversation has ended; begin another one")
    if len(text) > MAX_MESSAGE:
        raise NotSent(f"that message has {len(text):,} characters; at most {MAX_MESSAGE:,} fit. Nothing was sent.")
    if not text.strip():
        raise NotSent("an empty message is not sent")
    if talk.unanswered is not None and talk.unanswered.text != text:
        raise NotSent("the message before has not been answered yet")
    return talk.unanswered is None
