"""Looking back: one turn is picked, and single keys say what one thinks of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from dialog_rl.chat.opinions import likert
from dialog_rl.tui.transcript import Older, Turns, TurnView, Whole, views

BEFORE = "what the version that speaks by now, or the one before it, would have said"


class Review(Turns, can_focus=True):
    """The conversation; while it has the focus, its keys rate the turn that is picked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "pick(1)", "Turn", id="next", key_display="j/k", tooltip="pick another turn, as ↓ and ↑ do"),
        Binding("k,up", "pick(-1)", id="previous", show=False),
        Binding("1", "rate(1)", "Rate", id="rate_1", key_display="1–5", tooltip="rate it"),
        *(Binding(str(n), f"rate({n})", id=f"rate_{n}", show=False) for n in range(2, 6)),
        Binding("plus,equals_sign", "good", "Good", id="review_good", key_display="+", tooltip="it is good"),
        Binding("minus", "bad", "Bad", id="review_bad", key_display="-", tooltip="it is bad"),
        Binding("t", "ask('tags')", "Tags", id="tags", tooltip="mark what is wrong with it, or right"),
        Binding("e", "ask('correction')", "Correct", id="correct", tooltip="write what it should have said"),
        Binding("c", "ask('comment')", "Comment", id="comment", tooltip="say what you think of it"),
        Binding("w", "ask('rewards')", "Why", id="rewards", tooltip="what each reward says of it, and why"),
        Binding("u", "ask('undo')", "Undo", id="undo", tooltip="take the last rating back"),
        Binding("d", "whole", "Whole", id="whole", tooltip="rate the whole conversation"),
        Binding("y", "ask('copy')", "Copy", id="copy", tooltip="copy the reply"),
        Binding("o", "unfold", "Unfold", id="unfold", tooltip="show all of what it looked up"),
        Binding("r", "ask('resend')", "Resay", id="resend", tooltip="say your message otherwise"),
        Binding("b", "ask('before')", "Before", id="before", tooltip=BEFORE),
        Binding("s", "ask('scenario')", "Scenario", id="scenario", tooltip="make a scenario file of it"),
        Binding("home", "pick(-100000)", "First", id="first", show=False),
        Binding("end", "pick(100000)", "Last", id="last", show=False),
        Binding("escape", "ask('back')", "Back", id="back", tooltip="back to the prompt"),
    ]

    @dataclass
    class Judged(Message):
        """What is thought of a turn; of the whole conversation if the number is None."""

        number: int | None
        changes: dict[str, Any] = field(default_factory=dict)

    @dataclass
    class Asked(Message):
        """Something that needs more than a key."""

        what: str
        number: int | None

    def __init__(self, *children: Any, id: str | None = None) -> None:
        super().__init__(*children, id=id)
        self._picked: TurnView | Whole | None = None

    @property
    def number(self) -> int | None:
        """The turn that is picked; None if it is the whole."""
        return self._picked.number if isinstance(self._picked, TurnView) else None

    def on_focus(self) -> None:
        self.release_anchor()
        if self._picked is None or not self._picked.is_attached:
            self._pick(self._last_answered())

    def on_blur(self) -> None:
        if not self.screen.is_current:
            return  # a window stands before it; the pick stays
        self._pick(None)
        self.anchor()

    def action_pick(self, by: int) -> None:
        choices = [*views(self), self.query_one(Whole)]
        if self._picked is None:
            return
        at = choices.index(self._picked) + by
        older = self.query_one(Older)
        if at < 0 and older.display:
            self.post_message(Older.Wanted())
        self._pick(choices[max(0, min(at, len(choices) - 1))])

    def action_rate(self, stars: int) -> None:
        self._judge(value=likert(stars))

    def action_good(self) -> None:
        self._judge(value=1.0)

    def action_bad(self) -> None:
        self._judge(value=-1.0)

    def action_whole(self) -> None:
        self._pick(self.query_one(Whole))

    def action_unfold(self) -> None:
        if isinstance(self._picked, TurnView):
            self._picked.calls.action_fold()

    def action_ask(self, what: str) -> None:
        self.post_message(self.Asked(what, self.number))

    def _judge(self, **changes: Any) -> None:
        self.post_message(self.Judged(self.number, changes))

    def _last_answered(self) -> TurnView | Whole:
        answered = [view for view in views(self) if view.turn is not None]
        return answered[-1] if answered else self.query_one(Whole)

    def _pick(self, picked: TurnView | Whole | None) -> None:
        for choice in (self._picked, picked):
            if isinstance(choice, Whole):
                choice.set_class(choice is picked, "selected")
                choice.display = choice is picked or bool(choice.has_class("rated"))
        if self._picked is not None:
            self._picked.remove_class("selected")
        self._picked = picked
        if picked is not None:
            picked.add_class("selected")
            self.scroll_to_widget(picked, animate=False)
