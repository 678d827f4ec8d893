"""`dialog-rl scenarios browse`: packs and their customers on the whole terminal."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dialog_rl.cli import browse as browsing
from dialog_rl.cli import opening, pack_deeds
from dialog_rl.cli.chat import card, chat, handed_on
from dialog_rl.cli.options import environment_options, open_environment
from dialog_rl.cli.output import leave, require_a_screen
from dialog_rl.config import Settings, user_file
from dialog_rl.errors import DialogRLError
from dialog_rl.staging import Customers, Stage, find_pack

if TYPE_CHECKING:
    from dialog_rl.browsing.stepping import Opened
    from dialog_rl.episode_log.log import EpisodeLog
    from dialog_rl.plugins.loading import Plugins
    from dialog_rl.scenario import Scenario
    from dialog_rl.tui.packs import CustomerRow, PackRow, Stock

TRIED = "tried"
"""The run under which calls from here are logged."""
SPLIT = "validation"
"""As in `chat`, where the same number is the same customer: nobody that training or the last measurement meets."""
SEEDS = 2
"""Customers a circumstance that lint plays here; `scenarios lint` takes more."""


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@environment_options
def browse(
    folders: tuple[Path, ...], config_file: Path | None, plugin: tuple[Path, ...], no_plugin: tuple[str, ...]
) -> None:
    """Look through packs on the whole terminal, those installed and those in FOLDERS.

    Read and lint them, look at their customers, let one of them call a version now or take their place.
    """
    require_a_screen("'dialog-rl scenarios list' writes lines")
    from dialog_rl.episode_log.log import EpisodeLog
    from dialog_rl.tui import packs
    from dialog_rl.tui.preferences import FILE, Preferences

    with open_environment(config_file, plugin, no_plugin) as (resolved, plugins):
        folder = Path(resolved.settings.paths.runs) / TRIED
        folder.mkdir(parents=True, exist_ok=True)
        with EpisodeLog.open(folder / opening.LOG) as log:
            shop = Storeroom(resolved.settings, plugins, log, folders)
            ended = packs.run(shop.stock(), Preferences(user_file().parent / FILE))
    leave(ended)
    if goes_on := shop.goes_on or shop.shelf.goes_on:
        chat.main([*goes_on, *handed_on(config_file, plugin, no_plugin)], standalone_mode=False)


class Storeroom:
    """Packs with what can be done with them, as the commands do it."""

    def __init__(self, settings: Settings, plugins: Plugins, log: EpisodeLog, folders: Sequence[Path]) -> None:
        self._settings, self._plugins, self._log, self._folders = settings, plugins, log, folders
        self.shelf = browsing.Shelf(settings, plugins, log)
        self.goes_on: list[str] = []
        """As `Shelf.goes_on`."""
        self._stage = cache(self._opened)

    def stock(self) -> Stock:
        from dialog_rl.tui.packs import Stock

        return Stock(
            packs=lambda: list(self.packs()), show=self.show, lint=self.lint, customers=self.customers, card=self.card,
            call=self.call, talk=self.talk, tried=self.shelf.browsed(),
        )  # fmt: skip

    def packs(self) -> Iterator[PackRow]:
        from dialog_rl.tui.packs import PackRow

        self._stage.cache_clear()
        for name in pack_deeds.names(self._plugins, self._folders):
            try:
                pack = find_pack(self._plugins.registry, name)
            except DialogRLError as e:
                yield PackRow(name=name, title="", language="", problem=str(e))
                continue
            there = pack_deeds.customers_of(pack, SPLIT)
            yield PackRow(name=name, title=pack.file.title, language=pack.language, customers=there)

    def show(self, name: str) -> list[str]:
        return list(pack_deeds.briefly(self._stage(name).pack))

    def lint(self, name: str) -> list[str]:
        _, findings = pack_deeds.findings(self._plugins, name, SEEDS)
        return [pack_deeds.counts(findings), *map(pack_deeds.line, findings)]

    def customers(self, name: str, first: int, count: int) -> list[CustomerRow]:
        from dialog_rl.tui.packs import CustomerRow

        rows: list[CustomerRow] = []
        for number, (scenario, _) in enumerate(self._met(name, first, count), first):
            goal = scenario.user.goal
            known = dict(goal.known) if goal else {}
            wants = ", ".join(item.intent.replace("_", " ") for item in goal.items) if goal else ""
            who = known.get("name") or next(iter(known.values()), "")
            rows.append(CustomerRow(number=number, who=who, wants=wants or scenario.user.instructions))
        return rows

    def card(self, name: str, number: int) -> list[str]:
        ((scenario, seed),) = self._met(name, number, 1)
        return [*card(self._stage(name), scenario, seed), "", f"Right: {pack_deeds.right(scenario)}"]

    def call(self, name: str, number: int, version: str) -> Opened:
        from dialog_rl.cli.evaluate import open_contestants

        stage = self._stage(name)
        ((scenario, seed),) = self._met(name, number, 1)
        (speaker,) = open_contestants(self._settings, (version,), lambda: False)
        conversation = stage.conversation(
            scenario, seed, episode_id=f"{TRIED}-{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:6]}",
            tokenizer=speaker.tokenizer, temperature=speaker.temperature,
        )  # fmt: skip
        (episode,) = speaker.play(stage)([conversation])
        self._log.append(episode, run=TRIED, split=SPLIT)
        return self.shelf.open(episode.episode_id)

    def talk(self, name: str, number: int) -> None:
        self.goes_on = ["--pack", name, "--customer", str(number)]

    def _met(self, name: str, first: int, count: int) -> list[tuple[Scenario, int]]:
        return list(Customers(split=SPLIT).scenarios(self._stage(name).pack, count, first))

    def _opened(self, name: str) -> Stage:
        (stage,) = opening.open_stages(self._plugins, (name,))
        return stage
