"""Browsing by its keys, over a log of its own, on terminals of every size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.containers import VerticalScroll
from textual.widgets import OptionList

from dialog_rl.browsing import pages
from dialog_rl.browsing.closely import Closely, StepClosely, Token
from dialog_rl.browsing.comparison import Replay
from dialog_rl.browsing.pages import Wanted
from dialog_rl.browsing.standing_in import StandIn
from dialog_rl.browsing.stepping import opened
from dialog_rl.episode import StopReason
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import CheckpointError
from dialog_rl.text import unsafe
from dialog_rl.tui.browse import BrowseApp
from dialog_rl.tui.browsed import Browsed
from dialog_rl.tui.help import HelpScreen
from dialog_rl.tui.preferences import Preferences
from dialog_rl.tui.stepping import ComparisonScreen, EpisodeScreen
from tests.browsing.made import TROUBLED, episode, log, rated, said, turn
from tests.browsing.places import placed
from tests.tui.desk import Listed, run

SMALL, USUAL, LARGE, HUGE = (50, 12), (80, 24), (120, 40), (200, 60)
EVIL = "[red]x[/red] \x1b[2J \u202e"


def close_up(_: str) -> Closely:
    token = Token(text="▁Ok", logprob=-0.25, value=0.5, advantage=0.125)
    paid = [StepClosely(text="a", tokens=(token,), reward=r) for r in (0.0, 0.0, -1.0)]
    return Closely(turns=((paid[0],), (paid[1],), (paid[2],), ()), told="values by v1")


def again(there: EpisodeLog) -> Callable[[str, str], Replay]:
    def speak(name: str, version: str) -> Replay:
        if version == "gone":
            raise CheckpointError("there is no version gone")
        logged = there.get(name)
        other = replace(logged, turns=(logged.turns[0], turn("what?", said("Say your name."), act="confused")))
        return Replay(logged=logged, again=other, spoken_by=version)

    return speak


class There(Listed):
    def __init__(self, app: BrowseApp, pilot: Any, places: Places) -> None:
        super().__init__(pilot)
        self.app, self.places = app, places

    async def opens(self) -> EpisodeScreen:
        """The episode that is chosen."""
        await self.press("enter")
        await self.until(lambda: isinstance(self.app.screen, EpisodeScreen))
        screen = self.app.screen
        assert isinstance(screen, EpisodeScreen)
        return screen


class Places:
    """What became of places that were taken."""

    def __init__(self) -> None:
        self.goes_on: tuple[str, int] | None = None
        self.turn = 1
        """Where the agent's place is taken, in the conversation that there is."""
        self.kept: list[StandIn] = []
        self.handed: list[str] = []

    def go_on(self, name: str, turn: int) -> None:
        self.goes_on = name, turn

    def stand_in(self, name: str, turn: int) -> StandIn:
        return placed(self.turn)

    def hand_back(self, stand_in: StandIn, version: str) -> None:
        if version == "gone":
            raise CheckpointError("there is no version gone")
        self.handed.append(version)
        stand_in.hand_back(version, lambda conversation: conversation.stop(StopReason.MAX_TURNS))

    def keep(self, stand_in: StandIn) -> str:
        self.kept.append(stand_in)
        return "by-hand-1"


@asynccontextmanager
async def browsing(folder: Path, size: tuple[int, int] = USUAL, count: int = 5) -> AsyncIterator[There]:
    with log(folder / "r.db", count) as there:
        there.append(episode(count + 1, *TROUBLED, done=False), run="r")
        there.rate(rated("e2", -1.0))
        kept, places = folder / "e.json", Places()
        browsed = Browsed(
            name=there.name, count=lambda wanted: there.count(wanted.query),
            page=lambda wanted, before: pages.page(there, wanted, before=before),
            open=lambda name: opened(there.get(name), there.ratings(name)), close_up=close_up, again=again(there),
            keep=lambda name: kept, go_on=places.go_on, stand_in=places.stand_in, hand_back=places.hand_back,
            log_stand_in=places.keep,
        )  # fmt: skip
        app = BrowseApp(browsed, Wanted(), Preferences())
        async with app.run_test(size=size) as pilot:
            shown = There(app, pilot, places)
            await shown.until(lambda: app.browse_screen.rows)
            yield shown


def listed(there: There) -> list[str]:
    return [row.id for row in there.app.browse_screen.rows]


def play(folder: Path, scene: Callable[[There], Any], **options: Any) -> None:
    async def whole() -> None:
        async with browsing(folder, **options) as there:
            await scene(there)

    run(whole)


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("s", ["e5", "e3", "e1"]), ("ss", ["e6", "e4", "e2"]), ("rr", ["e2"]), ("rrr", ["e2"]), ("ssx", None),
        ("e", ["e6", "e5", "e4", "e3", "e2", "e1"]), ("ee", []),
    ],
)  # fmt: skip
def test_keys_filter_the_list(tmp_path: Path, keys: str, found: list[str] | None) -> None:
    async def scene(there: There) -> None:
        await there.press(*keys)
        wanted = found if found is not None else ["e6", "e5", "e4", "e3", "e2", "e1"]
        await there.until(lambda: listed(there) == wanted)

    play(tmp_path, scene)


@pytest.mark.parametrize(("key", "words", "found"), [("slash", "customer-3", 1), ("v", "v2", 2), ("p", "bank", 0)])
def test_words_a_version_and_a_pack_are_asked_for(tmp_path: Path, key: str, words: str, found: int) -> None:
    async def scene(there: There) -> None:
        await there.press(key)
        await there.answers(words)
        await there.until(lambda: len(listed(there)) == found and words in there.shown())

    play(tmp_path, scene)


def test_j_and_k_choose_another_row(tmp_path: Path) -> None:
    async def scene(there: There) -> None:
        for key, row in (("j", 1), ("down", 2), ("k", 1), ("up", 0)):
            await there.press(key)
            assert there.app.screen.query_one(OptionList).highlighted == row

    play(tmp_path, scene)


def test_a_scenario_file_is_made_of_an_episode(tmp_path: Path) -> None:
    async def scene(there: There) -> None:
        await there.opens()
        await there.press("w")
        await there.reads("e.json")

    play(tmp_path, scene)


def test_the_list_grows_as_it_is_read(tmp_path: Path) -> None:
    async def scene(there: There) -> None:
        assert len(listed(there)) == pages.PAGE
        await there.press("end")
        await there.until(lambda: len(listed(there)) == 2 * pages.PAGE)

    play(tmp_path, scene, count=130)


def test_an_episode_is_stepped_through_and_faults_are_found(tmp_path: Path) -> None:
    async def scene(there: There) -> None:
        screen = await there.opens()
        await there.reads("tool error")
        places = []
        for key in ("j", "down", "k", "up", "end", "j", "home", "n", "n", "b", "k"):
            await there.press(key)
            places.append(screen.turn)
        assert places == [1, 2, 1, 0, 3, 3, 0, 1, 1, 0, 0]
        await there.press("escape")
        await there.until(lambda: there.app.screen is there.app.browse_screen)

    play(tmp_path, scene)


def test_a_bad_rating_is_told_once(tmp_path: Path) -> None:
    async def scene(there: There) -> None:
        rating = rated("e9", -1.0, 2, comment="no")
        await there.app.push_screen(
            EpisodeScreen(there.app.browse_screen.browsed, opened(episode(9, *TROUBLED), [rating]))
        )
        await there.reads("rated -1 by ann")
        assert there.shown().count("rated -1") == 1

    play(tmp_path, scene)


def test_tokens_are_read_when_asked_for_and_what_cost_something_is_a_fault(tmp_path: Path) -> None:
    async def scene(there: There) -> None:
        await there.opens()
        await there.press("t")
        for figure in ("0.12", "▁Ok", "values by v1", "reward -1"):
            await there.reads(figure)
        await there.press("t")
        await there.until(lambda: "▁Ok" not in there.shown())

    play(tmp_path, scene)


def test_another_version_stands_beside_it_and_one_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    async def scene(there: There) -> None:
        await there.opens()
        await there.press("d")
        await there.answers("gone")
        await there.reads("there is no version gone")
        await there.press("d")
        await there.answers("v9")
        await there.until(lambda: isinstance(there.app.screen, ComparisonScreen))
        await there.reads("turn 1 is the first that differs with v9")
        view = there.app.screen.query_one(VerticalScroll)
        assert "Say your name." in there.shown()
        await there.press("home")
        await there.until(lambda: view.scroll_y == 0)
        for key, line in (("down", 1), ("j", 2), ("up", 1), ("k", 0)):
            await there.press(key)
            await there.until(lambda line=line: view.scroll_y == line)
        await there.press("escape")
        await there.until(lambda: isinstance(there.app.screen, EpisodeScreen))

    play(tmp_path, scene)


@pytest.mark.parametrize("size", [SMALL, USUAL, LARGE], ids=str)
def test_every_size_shows_what_was_wanted_and_how_it_ended(tmp_path: Path, size: tuple[int, int]) -> None:
    async def scene(there: There) -> None:
        assert "cancel order" in there.shown() and "user left" in there.shown()
        for option in there.app.screen.query_one(OptionList).options:
            assert len(str(option.prompt)) <= size[0]
        await there.opens()

    play(tmp_path, scene, size=size)


def test_help_lists_every_key_and_q_leaves(tmp_path: Path) -> None:
    async def scene(there: There) -> None:
        await there.press("question_mark")
        await there.until(lambda: isinstance(there.app.screen, HelpScreen))
        for word in ("Search", "Success", "Rated", "Ended", "Version", "Quit"):
            await there.reads(word)
        await there.press("escape")
        await there.until(lambda: there.app.screen is there.app.browse_screen)
        await there.pilot.press("q")
        await there.until_left()
        assert there.app.return_code == 0

    play(tmp_path, scene)


def test_foreign_text_steers_nothing_and_is_no_markup(tmp_path: Path) -> None:
    async def scene(there: There) -> None:
        screen = EpisodeScreen(there.app.browse_screen.browsed, opened(episode(9, turn(EVIL, said(EVIL)))))
        await there.app.push_screen(screen)
        await there.reads("[red]x[/red]")
        assert not unsafe(there.shown())

    play(tmp_path, scene)
