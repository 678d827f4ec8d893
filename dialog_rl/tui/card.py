"""In whose place one speaks, beside the conversation or above it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from textual.content import Content
from textual.widgets import Static

from dialog_rl.chat.card import Card, Wish
from dialog_rl.tui import harmless

Pairs = Sequence[tuple[str, str]]


class CardView(Static):
    DEFAULT_CLASSES = "card"

    def __init__(self, card: Card, *, roomy: bool, id: str | None = None) -> None:
        """roomy: a thing a line, where there is a column to itself; else as few lines as will do."""
        self._told = spaced if roomy else told
        super().__init__(self._told(card), markup=False, id=id)

    def show(self, card: Card) -> None:
        self.update(self._told(card))


def told(card: Card) -> Content:
    """The card in few lines."""
    parts = [_call(card)]
    if card.known:
        parts.append(Content("You are ").append(_on_a_line(card.known)))
    for wish in card.wishes:
        parts.append(Content("You want: ").append(_wish(wish)))
        if wish.details:
            parts.append(Content("    ").append(_on_a_line(wish.details)))
        parts += _refusal(wish)
    return Content("\n").join([*parts, *_rest(card)])


def spaced(card: Card) -> Content:
    """The card with a thing a line."""
    parts = [_call(card), Content("")]
    if card.known:
        parts += [Content("You are"), *_in_lines(card.known), Content("")]
    for wish in card.wishes:
        parts += [Content("You want: ").append(_wish(wish)), *_in_lines(wish.details), *_refusal(wish), Content("")]
    return Content("\n").join([*parts, *_rest(card)])


def _call(card: Card) -> Content:
    return Content.styled(harmless.line(f"You call {card.shop}.").plain, "bold")


def _wish(wish: Wish) -> Content:
    return Content.styled(harmless.line(wish.what).plain, "bold")


def _refusal(wish: Wish) -> Iterator[Content]:
    if wish.refusal:
        yield Content.styled(f"    to be refused: {harmless.line(wish.refusal).plain}", "$warning")


def _rest(card: Card) -> Iterator[Content]:
    """How one might begin, or what there is to ask about."""
    if card.instructions and not card.wishes:
        yield harmless.line(card.instructions, 1000)
    if card.example:
        yield Content.styled(f"As in “{harmless.line(card.example).plain}”", f"italic {harmless.MUTED}")
    if card.records:
        yield Content("On file:")
        yield from (Content.styled(f"    {harmless.line(record).plain}", harmless.MUTED) for record in card.records)


def _on_a_line(pairs: Pairs) -> Content:
    return Content(", ").join(_pair(name, value) for name, value in pairs)


def _in_lines(pairs: Pairs) -> Iterator[Content]:
    width = max((len(name) for name, _ in pairs), default=0)
    yield from (Content("  ").append(_pair(f"{name:<{width}}", value)) for name, value in pairs)


def _pair(name: str, value: str) -> Content:
    name = harmless.said(name).plain.replace("\n", " ")
    return Content.styled(f"{name} ", harmless.MUTED).append(Content.styled(harmless.line(value).plain, "$accent"))
