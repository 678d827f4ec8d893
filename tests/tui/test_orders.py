"""Commands in place of messages: each does what its key does."""

from __future__ import annotations

from pathlib import Path

from dialog_rl.chat.commands import ON_SCREEN
from dialog_rl.tui.chat import ChatScreen
from dialog_rl.tui.review import Review
from tests.tui.desk import Shown, run, shown


async def order(there: Shown, text: str) -> None:
    await there.type(text)
    await there.press("enter")


def test_every_command_has_its_order() -> None:
    assert [command.name for command in ON_SCREEN if not hasattr(ChatScreen, f"order_{command.name}")] == []


def test_ratings_are_given_in_words(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one") as there:
            await order(there, "/good")
            assert "no reply yet" in there.status
            await there.say("a")
            for text in (
                "/good",
                "/bad",
                "/rate 4",
                "/tag rude too_long",
                "/comment hm",
                "/correct Hello!",
                "/whole 2",
            ):
                await order(there, text)
            await there.until(lambda: len(there.ratings()) == 2)
            (one,) = [rating for rating in there.ratings() if rating.turn == 0]
            assert (one.value, one.tags, one.comment, one.correction) == (0.5, ("rude", "too_long"), "hm", "Hello!")
            await order(there, "/undo")
            await there.until(lambda: len(there.ratings()) == 1)

    run(scene)


def test_what_is_wrong_with_a_command_is_said(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one") as there:
            await there.say("a")
            for text, wrong in (
                ("/godo", "did you mean /good?"), ("/rate 9", "no number from 1 to 5"), ("/tag lovely", "is no tag"),
                ("/learn maybe", "on or /learn off"), ("/theme ugly", "no theme 'ugly'"), ("/[x", "no command"),
                ("/export pdf", "md, json, pairs"),
            ):  # fmt: skip
                await order(there, text)
                await there.until(lambda wrong=wrong: wrong in there.status)
            assert len(there.session.turns) == 1

    run(scene)


def test_a_conversation_is_named_exported_and_looked_back_on(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one") as there:
            await there.say("a")
            await order(there, "/name The first")
            await there.until(lambda: "called The first" in there.status)
            assert there.chat.desk.room.saved()[0].title == "The first"
            for kind, ending in (("", ".md"), ("json", ".jsonl"), ("pairs", ".pairs.jsonl")):
                await order(there, f"/export {kind}")
                path = tmp_path / "exports" / f"{there.session.id}{ending}"
                await there.until(lambda path=path: str(path) in there.status)
                assert path.exists()
            assert "# The first" in (tmp_path / "exports" / f"{there.session.id}.md").read_text()
            await order(there, "/copy")
            assert there.app.clipboard == "one"
            await order(there, "/review")
            assert isinstance(there.app.focused, Review)

    run(scene)


def test_another_customer_is_free_if_that_is_wanted(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path) as there:
            first = there.session
            await order(there, "/free")
            await there.until(lambda: there.session is not first)
            assert "whatever you like" in there.text("#card-above")
            await order(there, "/learn on")
            await there.until(lambda: "● learning" in there.text("#who"))

    run(scene)


def test_a_command_is_completed_by_tab(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path) as there:
            await there.press("slash", "e", "x")
            assert there.chat.composer.suggestion == "port"
            await there.press("tab")
            assert there.typed == "/export"
            await there.press("tab")
            assert isinstance(there.app.focused, Review)

    run(scene)
