"""Scenario packs: what is in them, whether they are sound, who their customers are; and one of these called now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.screen import Screen

from dialog_rl.browsing.stepping import Opened
from dialog_rl.text import fit, pad
from dialog_rl.tui import house
from dialog_rl.tui.browsed import Browsed
from dialog_rl.tui.dialogs import AskLine
from dialog_rl.tui.house import House
from dialog_rl.tui.panes import Panes, Styled
from dialog_rl.tui.preferences import Preferences
from dialog_rl.tui.sanely import PatientDriver
from dialog_rl.tui.stepping import EpisodeScreen

PAGE = 50
"""Customers that are listed at a time: a pack has no end of them."""
NEAR = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PackRow:
    name: str
    """As commands take it: a name, or a folder."""
    title: str
    language: str
    customers: int | None = None
    """How many there are; None where they are made without end."""
    problem: str = ""
    """Why it cannot be opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRow:
    number: int
    who: str
    wants: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """What the screens show and do, by whoever can. All of it may take its time and raise DialogRLError."""

    packs: Callable[[], Sequence[PackRow]]
    show: Callable[[str], Sequence[str]]
    """What is in a pack, a line each."""
    lint: Callable[[str], Sequence[str]]
    """What is wrong with it, a line each; the first says how much."""
    customers: Callable[[str, int, int], Sequence[CustomerRow]]
    """Of a pack, from a number on, so many."""
    card: Callable[[str, int], Sequence[str]]
    """Who a customer is and what would be right, a line each."""
    call: Callable[[str, int, str], Opened]
    """Let a customer call a version, and log it."""
    talk: Callable[[str, int], None]
    """Somebody will take this customer's place, once the screen has ended."""
    tried: Browsed
    """Where the calls are logged."""


class PacksScreen(Panes):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "customers", "Customers", id="pack-customers"),
        Binding("l", "lint", "Lint", id="lint"),
        Binding("r", "read", "Read again", id="packs-read"),
    ]

    def __init__(self, stock: Stock) -> None:
        super().__init__("scenario packs")
        self.stock = stock
        self.packs: Sequence[PackRow] = ()

    def on_mount(self) -> None:
        self.rows.focus()
        self.action_read()

    def action_read(self) -> None:
        self.say("reading …")
        self.do(self.stock.packs, self._take)

    def _take(self, packs: Sequence[PackRow]) -> None:
        self.packs = packs
        self.list([_told(pack) for pack in packs])
        self.say(f"{len(packs)} packs" if len(packs) != 1 else "1 pack")

    def _chosen(self) -> PackRow | None:
        return self.packs[self.at] if self.at is not None and self.at < len(self.packs) else None

    def on_option_list_option_highlighted(self) -> None:
        pack = self._chosen()
        if pack is not None and pack.problem:
            self.detail([pack.problem])
        elif pack is not None:
            self.detail_of(lambda: self.stock.show(pack.name))

    def on_option_list_option_selected(self) -> None:
        self.action_customers()

    def action_customers(self) -> None:
        pack = self._chosen()
        if pack is not None and not pack.problem:
            self.app.push_screen(CustomersScreen(self.stock, pack))

    def action_lint(self) -> None:
        pack = self._chosen()
        if pack is not None:
            self.detail_of(lambda: self.stock.lint(pack.name), f"{pack.name}: every kind of customer is played …")


class CustomersScreen(Panes):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,c", "call", "Let them call", id="customer-call"),
        Binding("v", "version", "Version", id="customer-version"),
        Binding("t", "talk", "Talk in their place", id="customer-talk"),
        Binding("escape", "dismiss", "Back", id="customers-back"),
    ]

    def __init__(self, stock: Stock, pack: PackRow) -> None:
        super().__init__(f"{pack.name} · customers")
        self.stock, self.pack = stock, pack
        self.customers: list[CustomerRow] = []
        self.version = "champion"
        self._reading = self._calling = False

    def on_mount(self) -> None:
        self.rows.focus()
        self._say()
        self._read()

    def _say(self) -> None:
        self.say(f"{self.version} is speaking …" if self._calling else f"{self.version} answers")

    def _read(self) -> None:
        here, most = len(self.customers), self.pack.customers
        count = PAGE if most is None else min(PAGE, most - here)
        if count > 0 and not self._reading:
            self._reading = True
            self.do(lambda: self.stock.customers(self.pack.name, here, count), self._take)

    def _take(self, found: Sequence[CustomerRow]) -> None:
        self._reading = False
        self.customers += found
        self.list([((f"{one.number:>4}  {fit(one.who, 20)} ", ""), (one.wants, "bold")) for one in self.customers])

    def on_option_list_option_highlighted(self) -> None:
        at = self.at
        if at is None or at >= len(self.customers):
            return
        number = self.customers[at].number
        self.detail_of(lambda: self.stock.card(self.pack.name, number))
        if at + NEAR >= len(self.customers):
            self._read()

    def on_option_list_option_selected(self) -> None:
        self.action_call()

    def action_call(self) -> None:
        """The customer calls; the conversation is opened when it has ended."""
        if self.at is None or self._calling:
            return
        number, version = self.customers[self.at].number, self.version
        self._calling = True
        self._say()
        self.do(lambda: self.stock.call(self.pack.name, number, version), self._called)

    def _called(self, opened: Opened) -> None:
        self._calling = False
        self._say()
        self.app.push_screen(EpisodeScreen(self.stock.tried, opened))

    def _failed(self, why: str) -> None:
        self._reading = self._calling = False
        self._say()
        super()._failed(why)

    @work
    async def action_version(self) -> None:
        version = await self.app.push_screen_wait(AskLine("Who is to answer? A version, or 'expert'", self.version))
        if version and version.strip():
            self.version = version.strip()
            self._say()

    def action_talk(self) -> None:
        if self.at is not None:
            self.stock.talk(self.pack.name, self.customers[self.at].number)
            self.app.exit(return_code=0)


def _told(pack: PackRow) -> Sequence[Styled]:
    if pack.problem:
        return (("✗ ", "$text-error"), (pack.name, ""))
    return (f"{pad(pack.name, 12)} ", "bold"), (f"{pack.title or 'no title'} ({pack.language})", "")


class PacksApp(House):
    CSS_PATH = ["house.tcss", "browse.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit", id="leave"),
        Binding("question_mark", "help", "Help", id="help-too", show=False),
    ]

    def __init__(self, stock: Stock, preferences: Preferences, **options: Any) -> None:
        super().__init__(preferences, **options)
        self.packs_screen = PacksScreen(stock)

    def get_default_screen(self) -> Screen[Any]:
        return self.packs_screen


def run(stock: Stock, preferences: Preferences) -> tuple[int, str]:
    """Show them on this process's terminal until the person leaves. Returns the exit code and a last word."""
    return house.run(PacksApp(stock, preferences, driver_class=PatientDriver))
