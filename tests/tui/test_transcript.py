"""How what was said is shown: growing, as Markdown where it is, in pieces where it is long."""

from __future__ import annotations

import random
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.content import Content
from textual.widgets import Markdown, Static

from dialog_rl.episode import Rating
from dialog_rl.tui.speech import CHUNK, GROWING, RICH, Speech
from dialog_rl.tui.transcript import opinion
from tests.tui.desk import run


class Page(App[None]):
    CSS = "Screen { overflow-y: auto; } .speech, Static { height: auto; }"

    def __init__(self, speech: Speech) -> None:
        super().__init__()
        self.speech = speech

    def compose(self) -> ComposeResult:
        yield self.speech


async def spoken(pieces: list[str]) -> tuple[str, list[str], int]:
    """What is shown after pieces: the text, that of each plain widget, and how many Markdown widgets there are."""
    speech = Speech(classes="agent")
    async with Page(speech).run_test() as pilot:
        for piece in pieces:
            await speech.feed(piece)
        await speech.finish()
        await pilot.pause()
        plain = [] if speech.query(Markdown) else [str(static.visual) for static in speech.query(Static)]
        return speech.text, plain, len(speech.query(Markdown))


def test_it_grows_in_one_widget_until_that_is_full() -> None:
    async def scene() -> None:
        text, plain, _ = await spoken(["Hel", "lo", " you", ""])
        assert text == "Hello you" and plain == ["Hello you"]
        words = [f"word{n} " for n in range(1000)]
        text, plain, _ = await spoken(words)
        assert text == "".join(words) and "".join(plain) == text
        assert all(len(piece) <= CHUNK for piece in plain) and len(plain) == -(-len(text) // CHUNK)

    run(scene)


def test_paragraphs_stay_apart_where_it_is_cut() -> None:
    async def scene() -> None:
        lines = [f"line {n} " + "x" * 60 + "\n" for n in range(100)]
        _, plain, _ = await spoken(lines)
        assert len(plain) > 2 and all(not piece.endswith("\n") for piece in plain[:-1])
        assert "\n".join(plain) == "".join(lines)

    run(scene)


@pytest.mark.parametrize(
    "text", ["# Head\n\ntext", "a list:\n\n- one\n- two", "use `code` here", "```\nx\n```", "| a |\n|---|"]
)
def test_what_turns_out_to_be_markdown_is_laid_out_as_such(text: str) -> None:
    async def scene() -> None:
        rng = random.Random(text)
        pieces: list[str] = []
        rest = text
        while rest:
            cut = rng.randint(1, 4)
            pieces.append(rest[:cut])
            rest = rest[cut:]
        shown, plain, documents = await spoken(pieces)
        assert (shown, plain, documents) == (text, [], 1)

    run(scene)


def test_plain_text_is_not_taken_for_markdown() -> None:
    async def scene() -> None:
        for text in ("It is 5 * 3 * 2", "see #3310", "snake_case_name", "1.5 litres", "a < b"):
            assert (await spoken([text]))[2] == 0, text

    run(scene)


def test_of_a_reply_of_a_hundred_thousand_characters_only_the_last_piece_is_drawn_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[int] = []
    update = Static.update

    def noting(self: Static, content: Content, **how: Any) -> None:
        drawn.append(len(content.plain))
        update(self, content, **how)

    async def scene() -> None:
        monkeypatch.setattr(Static, "update", noting)
        part = "many words and then some more of them, for ever " * 21
        shown, plain, documents = await spoken([part] * 100)
        assert len(shown) > 100_000 > RICH and documents == 0 and len(plain) >= len(shown) / CHUNK
        assert len(drawn) >= 100 and max(drawn) <= CHUNK

    run(scene)


def test_markdown_that_becomes_too_long_goes_on_as_plain_text() -> None:
    async def scene() -> None:
        part = "- **one** thing\n" * 40
        shown, plain, documents = await spoken([*[part] * (RICH // len(part) + 2), "the end"])
        assert documents == 0 and len(plain) > 1 and shown.endswith("thing\nthe end")
        assert "".join(plain).replace("\n", "") == shown.replace("\n", "")

    run(scene)


def test_markdown_of_some_length_grows_as_plain_text_and_is_laid_out_at_its_end() -> None:
    async def scene() -> None:
        part = "- **one** thing\n" * 20
        pieces = [part] * (GROWING // len(part) + 2)
        speech = Speech(classes="agent")
        async with Page(speech).run_test() as pilot:
            for piece in pieces:
                await speech.feed(piece)
            assert GROWING < len(speech.text) <= RICH and not speech.query(Markdown)
            await speech.finish()
            await pilot.pause()
            assert len(speech.query(Markdown)) == 1 and speech.text == "".join(pieces)

    run(scene)


def test_a_rating_in_words() -> None:
    def told(**given: object) -> str:
        return opinion(Rating(episode_id="e", rater="r", **given)).plain  # type: ignore[arg-type]

    assert told() == "" and opinion(None).plain == ""
    assert [told(value=value) for value in (1.0, 0.5, 0.0, -0.5, -1.0, 0.3)] == [
        "▲ good", "★★★★☆", "★★★☆☆", "★★☆☆☆", "▼ bad", "+0.3",
    ]  # fmt: skip
    assert told(tags=("too_long",), comment="hm", correction="Hi", extra={"pair": {}}) == (
        "too long · “hm” · rather: Hi · compared"
    )
