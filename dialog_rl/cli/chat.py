"""`dialog-rl chat`: a person in the customer's place, every turn logged before it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.chat.card import card_of
from dialog_rl.cli import beside, episodes, opening, web_chat
from dialog_rl.cli.live_rewards import RewardsAtHand
from dialog_rl.cli.options import environment_options, open_environment
from dialog_rl.cli.output import has_a_screen
from dialog_rl.cli.speaking import CHAMPION, LateVoices, ModelVoices, of_the_champion
from dialog_rl.config import Settings
from dialog_rl.errors import ConfigError
from dialog_rl.plugins.loading import Plugins
from dialog_rl.staging import Stage
from dialog_rl.tui import place

if TYPE_CHECKING:
    from dialog_rl.chat.room import ChatRoom
    from dialog_rl.chat.talk import Talk
    from dialog_rl.chat.voice import Voices
    from dialog_rl.episode import Episode
    from dialog_rl.episode_log.log import EpisodeLog
    from dialog_rl.scenario import Scenario


@click.command()
@click.option("--plain", is_flag=True, help="Line by line, for screen readers and pipes.")
@click.option("--web", is_flag=True, help="In a browser on this machine, at an address with a secret in it.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of --web. Default: any that is free.")
@click.option(
    "--sessions", type=click.IntRange(min=1), default=web_chat.SESSIONS, show_default=True, help="Of --web, at once."
)
@click.option("--pack", default="retail", show_default=True, metavar="NAME|DIR", help="Which shop you call.")
@click.option("--version", "agent__version", metavar="VERSION", help="Who answers. Default: champion.")
@click.option("--customer", type=click.IntRange(min=0), help="Whose place you take, by number. Default: anybody's.")
@click.option("--free", is_flag=True, help="Want whatever you like, rather than what a customer wants.")
@click.option("--resume", metavar="ID|last", help="Go on with a conversation that was broken off.")
@click.option("--from", "origin", metavar="EPISODE", help="Take the customer's place in a logged conversation.")
@click.option("--turn", type=click.IntRange(min=0), help="Of --from: from this turn on. Default: after the last.")
@click.option("--log", "where", metavar="RUN|FILE|URL", help="Where --from is. Default: the log written to last.")
@click.option("--learn/--no-learn", default=None, help="Learn from what you say, beside it. Default: not.")
@click.option("--url", metavar="URL", help="Talk through a service of 'dialog-rl serve', which keeps what is said.")
@click.option("--key-file", type=click.Path(path_type=Path, dir_okay=False), help="Holds the key of --url.")
@click.option("--temperature", type=click.FloatRange(min=0), default=0.0, show_default=True, help="0: no chance in it.")
@environment_options
@click.pass_context
def chat(
    context: click.Context,
    plain: bool,
    web: bool,
    port: int,
    sessions: int,
    pack: str,
    customer: int | None,
    free: bool,
    resume: str | None,
    origin: str | None,
    turn: int | None,
    where: str | None,
    learn: bool | None,
    url: str | None,
    key_file: Path | None,
    temperature: float,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
    **flags: Any,
) -> None:
    """Talk to the agent, in a customer's place.

    You are told who you are and what you might want; say it in your own words. What is said is kept in runs/chat.
    """
    from dialog_rl.cli import remote_chat, screen_chat

    def first(room: Any, called: str = pack) -> Talk:
        if logged is not None:
            return room.take_over(logged, turn)
        return room.take_up(room.find(resume)) if resume else room.new(called, customer, free=free)

    _require_sense(
        plain=plain, web=web, remote=url is not None, chosen=flags["agent__version"] is not None, origin=origin
    )
    logged = _logged(origin, where) if origin else None
    pack = logged.pack if logged else pack
    code = 0
    with open_environment(config_file, plugin, no_plugin, **flags) as (resolved, plugins):
        settings = resolved.settings
        # What is wrong with a pack is said before anything is served; over a service it is the service's.
        stage = None if url else opening.open_stages(plugins, (pack,))[0]
        if web:
            web_chat.serve(context, port=port, sessions=1 if resume else sessions)
            return
        on_screen = not plain and (place.is_a_browser() or has_a_screen())
        if url:
            remote_chat.converse(settings, url, key_file, temperature, first, learn, on_screen=on_screen)
            return
        assert stage is not None
        begin, options = partial(first, called=stage.pack.name), handed_on(config_file, plugin, no_plugin)
        code = _converse(settings, plugins, pack, stage, temperature, begin, learn, options, on_screen=on_screen)
    if on_screen:
        screen_chat.leave_loading(code)
    if code:
        raise SystemExit(code)


def _converse(
    settings: Settings,
    plugins: Plugins,
    pack: str,
    stage: Stage,
    temperature: float,
    begin: Callable[[Any], Talk],
    learn: bool | None,
    options: Sequence[str],
    *,
    on_screen: bool,
) -> int:
    """Conversations in this process, learnt from beside them if that is wanted; the exit code.

    options: with which the updater is started.
    """
    from dialog_rl.cli import plain_chat, screen_chat

    learns = bool(learn) and settings.agent.version == CHAMPION
    with (
        beside.updater(settings, pack, options) if learns else nullcontext(),
        open_room(settings, plugins, stage, temperature) as (room, voices),
        RewardsAtHand(settings, plugins, room.folder / opening.LOG) as rewards,
    ):
        if on_screen:
            furnished = partial(screen_chat.own_desk, room, voices, settings, rewards)
            return screen_chat.converse(room, begin, learn, furnished)
        opening.prepare_torch(settings)
        voices.prepare()
        plain_chat.converse_all(room, begin, learn=bool(learn), rewards=rewards)
        return 0


def _logged(origin: str, where: str | None) -> Episode:
    """The conversation in which a customer's place is to be taken."""
    with episodes.open_log(where) as log:
        return log.get(origin)


def _require_sense(*, plain: bool, web: bool, remote: bool, chosen: bool, origin: str | None) -> None:
    if origin and (web or remote):
        raise ConfigError("--from goes on from a conversation in this terminal; leave out --web and --url")
    if web and plain:
        raise ConfigError("--web is the whole screen in a browser, --plain is line by line; choose one")
    if remote and chosen:
        raise ConfigError("which version answers is the service's choice: leave out --version or --url")


def handed_on(config_file: Path | None, plugin: Sequence[Path], no_plugin: Sequence[str]) -> list[str]:
    """The environment of this command as options of another."""
    options = ["--config", str(config_file)] if config_file else []
    options += [word for file in plugin for word in ("--plugin", str(file))]
    return options + [word for name in no_plugin for word in ("--no-plugin", name)]


@contextmanager
def open_room(
    settings: Settings, plugins: Plugins, here: Stage, temperature: float
) -> Iterator[tuple[ChatRoom, LateVoices]]:
    """The conversations in runs/chat. `here`: the pack of new ones, which may be nowhere but in a folder."""
    from dialog_rl.chat.room import ChatRoom
    from dialog_rl.chat.session import RUN
    from dialog_rl.episode_log.log import EpisodeLog

    @cache
    def stage(pack: str) -> Stage:
        return here if pack == here.pack.name else opening.open_stages(plugins, (pack,))[0]

    folder = Path(settings.paths.runs) / RUN
    folder.mkdir(parents=True, exist_ok=True)
    with EpisodeLog.open(folder / opening.LOG) as log:
        log.listener = plugins.hearing(RUN, folder)
        voices = open_voices(settings, log)
        yield ChatRoom(folder, log, voices, stage, temperature=temperature), voices


def open_voices(settings: Settings, log: EpisodeLog) -> LateVoices:
    """Voices of the version that is to speak, loaded when they are needed: the champion's, whoever that is by then."""

    def load() -> Voices:
        # Imported first, so that nothing is said about it on a terminal that is drawn upon.
        import dialog_rl.lm.threads  # noqa: F401

        opening.prepare_torch(settings)
        if settings.agent.version != CHAMPION:
            return ModelVoices(opening.open_model(settings, settings.agent.version))
        return of_the_champion(settings, log)

    return LateVoices(load, lambda version: ModelVoices(opening.open_model(settings, version)))


def card(stage: Stage, scenario: Scenario, seed: int) -> list[str]:
    """Whose place the person takes, as they would be told it."""
    return card_of(stage, scenario, seed).lines()
