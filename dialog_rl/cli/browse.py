"""`dialog-rl browse`: a log's episodes on the whole terminal."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import episodes, opening, replay
from dialog_rl.cli.chat import chat, handed_on
from dialog_rl.cli.closing_up import close_up
from dialog_rl.cli.options import environment_options, open_environment
from dialog_rl.cli.output import leave, require_a_screen
from dialog_rl.config import Settings, user_file
from dialog_rl.errors import ConfigError

if TYPE_CHECKING:
    from dialog_rl.browsing.closely import Closely
    from dialog_rl.browsing.comparison import Replay
    from dialog_rl.browsing.pages import Page, Wanted
    from dialog_rl.browsing.standing_in import StandIn
    from dialog_rl.browsing.stepping import Opened
    from dialog_rl.episode_log.log import EpisodeLog
    from dialog_rl.plugins.loading import Plugins
    from dialog_rl.tui.browsed import Browsed

BY_HAND = "by-hand"
"""The run under which is logged what people did in the agent's place."""


@click.command()
@click.argument("where", required=False)
@episodes.wanted_options
@environment_options
def browse(
    where: str | None, config_file: Path | None, plugin: tuple[Path, ...], no_plugin: tuple[str, ...], **asked: Any
) -> None:
    """Browse the episodes of WHERE on the whole terminal: a run, a log file or a database URL.

    Everything it does has a command as well: 'episodes list', 'episodes show', 'replay', 'episodes scenario'.
    """
    require_a_screen("'dialog-rl episodes list' writes lines")
    from dialog_rl.tui import browse as screen
    from dialog_rl.tui.preferences import FILE, Preferences

    with (
        open_environment(config_file, plugin, no_plugin) as (resolved, plugins),
        episodes.open_log(where) as log,
    ):
        shelf = Shelf(resolved.settings, plugins, log)
        ended = screen.run(shelf.browsed(), episodes.wanted(**asked), Preferences(user_file().parent / FILE))
    leave(ended)
    if shelf.goes_on:
        chat.main([*shelf.goes_on, *handed_on(config_file, plugin, no_plugin)], standalone_mode=False)


class Shelf:
    """A log's episodes with what can be done with each, as the commands do it."""

    def __init__(self, settings: Settings, plugins: Plugins, log: EpisodeLog) -> None:
        self._settings, self._plugins, self._log = settings, plugins, log
        self.goes_on: list[str] = []
        """The options of `chat` with which somebody wants to take a customer's place; empty if nobody does."""

    def browsed(self) -> Browsed:
        from dialog_rl.tui.browsed import Browsed

        return Browsed(
            name=self._log.name, count=self.count, page=self.page, open=self.open, close_up=self.close_up,
            again=self.again, keep=self.keep, go_on=self.go_on, stand_in=self.stand_in, hand_back=self.hand_back,
            log_stand_in=self.log_stand_in,
        )  # fmt: skip

    def count(self, wanted: Wanted) -> int:
        """Of those the database alone can tell."""
        return self._log.count(wanted.query)

    def page(self, wanted: Wanted, before: int | None) -> Page:
        from dialog_rl.browsing import pages

        return pages.page(self._log, wanted, before=before)

    def open(self, episode_id: str) -> Opened:
        from dialog_rl.browsing.stepping import opened

        return opened(self._log.get(episode_id), self._log.ratings(episode_id))

    def close_up(self, episode_id: str) -> Closely:
        return close_up(self._settings, self._plugins, self._log.get(episode_id), self._log.ratings(episode_id))

    def again(self, episode_id: str, version: str) -> Replay:
        logged = self._log.get(episode_id)
        stage = replay.stage_of(self._plugins, logged)
        return replay.run_again(stage, logged, version or None, self._settings)

    def keep(self, episode_id: str) -> Path:
        from dialog_rl.browsing import scenario_files

        path = episodes.scenarios_folder(self._settings) / scenario_files.file_name(episode_id)
        scenario_files.write(self._log.get(episode_id), path)
        return path

    def go_on(self, episode_id: str, turn: int) -> None:
        self.goes_on = ["--from", episode_id, "--turn", str(turn), "--log", self._log.name]

    def stand_in(self, episode_id: str, turn: int) -> StandIn:
        from dialog_rl.browsing.standing_in import StandIn, tools_of
        from dialog_rl.staging import manual_of

        logged = self._log.get(episode_id)
        stage = replay.stage_of(self._plugins, logged)
        if logged.simulator != stage.simulator_name:
            raise ConfigError("the customer was a person, whom nobody can play; their place can be taken, though")
        return StandIn(replay.begin_again(stage, logged), logged, turn, tools_of(manual_of(stage.pack)))

    def hand_back(self, stand_in: StandIn, version: str) -> None:
        from dialog_rl.cli.counterfactual import speak_on
        from dialog_rl.lm.speaker import speaks_alone

        model = opening.open_model(self._settings, version)
        history = stand_in.history(model.renderer.observe, model.renderer.action)
        speaker = speaks_alone(model, seed=stand_in.seed, temperature=0.0, history=history)
        stand_in.hand_back(model.version, lambda conversation: speak_on(conversation, model, speaker))

    def log_stand_in(self, stand_in: StandIn) -> str:
        from dialog_rl.episode_log.log import EpisodeLog

        folder = Path(self._settings.paths.runs) / BY_HAND
        folder.mkdir(parents=True, exist_ok=True)
        with EpisodeLog.open(folder / opening.LOG) as log:
            made = stand_in.episode(getpass.getuser())
            log.append(made, run=BY_HAND)
        return f"{made.episode_id} in {log.name}"
