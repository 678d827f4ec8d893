"""What a request asks of a conversation, and what it is told first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request for a reply, understood."""

    model: str
    """As it was asked for, with what followed the first colon taken off."""
    said: str
    """What the user says now."""
    history: tuple[tuple[str, str], ...] = ()
    """What was said and replied before, as the client has it."""
    pack: str = ""
    customer: int | None = None
    conversation: str = ""
    """Its id, where the client keeps it."""
    turn: int | None = None
    """Which turn of that conversation this is, from 0: what was said in it from there on is left."""
    free: bool = False
    """The customer wants nothing in particular, whoever it is."""
    train: bool | None = None
    temperature: float | None = None
    seed: int | None = None
    user: str = ""
    stream: bool = False
    events: bool = False
    """Every event of the turn is told, not the reply's text alone."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The request has its conversation, and its turn has begun; what follows are the events of it."""

    id: str
    number: int
    """Of the turn that is made, from 0."""
    version: str
    """That makes it, the whole of it."""
    tokens: int
    """That were heard and said before."""
    history: str = ""
    """What became of the history that was sent, if it is not simply gone on with."""
