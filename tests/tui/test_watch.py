"""The dashboard by its keys, on terminals of every size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from dialog_rl.errors import EpisodeLogError
from dialog_rl.online import training_record
from dialog_rl.online.seen import Note, Notes, Seen, Update
from dialog_rl.online.seen_training import TrainingWatch
from dialog_rl.text import unsafe
from dialog_rl.tui.help import HelpScreen
from dialog_rl.tui.panels import Contents, Panel
from dialog_rl.tui.preferences import Preferences
from dialog_rl.tui.watch import WatchApp
from tests.online.runs import record, run
from tests.tui.desk import Pressed
from tests.tui.desk import run as play

SMALL, USUAL, LARGE, HUGE = (50, 12), (80, 24), (120, 40), (200, 60)


class Shown(Pressed):
    def __init__(self, app: WatchApp, pilot: Pilot[Any]) -> None:
        super().__init__(pilot)
        self.app, self.screen = app, app.watch_screen

    @property
    def panels(self) -> list[str]:
        """The keys of those that are shown."""
        return [panel.shown.key for panel in self.screen.query(Panel) if panel.display]

    def text(self, selector: str) -> str:
        return str(self.screen.query_one(selector, Static).visual)

    async def reads(self, what: str, selector: str = "#where") -> None:
        await self.until(lambda: what in self.text(selector))


@asynccontextmanager
async def shown(watched: object, size: tuple[int, int] = USUAL, **preferences: str) -> AsyncIterator[Shown]:
    chosen = Preferences()
    chosen.choose(**preferences)
    app = WatchApp(watched, chosen)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        there = Shown(app, pilot)
        await there.settle()
        yield there


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        (("right",), "reward"), (("tab", "tab"), "kl"), (("left",), "events"), (("shift+tab", "right"), "success"),
        (("down", "down", "up"), "reward"), (("9",), "events"),
    ],
)  # fmt: skip
def test_keys_choose_which_plot_is_shown(tmp_path: Path, keys: tuple[str, ...], chosen: str) -> None:
    async def scene() -> None:
        async with shown(TrainingWatch(run(tmp_path / "r", 3))) as there:
            assert there.panels == ["success"]
            await there.press(*keys)
            assert there.panels == [chosen] == [there.screen.chosen]

    play(scene)


def test_a_number_picks_a_plot(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(TrainingWatch(run(tmp_path / "r", 3))) as there:
            keys = [panel.key for panel in there.screen.shown]
            for number in range(9, 0, -1):
                await there.press(str(number))
                assert there.panels == [keys[number - 1]]

    play(scene)


def test_a_large_terminal_shows_all_and_enter_shows_one(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(TrainingWatch(run(tmp_path / "r", 3)), LARGE) as there:
            assert len(there.panels) == 9 and there.screen.grid
            await there.press("down")
            assert there.screen.chosen == "entropy"
            await there.press("enter")
            assert there.panels == ["entropy"]
            await there.press("space")
            assert len(there.panels) == 9

    play(scene)


@pytest.mark.parametrize("size", [SMALL, USUAL, LARGE, HUGE, (31, 9)], ids=str)
def test_every_size_has_room_for_what_it_shows(tmp_path: Path, size: tuple[int, int]) -> None:
    async def scene() -> None:
        async with shown(TrainingWatch(run(tmp_path / "r", 3)), size) as there:
            for panel in there.screen.query(Panel):
                if panel.display:
                    assert panel.size.width >= 12 and panel.size.height >= 3
                    assert panel.region.right <= size[0] and panel.region.bottom < size[1]
            assert there.screen.query_one(Contents).display == (size == USUAL)
            for key in ("enter", "right", "left", "enter"):
                await there.press(key)

    play(scene)


def test_too_small_a_terminal_says_so(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(TrainingWatch(run(tmp_path / "r", 3)), (20, 5)) as there:
            await there.until(lambda: there.screen.query_one("#too-small").display)
            await there.until(lambda: not there.screen.query_one("#middle").display)

    play(scene)


def test_a_new_update_appears_by_itself(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", 2)

    async def scene() -> None:
        async with shown(TrainingWatch(folder)) as there:
            await there.reads("r · update 2 of 10")
            training_record.append(folder, record(3))
            await there.reads("r · update 3 of 10")
            assert list(there.screen.query_one("#panel-success", Panel).shown.at) == [8, 16, 24]  # type: ignore[union-attr]

    play(scene)


def test_a_run_without_updates_is_followed_from_the_first_on(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", 0)

    async def scene() -> None:
        async with shown(TrainingWatch(folder)) as there:
            assert "no update yet" in there.text("#where") and "waiting" in there.text("#who")
            training_record.append(folder, record(1))
            await there.reads("update 1 of 10")
            assert len(there.screen.query(Panel)) == 9

    play(scene)


class Fixed:
    """Shows what it is given, and fails when told to."""

    def __init__(self, *notes: str) -> None:
        told = tuple(Note(text=note, bad=True) for note in notes)
        seen = TrainingWatch(Path("/nowhere")).look()
        self.seen: Seen = Seen(
            name="x", alive=seen.alive, told="y", update=0, of=None, charts=(),
            notes=(Notes(key="events", title="what happened", notes=told),),
        )  # fmt: skip
        self.broken = False

    def look(self) -> Seen:
        if self.broken:
            raise EpisodeLogError("the database went away")
        return self.seen

    def news(self) -> Iterator[Update]:
        return iter(())


def test_what_cannot_be_read_any_more_is_said_and_nothing_ends(tmp_path: Path) -> None:
    watched = Fixed("one")

    async def scene() -> None:
        async with shown(watched) as there:
            watched.broken = True
            await there.reads("the database went away", "#who")
            watched.broken = False
            watched.seen = Seen(**{**{n: getattr(watched.seen, n) for n in Seen.__slots__}, "update": 7})
            await there.reads("update 7")

    play(scene)


def test_long_lists_scroll_by_keys(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(Fixed(*(f"note {n}" for n in range(99)))) as there:
            (view,) = there.screen.query("VerticalScroll")
            await there.press("j", "j", "pagedown")
            assert view.scroll_y == 3
            await there.press("k", "pageup")
            assert view.scroll_y == 1

    play(scene)


def test_foreign_text_steers_nothing_and_is_no_markup(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(Fixed("[red]退款[/red] \x1b[2J \u202e")) as there:
            told = there.text(".notes")
            assert "[red]退款[/red]" in told and not unsafe(told)

    play(scene)


@pytest.mark.parametrize("key", ["f1", "question_mark"])
def test_help_lists_every_key(tmp_path: Path, key: str) -> None:
    async def scene() -> None:
        async with shown(TrainingWatch(run(tmp_path / "r", 3)), LARGE) as there:
            await there.press(key)
            await there.until(lambda: isinstance(there.app.screen, HelpScreen))
            told = " ".join(str(widget.visual) for widget in there.app.screen.query(Static))
            assert all(word in told for word in ("Next", "One/all", "Pick by number", "Quit", "Scroll a list down"))
            await there.press("escape")
            await there.until(lambda: there.app.screen is there.screen)

    play(scene)


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
def test_q_leaves(tmp_path: Path, key: str) -> None:
    async def scene() -> None:
        async with shown(TrainingWatch(run(tmp_path / "r", 3))) as there:
            await there.pilot.press(key)
            await there.until_left()
            assert there.app.return_code == 0

    play(scene)


@pytest.mark.parametrize("theme", ["ansi-dark", "ansi-light", "textual-light"])
def test_it_can_be_drawn_in_any_theme_and_without_colour(
    tmp_path: Path, theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def scene() -> None:
        async with shown(TrainingWatch(run(tmp_path / "r", 9)), LARGE, theme=theme) as there:
            assert there.app.theme == theme
            picture = there.app.export_screenshot()
            assert "success" in picture and any(chr(0x2801) <= char <= chr(0x28FF) for char in picture)

    play(scene)
