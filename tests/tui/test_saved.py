"""Kept conversations on the screen."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import OptionList

from dialog_rl.tui.dialogs import AskLine, AskYes
from dialog_rl.tui.saved import SavedScreen
from tests.tui.desk import Shown, run, shown


async def opened(there: Shown) -> SavedScreen:
    await there.press("ctrl+s")
    await there.until(lambda: isinstance(there.app.screen, SavedScreen))
    screen = there.app.screen
    assert isinstance(screen, SavedScreen)
    return screen


def rows(screen: SavedScreen) -> list[str]:
    found = screen.query_one(OptionList)
    return [str(found.get_option_at_index(n).prompt).split("\n")[0] for n in range(found.option_count)]


async def two(there: Shown) -> None:
    for text in ("where is it?", "hello [/] \x1b"):
        first = there.session
        await there.say(text)
        await there.press("ctrl+o")
        await there.until(lambda first=first: there.session is not first)


def test_they_are_searched_as_one_types(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one", "two") as there:
            await two(there)
            screen = await opened(there)
            await there.until(lambda: len(rows(screen)) == 2)
            assert {*rows(screen)} == {"where is it?", "hello [/]"}
            await there.press("slash")
            await there.type("where")
            await there.until(lambda: rows(screen) == ["where is it?"])
            await there.type(" nothing")
            await there.until(lambda: rows(screen) == [])
            await there.press("escape", "escape")
            await there.until(lambda: there.app.screen is there.chat)

    run(scene)


def test_one_is_named_exported_and_put_away(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one", "two") as there:
            await two(there)
            screen = await opened(there)
            await there.until(lambda: len(rows(screen)) == 2)
            await there.press("r")
            await there.until(lambda: isinstance(there.app.screen, AskLine))
            await there.press("ctrl+u")
            await there.type("Mine")
            await there.press("enter")
            await there.until(lambda: "Mine" in rows(screen))
            for key in ("m", "l", "p"):
                await there.press(key)
            await there.until(lambda: len(list((tmp_path / "exports").glob("*"))) == 3)
            for key in ("d", "delete"):  # the second one is not done away with
                await there.press(key)
                await there.until(lambda: isinstance(there.app.screen, AskYes))
                await there.press("enter" if key == "d" else "n")
                await there.until(lambda: there.app.screen is screen)
            await there.until(lambda: len(rows(screen)) == 1)
            assert "Mine" not in rows(screen)

    run(scene)


def test_j_and_k_choose_another_one_and_the_one_that_goes_on_is_named(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one", "two") as there:
            await two(there)
            await there.say("three")
            screen = await opened(there)
            await there.until(lambda: len(rows(screen)) == 3)
            found = screen.query_one(OptionList)
            for key, row in (("j", 1), ("down", 2), ("k", 1), ("up", 0)):
                await there.press(key)
                assert found.highlighted == row
            told = [str(found.get_option_at_index(n).prompt) for n in range(3)]
            assert ["this one" in one for one in told] == [True, False, False]

    run(scene)


def test_nothing_kept_is_said(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path) as there:
            screen = await opened(there)
            await there.until(lambda: "nothing is kept yet" in str(screen.query_one("#saved-status").visual))  # type: ignore[attr-defined]
            await there.press("m", "r", "d", "enter")
            assert there.app.screen is screen

    run(scene)
