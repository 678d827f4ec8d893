"""A conversation in the log, as it is listed and found again."""

from __future__ import annotations

from dataclasses import dataclass, field

from dialog_rl.episode import Episode, Message, Role
from dialog_rl.text import one_line

TITLE = 60
"""Characters of a conversation's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A conversation in the log."""

    id: str
    title: str
    """As somebody named it, or how it began."""
    pack: str
    started_at: float
    turns: int
    version: str
    """Who spoke last."""
    open: bool
    """It was never ended: it can go on as it was."""
    rated: int
    """How many of one's ratings hold."""
    episode: Episode = field(repr=False)
    unanswered: Message | None = None

    def contains(self, words: str) -> bool:
        """Whether all of the words occur in its title or in anything that was said."""
        said = [message.text for message in self.episode.messages() if message.role in (Role.USER, Role.ASSISTANT)]
        last = [self.unanswered.text] if self.unanswered else []
        text = " ".join([self.title, self.id, self.pack, *said, *last]).casefold()
        return all(word in text for word in words.casefold().split())


def saved_of(
    episode: Episode, *, title: str = "", rated: int = 0, unanswered: Message | None = None, is_open: bool = False
) -> Saved:
    """title: what somebody called it."""
    answered = tuple(turn for turn in episode.turns if turn.steps)
    first = answered[0].user.text if answered else unanswered.text if unanswered else ""
    return Saved(
        id=episode.episode_id,
        title=title or one_line(first, TITLE),
        pack=episode.pack,
        started_at=episode.started_at,
        turns=len(answered),
        version=next(iter(episode.policy_versions[-1:]), ""),
        open=is_open,
        rated=rated,
        episode=episode,
        unanswered=unanswered,
    )
