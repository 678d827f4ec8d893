"""What the chat screen shows of a conversation, and where."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from dialog_rl.chat.talk import Talk, about_length
from dialog_rl.episode import Episode, StopReason
from dialog_rl.tui import harmless
from dialog_rl.tui.card import CardView
from dialog_rl.tui.composer import Composer
from dialog_rl.tui.desk import Desk
from dialog_rl.tui.keys import Keys
from dialog_rl.tui.review import Review
from dialog_rl.tui.transcript import PAGE, Older, TurnView, Whole, views

LEAST = (30, 8)
"""Columns and lines below which nothing can be shown."""
ROOMY = 70
"""Columns from which on the header has room for our name beside the customer's."""
UNANSWERED = "this was not answered yet: Enter asks again"
WELCOME = (
    "Say in your own words what this customer wants. ctrl+g and ctrl+n rate the agent's last reply, Esc stops it. "
    "{} ctrl+l lets the agent learn from it. f1 tells the rest."
)
_ENDINGS = {
    StopReason.AGENT_DONE: "The agent has ended the conversation.",
    StopReason.MAX_TURNS: "The conversation has as many turns as it may have.",
    StopReason.USER_LEFT: "You left this conversation. What you say now goes on from here in another one.",
    StopReason.ABORTED: "This conversation was broken off. What you say now goes on from here in another one.",
}


class Frame(Screen[None]):
    """A conversation on a screen, with its card, its header and one line of status."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.session = desk.first
        self.version = self.broken = ""
        """Which version will speak, once that is known, or why none can."""
        self._card = desk.first.card()
        self._status = ""

    def compose(self) -> ComposeResult:
        with Horizontal(id="top"):
            yield Static(Content(""), id="where", markup=False)
            yield Static(Content(""), id="who", markup=False)
        with Horizontal(id="middle"):
            yield Review(
                Older(Content(""), markup=False),
                CardView(self._card, roomy=False, id="card-above"),
                Static(WELCOME.format(self.desk.privacy), id="welcome", markup=False),
                Whole(Content(""), markup=False),
                id="turns",
            )
            with Vertical(id="side"):
                yield CardView(self._card, roomy=True, id="card-beside")
        yield Static(Content(""), id="status", markup=False)
        yield Composer(placeholder="Say something", id="composer")
        yield Keys()
        yield Static("too small: {} columns and {} lines are needed".format(*LEAST), id="too-small", markup=False)

    @property
    def review(self) -> Review:
        return self.query_one(Review)

    @property
    def composer(self) -> Composer:
        return self.query_one("#composer", Composer)

    def on_resize(self, event: events.Resize) -> None:
        columns, lines = LEAST
        self.set_class(event.size.width < columns or event.size.height < lines, "-too-small")
        self.show_who()

    async def show(self, session: Talk) -> None:
        """Another conversation."""
        self.session, self._card = session, session.card()
        await self.review.remove_children("TurnView, .notice")
        for card in self.query(CardView):
            card.show(self._card)
        shown = list(enumerate(session.turns))[-PAGE:]
        older = len(session.turns) - len(shown)
        self.query_one(Older).show(older)
        turns = [TurnView(n, turn.user.text, turn, session.opinions.of(n)) for n, turn in shown]
        if session.unanswered is not None:
            turns.append(TurnView(len(session.turns), session.unanswered.text))
            self.composer.put(session.unanswered.text)
            self.status(UNANSWERED)
        await self.review.mount(*turns, before=self.query_one(Whole))
        self.query_one("#welcome").display = not turns
        self.query_one(Whole).show_rating(session.opinions.of(None))
        if session.ended is not None:
            await self.show_end(session.ended)
        self.show_who()
        self.review.anchor()

    async def show_older(self) -> None:
        """The page of turns before the first that is shown."""
        shown = views(self.review)
        first = shown[0].number if shown else 0
        numbers = range(max(0, first - PAGE), first)
        opinions = self.session.opinions
        turns = self.session.turns
        older = [TurnView(n, turns[n].user.text, turns[n], opinions.of(n)) for n in numbers]
        self.query_one(Older).show(numbers.start)
        if older:
            await self.review.mount(*older, before=shown[0])
            self.review.scroll_to_widget(shown[0], animate=False, top=True)

    def show_who(self) -> None:
        """Who speaks with whom, and whether it is learnt from."""
        name = dict(self._card.known).get("name", "")
        pack = self.session.pack
        place = f"{pack} · {name}" if name else pack
        ours = Content.styled("dialog_rl  " if self.size.width >= ROOMY else "", "bold")
        self.query_one("#where", Static).update(ours.append(harmless.line(place)))
        version = self.session.version or self.version
        learning = "● learning" if self.session.trains else "○ learning off"
        who = f"{version[:8] or 'loading …'} · {learning}" if not self.broken else f"no model · {learning}"
        self.query_one("#who", Static).update(harmless.line(who))

    def status(self, text: str) -> None:
        """One line above where one types; an empty one takes no room."""
        self._status = text
        status = self.query_one("#status", Static)
        status.update(harmless.line(text, 500))
        status.display = bool(text)

    async def notice(self, *lines: str) -> None:
        """Something that happened, at the end of what was said."""
        told = Content("\n").join(harmless.line(line) for line in lines)
        await self.review.mount(Static(told, markup=False, classes="notice"), before=self.query_one(Whole))

    async def show_end(self, episode: Episode) -> None:
        self.status("")
        judged = [f"  {remark}" for remark in self.desk.judged(episode)]
        how = _ENDINGS.get(episode.stop, f"ended: {episode.stop}")
        if episode.stop is StopReason.CONTEXT_FULL:
            told = about_length(episode)
            how = f"{told[0].upper()}{told[1:]}."
        await self.notice(f"{how} ctrl+o begins another conversation.", *judged)
