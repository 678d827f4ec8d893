"""Nothing a stranger wrote reaches the terminal as anything but visible text.

DIALOG_RL_FULL=1 gives the campaigns their full size: a million texts, of which 20,000 are drawn. Else they are samples.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest
from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.color import Color
from textual.driver import Driver
from textual.widgets import Markdown, Static

from dialog_rl.chat.card import Card, Wish
from dialog_rl.episode import Message, Rating, Role, Step, ToolCall, Turn
from dialog_rl.text import printable
from dialog_rl.tui import harmless
from dialog_rl.tui.card import spaced, told
from dialog_rl.tui.speech import Speech
from dialog_rl.tui.transcript import Calls, TurnView, opinion
from tests.tui import hostile
from tests.tui.desk import run, shown

FULL = 1_000_000 if os.environ.get("DIALOG_RL_FULL") else 0
WAIT = 600.0 if FULL else 30.0
"""Seconds after which what was never drawn is a failure."""


@pytest.mark.timeout(0 if FULL else 120)
def test_no_text_keeps_a_character_that_steers_a_terminal() -> None:
    rng = random.Random(1)
    for _ in range(FULL or 5000):
        text = hostile.text(rng)
        for shown_text in (harmless.said(text).plain, harmless.line(text).plain, harmless.typed(text)):
            assert not hostile.FORBIDDEN.search(shown_text), ascii(text)
        assert "\n" not in harmless.line(text).plain and "\t" not in harmless.said(text).plain


def test_brackets_are_text_and_no_markup() -> None:
    for text in hostile.PIECES:
        if not hostile.FORBIDDEN.search(text) and "\t" not in text:
            assert harmless.said(text).plain == text and not harmless.said(text).spans


def test_pieces_come_out_as_the_whole_would_wherever_it_is_cut() -> None:
    rng = random.Random(2)
    for _ in range(FULL // 100 or 500):
        text = hostile.text(rng)
        cuts = sorted(rng.randint(0, len(text)) for _ in range(3))
        stream = harmless.Stream()
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert "".join([*map(stream.feed, pieces), stream.rest()]) == printable(text)


def test_the_last_line_of_defence_drops_what_a_widget_let_through() -> None:
    rng = random.Random(3)
    for _ in range(500):
        segments = [Segment(hostile.text(rng)), Segment("plain")]
        out = harmless.Harmless().apply(segments, Color(0, 0, 0))
        joined = "".join(segment.text for segment in out)
        assert not hostile.FORBIDDEN.search(joined) and "\n" not in joined and joined.endswith("plain")
    whole = [Segment("as it was"), Segment("退款 🙂")]
    assert harmless.Harmless().apply(whole, Color(0, 0, 0)) is whole


def test_everything_shown_of_facts_is_harmless() -> None:
    rng = random.Random(4)
    for _ in range(200):
        evil = hostile.text(rng)
        card = Card(
            shop=evil, known=((evil, evil),), wishes=(Wish(what=evil, details=((evil, evil),), refusal=evil),),
            instructions=evil, example=evil, records=(evil,),
        )  # fmt: skip
        rating = Rating(episode_id="e", rater="r", value=0.25, tags=(evil,), comment=evil, correction=evil)
        for content in (told(card), spaced(card), opinion(rating)):
            assert not hostile.FORBIDDEN.search(content.plain)


class Recorder(Driver):
    """A driver like any other, whose terminal is a string."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.written: list[str] = []

    def write(self, data: str) -> None:
        self.written.append(data)

    def start_application_mode(self) -> None: ...

    def disable_input(self) -> None: ...

    def stop_application_mode(self) -> None: ...


# What Textual itself sends to draw: colours, places, the beginning and end of a picture, the pointer's shape.
_DRAWING = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\d+;\d+H|\x1b\[\?2026[hl]|\x1b\[\?25[hl]|\x1b\]22;[a-z-]+\x07")


def smuggled(written: str) -> str:
    """The first thing sent to the terminal that neither draws nor is harmless text; empty if there is none."""
    text = _DRAWING.sub("", written).replace("\n", "").replace("\r", "")
    found = hostile.FORBIDDEN.search(text)
    return ascii(text[max(0, found.start() - 20) : found.start() + 20]) if found else ""


class Stage(App[None]):
    """Shows texts one after the other, in every widget that shows a stranger's words."""

    CSS = "* { height: auto; } .turn, .speech, .answer { height: auto; }"

    def compose(self) -> ComposeResult:
        return iter(())

    def get_line_filters(self) -> Any:
        return [*super().get_line_filters(), harmless.Harmless()]

    async def show(self, text: str) -> None:
        call = Step(
            message=Message(
                role=Role.ASSISTANT, text=text, tool_call=ToolCall(name=text or "x", arguments={"a": text})
            ),
            result=Message(role=Role.TOOL, text=text, error=True),
        )
        broken = Step(message=Message(role=Role.ASSISTANT, text=text, malformed=text or "x"), result=call.result)
        said = Step(message=Message(role=Role.ASSISTANT, text=text))
        turn = Turn(user=Message(role=Role.USER, text=text), steps=(call, broken, said))
        await self.screen.remove_children()
        rating = Rating(episode_id="e", rater="r", comment=text, correction=text)
        calls = Calls(turn.steps[:2])
        # markdown-it breaks on a lone surrogate in a link. Speech never gives it one; what remains is raw.
        raw = Markdown(text.encode("utf-8", "replace").decode())
        await self.screen.mount(TurnView(0, text, turn, rating), calls, Static(text, markup=False), raw)
        calls.action_fold()
        speech = Speech(classes="agent")
        await self.screen.mount(speech)
        step = max(3, len(text) // 4)
        for at in range(0, len(text), step):
            await speech.feed(text[at : at + step])
        await speech.finish()
        self.notify(printable(text), markup=False)


@pytest.mark.timeout(0 if FULL else 120)
def test_a_real_driver_is_sent_nothing_but_drawing_and_harmless_text() -> None:
    """Widgets are drawn for a terminal that is a string, raw Static and Markdown among them."""
    rng = random.Random(5)
    together = 20 if FULL else 5
    drawn = (("\n".join(hostile.text(rng) for _ in range(together))) for _ in range(FULL // 50 // together or 10))
    # One by one in the campaign; in a sample several together, for each picture takes a quarter of a second.
    pieces = hostile.PIECES if FULL else ("\n".join(hostile.PIECES[n::18]) for n in range(18))
    texts = [*pieces, *drawn]

    async def scene() -> None:
        app = Stage(driver_class=Recorder)
        running = asyncio.create_task(app.run_async(size=(100, 40), headless=False))
        while not app.is_running or app._driver is None:  # noqa: SLF001
            await asyncio.sleep(0.01)
        driver = app._driver  # noqa: SLF001
        assert isinstance(driver, Recorder)
        for text in texts:
            await shown_by(app, text)
            found = smuggled("".join(driver.written))
            assert not found, (ascii(text), found)
            driver.written.clear()
        app.exit()
        await running

    run(scene)


async def shown_by(app: Stage, text: str) -> None:
    """Have the application show a text, in its own context, and draw it."""
    done = asyncio.Event()

    async def show() -> None:
        try:
            await app.show(text)
        finally:
            app.call_after_refresh(done.set)

    app.call_later(show)
    await asyncio.wait_for(done.wait(), WAIT)
    assert app._exception is None  # noqa: SLF001


def test_the_check_itself_finds_what_is_smuggled() -> None:
    assert smuggled("\x1b[1;31mred\x1b[3;4H") == ""
    for evil in ("\x1b]0;owned\x07", "\x1b[2J", "\u202e", "\x9b31m", "a\x00"):
        assert smuggled(f"\x1b[0m{evil}")


def test_what_is_pasted_and_what_the_agent_says_is_harmless_on_the_screen(tmp_path: Path) -> None:
    evil = "a\x1b[2J[/][@click=app.quit]b[/]\u202e\x00c"

    async def scene() -> None:
        async with shown(tmp_path, evil) as there:
            await there.say(evil)
            assert there.session.turns[0].user.text == "a[2J[/][@click=app.quit]b[/]c"
            assert there.turns[0].reply.text == printable(evil)
            await there.pilot.click("TurnView .agent")
            assert there.app.is_running and there.app.return_value is None

    run(scene)


@pytest.mark.parametrize("piece", hostile.PIECES)
def test_what_is_typed_into_an_editor_keeps_its_lines_and_nothing_that_steers(piece: str) -> None:
    kept = harmless.typed(f"x{piece}y")
    assert kept.startswith("x") and kept.endswith("y") and not hostile.FORBIDDEN.search(kept)
