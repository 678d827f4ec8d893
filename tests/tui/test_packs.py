"""Packs and their customers by keys: read, linted, called, spoken in the place of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dialog_rl.browsing.stepping import opened
from dialog_rl.errors import ScenarioError
from dialog_rl.text import unsafe
from dialog_rl.tui.help import HelpScreen
from dialog_rl.tui.packs import PAGE, CustomerRow, CustomersScreen, PackRow, PacksApp, Stock
from dialog_rl.tui.preferences import Preferences
from dialog_rl.tui.stepping import EpisodeScreen
from tests.browsing.made import TROUBLED, episode
from tests.tui.desk import Listed, run

EVIL = "[red]x[/red] \x1b[2J \u202e"


class Shop:
    """Two packs, one of which cannot be opened."""

    def __init__(self) -> None:
        self.talks: list[tuple[str, int]] = []
        self.called: list[tuple[str, int, str]] = []
        self.broken = ""

    def stock(self) -> Stock:
        return Stock(
            packs=lambda: [
                PackRow(name="shop", title=f"A shop {EVIL}", language="en", customers=PAGE + 7),
                PackRow(name="hole", title="", language="", problem="hole: no such file"),
            ],
            show=lambda name: [f"{name} in full {EVIL}"], lint=self.lint, customers=self.customers,
            card=lambda name, number: [f"You are customer {number}"], call=self.call,
            talk=lambda name, number: self.talks.append((name, number)), tried=None,  # type: ignore[arg-type]
        )  # fmt: skip

    def lint(self, name: str) -> Sequence[str]:
        if self.broken:
            raise ScenarioError(self.broken)
        return ["0 errors, 1 warning", "warning: pack.yaml: too short"]

    def customers(self, name: str, first: int, count: int) -> Sequence[CustomerRow]:
        return [CustomerRow(number=n, who=f"Ann {n}", wants="cancel order") for n in range(first, first + count)]

    def call(self, name: str, number: int, version: str) -> Any:
        if version == "gone":
            raise ScenarioError("there is no version gone")
        self.called.append((name, number, version))
        return opened(episode(9, *TROUBLED))


class There(Listed):
    def __init__(self, app: PacksApp, pilot: Any, shop: Shop) -> None:
        super().__init__(pilot)
        self.app, self.shop = app, shop

    async def customers(self) -> CustomersScreen:
        await self.reads("in full")
        await self.press("enter")
        await self.reads("You are customer 0")
        screen = self.app.screen
        assert isinstance(screen, CustomersScreen)
        return screen


@asynccontextmanager
async def there(size: tuple[int, int] = (80, 24)) -> AsyncIterator[There]:
    shop = Shop()
    app = PacksApp(shop.stock(), Preferences())
    async with app.run_test(size=size) as pilot:
        yield There(app, pilot, shop)


def play(scene: Callable[[There], Any], **options: Any) -> None:
    async def whole() -> None:
        async with there(**options) as shown:
            await scene(shown)

    run(whole)


@pytest.mark.parametrize("size", [(50, 12), (80, 24), (120, 40), (200, 60)], ids=str)
def test_packs_are_shown_with_what_is_in_them_whatever_the_size(size: tuple[int, int]) -> None:
    async def scene(shown: There) -> None:
        await shown.reads("shop in full [red]x[/red]")
        await shown.press("j")
        await shown.reads("no such file")
        assert not unsafe(shown.told()) and shown.app.screen.query_one("#detail").region.height > 2

    play(scene, size=size)


def test_a_pack_is_linted_and_what_keeps_it_from_that_is_said() -> None:
    async def scene(shown: There) -> None:
        await shown.reads("in full")
        await shown.press("l")
        await shown.reads("warning: pack.yaml: too short")
        shown.shop.broken = "pack.yaml: cannot be read"
        await shown.press("l")
        await shown.reads("cannot be read")
        await shown.press("r")
        await shown.reads("2 packs")

    play(scene)


def test_a_customer_calls_and_the_conversation_is_opened() -> None:
    async def scene(shown: There) -> None:
        screen = await shown.customers()
        await shown.press("v")
        await shown.answers("gone")
        await shown.reads("gone answers")
        await shown.press("c")
        await shown.reads("there is no version gone")
        screen.version = "expert"
        await shown.press("j")
        for key in ("c", "enter"):
            await shown.press(key)
            await shown.until(lambda: isinstance(shown.app.screen, EpisodeScreen))
            await shown.press("escape")
        assert shown.shop.called == [("shop", 1, "expert")] * 2
        await shown.press("escape")
        await shown.until(lambda: shown.app.screen is shown.app.packs_screen)

    play(scene)


def test_the_list_of_customers_grows_to_its_end() -> None:
    async def scene(shown: There) -> None:
        screen = await shown.customers()
        assert len(screen.customers) == PAGE
        await shown.press("end")
        await shown.until(lambda: len(screen.customers) == PAGE + 7)
        await shown.press("end")
        await shown.reads(f"You are customer {PAGE + 6}")

    play(scene)


def test_keys_choose_a_row_and_read_on_in_what_is_known_of_it() -> None:
    async def scene(shown: There) -> None:
        screen = await shown.customers()
        for key, row in (("j", 1), ("down", 2), ("k", 1), ("up", 0), ("end", PAGE - 1), ("home", 0)):
            await shown.press(key)
            assert screen.at == row
        await shown.reads("You are customer 0")
        screen.detail([f"line {n}" for n in range(99)])
        detail = screen.query_one("#detail")
        await shown.press("pagedown")
        await shown.until(lambda: detail.scroll_y > 0)
        await shown.press("pageup")
        await shown.until(lambda: detail.scroll_y == 0)

    play(scene)


@pytest.mark.parametrize("key", ["f1", "question_mark"])
def test_help_is_left_by_q_and_the_whole_by_another(key: str) -> None:
    async def scene(shown: There) -> None:
        await shown.reads("in full")
        await shown.press(key)
        await shown.until(lambda: isinstance(shown.app.screen, HelpScreen))
        await shown.reads("Lint")
        await shown.press("q")
        await shown.until(lambda: shown.app.screen is shown.app.packs_screen)
        await shown.pilot.press("q")
        await shown.until_left()

    play(scene)


def test_a_customers_place_is_taken_in_a_chat_that_follows() -> None:
    async def scene(shown: There) -> None:
        await shown.customers()
        await shown.press("j", "j")
        await shown.reads("You are customer 2")
        await shown.pilot.press("t")
        await shown.until_left()
        assert shown.shop.talks == [("shop", 2)]

    play(scene)
