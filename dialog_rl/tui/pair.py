"""Two answers to one message, side by side, without a word about who gave which."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from dialog_rl.chat.pairs import Pair, Vote
from dialog_rl.episode import Turn
from dialog_rl.tui import harmless
from dialog_rl.tui.keys import Keys
from dialog_rl.tui.speech import Speech
from dialog_rl.tui.transcript import Calls


class PairScreen(ModalScreen[Vote | None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,a,1", "vote('first')", "A is better", id="pair_first"),
        Binding("right,b,2", "vote('second')", "B is better", id="pair_second"),
        Binding("equals_sign,t", "vote('tie')", "As good", id="pair_tie", key_display="="),
        Binding("x", "vote('both_bad')", "Both bad", id="pair_bad"),
        Binding("escape", "dismiss", "Leave it"),
    ]

    def __init__(self, pair: Pair) -> None:
        super().__init__(classes="window")
        self._pair = pair

    def compose(self) -> ComposeResult:
        with Vertical(classes="pair"):
            yield Static("Which answer is better?", classes="title", markup=False)
            yield Speech(self._pair.said.user.text, classes="user")
            with Container(classes="answers"):
                yield self._answer("A", self._pair.first)
                yield self._answer("B", self._pair.second)
            yield Static("Whose answer is which is told after the vote.", classes="hint", markup=False)
        yield Keys()

    def _answer(self, letter: str, turn: Turn) -> VerticalScroll:
        steps = [step for step in turn.steps if step.result is not None]
        box = VerticalScroll(Calls(steps), Speech(turn.reply, classes="agent"), classes="box", can_focus=False)
        box.border_title = letter
        return box

    def action_vote(self, vote: str) -> None:
        self.dismiss(Vote(vote))


def revealed(pair: Pair, vote: Vote) -> str:
    """Whose answer was which."""
    first, second = (turn.steps[-1].policy_version[:8] or "?" for turn in (pair.first, pair.second))
    anew = "; the other one was sampled anew" if first == second else ""
    told = {Vote.FIRST: "A is better", Vote.SECOND: "B is better", Vote.TIE: "both as good", Vote.BOTH_BAD: "both bad"}
    return harmless.line(f"{told[vote]}. A was {first}, B was {second}{anew}").plain
