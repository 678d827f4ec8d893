"""Plugins by keys: looked at, checked, disabled and trusted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from dialog_rl.errors import PluginError
from dialog_rl.plugins.manifest import Manifest
from dialog_rl.text import unsafe
from dialog_rl.tui.dialogs import AskYes
from dialog_rl.tui.installed import Installed, PluginsApp
from dialog_rl.tui.preferences import Preferences
from tests.tui.desk import Listed, run

STATUS = {"disable": "disabled", "enable": "confined", "trust": "trusted", "distrust": "confined"}


class There(Listed):
    def __init__(self) -> None:
        self.decided: list[tuple[str, str]] = []
        self.plugins = {
            "own": Manifest(name="own", status="built in", value="own:plugin"),
            "polite": Manifest(name="polite", status="confined", value="polite.py", summary="[b]kind[/] \x1b[2J"),
            "wrong": Manifest(name="wrong", status="confined", value="wrong.py", problem="it cannot be read"),
        }
        self.app = PluginsApp(
            Installed(
                read=lambda: list(self.plugins.values()), check=self.check, decide=self.decide,
                show=lambda manifest: [f"{manifest.name} is {manifest.summary}"],
            ),
            Preferences(),
        )  # fmt: skip

    def check(self, name: str) -> list[str]:
        if name == "wrong":
            raise PluginError("wrong does not load")
        return [f"{name} loads and offers: rewards {name}"]

    def decide(self, name: str, what: str) -> str:
        self.decided.append((name, what))
        self.plugins[name] = replace(self.plugins[name], status=STATUS[what])
        return f"{name}: {what}"


@asynccontextmanager
async def there(size: tuple[int, int]) -> AsyncIterator[There]:
    shown = There()
    async with shown.app.run_test(size=size) as pilot:
        Listed.__init__(shown, pilot)
        await shown.reads("own is")
        yield shown


def play(scene: Callable[[There], Any], size: tuple[int, int] = (80, 24)) -> None:
    async def whole() -> None:
        async with there(size) as shown:
            await scene(shown)

    run(whole)


@pytest.mark.parametrize("size", [(50, 12), (80, 24), (120, 40), (200, 60)], ids=str)
def test_each_is_shown_with_its_status_and_no_word_of_it_steers_anything(size: tuple[int, int]) -> None:
    async def scene(shown: There) -> None:
        await shown.press("j")
        await shown.reads("polite is [b]kind[/]")
        assert "built in" in shown.told() and "1 with something wrong" in shown.told() and not unsafe(shown.told())

    play(scene, size)


def test_one_is_loaded_anew_and_checked() -> None:
    async def scene(shown: There) -> None:
        await shown.press("j", "c")
        await shown.reads("polite loads and offers")
        await shown.press("j", "enter")
        await shown.reads("wrong does not load")

    play(scene)


def test_one_is_disabled_and_enabled_again() -> None:
    async def scene(shown: There) -> None:
        await shown.press("j", "d")
        await shown.reads("disabled")
        await shown.press("d")
        await shown.until(lambda: shown.decided == [("polite", "disable"), ("polite", "enable")])

    play(scene)


def test_trust_is_asked_for_twice_and_taken_back_at_once() -> None:
    async def scene(shown: There) -> None:
        await shown.press("t")
        await shown.reads("comes with the program")
        await shown.press("j")
        for key in ("n", "y"):
            await shown.press("t")
            await shown.until(lambda: isinstance(shown.app.screen, AskYes))
            assert shown.decided == []
            await shown.press(key)
            await shown.until(lambda: shown.app.screen is shown.app.plugins_screen)
        await shown.reads("trusted")
        await shown.press("t")
        await shown.until(lambda: shown.decided == [("polite", "trust"), ("polite", "distrust")])

    play(scene)


def test_they_are_read_again_and_left_by_q() -> None:
    async def scene(shown: There) -> None:
        await shown.press("question_mark")
        await shown.reads("Reload and check")
        await shown.press("f1")
        await shown.until(lambda: shown.app.screen is shown.app.plugins_screen)
        shown.plugins["new"] = Manifest(name="new", status="confined", value="new.py")
        await shown.press("r")
        await shown.reads("4 installed")
        await shown.pilot.press("q")
        await shown.until_left()

    play(scene)
