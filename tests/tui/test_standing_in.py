"""Taking a place in a logged conversation by keys: the customer's in a chat, the agent's on the spot."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Static

from dialog_rl.browsing.standing_in import BY_HAND
from dialog_rl.tui.composer import Composer
from dialog_rl.tui.standing_in import StandInScreen
from dialog_rl.tui.stepping import EpisodeScreen
from tests.browsing.places import served
from tests.tui.test_browse import HUGE, LARGE, SMALL, USUAL, There, play


async def placed(there: There, turn: int = 1) -> StandInScreen:
    await there.opens()
    await there.press(*["j"] * turn, "a")
    await there.until(lambda: isinstance(there.app.screen, StandInScreen))
    screen = there.app.screen
    assert isinstance(screen, StandInScreen)
    await there.until(lambda: isinstance(there.app.focused, Composer))
    return screen


async def says(there: There, text: str) -> None:
    await there.type(text)
    await there.press("enter")


def test_the_customers_place_is_taken_in_a_chat_that_follows(tmp_path: Path) -> None:
    async def scene(there: There) -> None:
        await there.opens()
        await there.press("j", "j")
        await there.pilot.press("c")
        await there.until_left()
        assert there.places.goes_on == ("e6", 2) and there.app.return_code == 0

    play(tmp_path, scene)


def test_the_agents_place_is_taken_and_what_was_said_is_kept(tmp_path: Path) -> None:
    async def scene(there: There) -> None:
        screen = await placed(there)
        before = len(list(screen.stand_in.lines()))
        await says(there, "And your name, please?")
        await there.until(lambda: len(list(screen.stand_in.lines())) == before + 2)
        await there.reads("And your name, please?")
        await there.press("escape")
        await there.until(lambda: isinstance(there.app.screen, EpisodeScreen))
        await there.reads("kept: by-hand-1")
        (kept,) = there.places.kept
        assert list(kept.episode("ann").steps)[-1].policy_version == BY_HAND

    play(tmp_path, scene)


def test_tools_are_called_after_a_slash_and_completed_by_tab(tmp_path: Path) -> None:
    async def scene(there: There) -> None:
        screen = await placed(there)
        await there.press(*"/find_o", "tab")
        assert screen.query_one(Composer).text == "/find_order"
        await says(there, " colour=blue")
        await there.reads("is no argument; write /find_order")
        assert screen.query_one(Composer).text == "/find_order colour=blue"
        await there.press("ctrl+u")
        await says(there, "/search_help query=returns")
        await there.reads("search_help {")
        shown = screen.query_one("#tools", Static).display
        await there.press("ctrl+t")
        assert screen.query_one("#tools", Static).display is not shown

    play(tmp_path, scene)


def test_the_rest_is_handed_back_to_a_version(tmp_path: Path) -> None:
    async def scene(there: There) -> None:
        screen = await placed(there)
        for version, told in (("gone", "there is no version gone"), ("v9", "ended: max_turns")):
            await there.press("ctrl+b")
            await there.answers(version)
            await there.reads(told)
        assert there.places.handed == ["v9"] and not screen.query_one(Composer).display
        await there.press("escape")
        await there.until(lambda: there.places.kept)

    play(tmp_path, scene)


def test_who_did_nothing_leaves_nothing(tmp_path: Path) -> None:
    async def scene(there: There) -> None:
        await placed(there, 0)
        await there.press("escape")
        await there.until(lambda: isinstance(there.app.screen, EpisodeScreen))
        assert there.places.kept == []

    play(tmp_path, scene)


def test_a_place_that_cannot_be_taken_is_said(tmp_path: Path) -> None:
    async def scene(there: There) -> None:
        there.places.turn = len(served().turns) - 1
        await there.opens()
        await there.press("a")
        await there.reads("the customer had hung up")

    play(tmp_path, scene)


@pytest.mark.parametrize("size", [SMALL, USUAL, LARGE, HUGE], ids=str)
def test_every_size_has_room_to_answer(tmp_path: Path, size: tuple[int, int]) -> None:
    async def scene(there: There) -> None:
        region = (await placed(there)).query_one(Composer).region
        assert region.height > 0 and region.bottom < size[1]

    play(tmp_path, scene, size=size)
