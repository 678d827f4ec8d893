"""In whose place one speaks, beside the conversation or above it."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from dialog_rl.chat.card import Card
from dialog_rl.tui import harmless


class CardView(Static):
    DEFAULT_CLASSES = "card"

    def __init__(self, card: Card, *, id: str | None = None) -> None:
        super().__init__(told(card), markup=False, id=id)

    def show(self, card: Card) -> None:
        self.update(told(card))


def told(card: Card) -> Content:
    """The card, a thing a line."""
    parts = [Content.styled(harmless.line(f"You call {card.shop}.").plain, "bold")]
    if card.known:
        parts.append(Content("You are ").append(Content(", ").join(_pair(*pair) for pair in card.known)))
    for wish in card.wishes:
        details = Content(", ").join(_pair(*pair) for pair in wish.details)
        parts.append(Content("You want: ").append(Content.styled(harmless.line(wish.what).plain, "bold")))
        if wish.details:
            parts.append(Content("    ").append(details))
        if wish.refusal:
            parts.append(Content.styled(f"    to be refused: {harmless.line(wish.refusal).plain}", "$warning"))
    if card.instructions and not card.wishes:
        parts.append(harmless.line(card.instructions, 1000))
    if card.example:
        parts.append(Content.styled(f"As in “{harmless.line(card.example).plain}”", f"italic {harmless.MUTED}"))
    if card.records:
        parts.append(Content("On file:"))
        parts += [Content.styled(f"    {harmless.line(record).plain}", harmless.MUTED) for record in card.records]
    return Content("\n").join(parts)


def _pair(name: str, value: str) -> Content:
    return Content.styled(f"{harmless.line(name).plain} ", harmless.MUTED).append(
        Content.styled(harmless.line(value).plain, "$accent")
    )
