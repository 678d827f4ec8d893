"""`dialog-rl chat`: a person in the customer's place, every turn logged before it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.chat.card import card_of
from dialog_rl.cli import opening
from dialog_rl.cli.options import environment_options, open_environment
from dialog_rl.config import Settings
from dialog_rl.errors import ConfigError
from dialog_rl.plugins.loading import Plugins
from dialog_rl.staging import Stage

if TYPE_CHECKING:
    from dialog_rl.chat.room import ChatRoom
    from dialog_rl.chat.voice import Voices
    from dialog_rl.scenario import Scenario


@click.command()
@click.option("--plain", is_flag=True, help="Line by line, for screen readers and pipes.")
@click.option("--pack", default="retail", show_default=True, metavar="NAME|DIR", help="Which shop you call.")
@click.option("--version", "agent__version", metavar="VERSION", help="Who answers. Default: champion.")
@click.option("--customer", type=click.IntRange(min=0), help="Whose place you take, by number. Default: anybody's.")
@click.option("--free", is_flag=True, help="Want whatever you like, rather than what a customer wants.")
@click.option("--resume", metavar="ID|last", help="Go on with a conversation that was broken off.")
@click.option("--learn/--no-learn", default=None, help="Let what you say be learnt from, or not. Default: not.")
@click.option("--temperature", type=click.FloatRange(min=0), default=0.0, show_default=True, help="0: no chance in it.")
@environment_options
def chat(
    plain: bool,
    pack: str,
    customer: int | None,
    free: bool,
    resume: str | None,
    learn: bool | None,
    temperature: float,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
    **flags: Any,
) -> None:
    """Talk to the agent, in a customer's place.

    You are told who you are and what you might want; say it in your own words. What is said is kept in runs/chat.
    """
    from dialog_rl.cli.plain_chat import converse, prepare_input

    with open_environment(config_file, plugin, no_plugin, **flags) as (resolved, plugins):
        settings = resolved.settings
        opening.open_stages(plugins, (pack,))
        with open_room(settings, plugins, model_voices(settings), temperature) as room:
            prepare_input()
            session = room.take_up(room.find(resume)) if resume else room.new(pack, customer, free=free)
            if session.ended is not None:
                raise ConfigError(f"{session.id} has ended; 'dialog-rl episodes show {session.id}' shows it")
            while True:
                if learn is not None:
                    session.allow_training(learn)
                if not converse(session):
                    return
                session = room.new(pack, free=free)


@contextmanager
def open_room(settings: Settings, plugins: Plugins, voices: Voices, temperature: float) -> Iterator[ChatRoom]:
    """The conversations in runs/chat."""
    from dialog_rl.chat.room import ChatRoom
    from dialog_rl.chat.session import RUN
    from dialog_rl.episode_log.log import EpisodeLog

    @cache
    def stage(pack: str) -> Stage:
        return opening.open_stages(plugins, (pack,))[0]

    folder = Path(settings.paths.runs) / RUN
    folder.mkdir(parents=True, exist_ok=True)
    with EpisodeLog.open(folder / opening.LOG) as log:
        yield ChatRoom(folder, log, voices, stage, temperature=temperature)


def model_voices(settings: Settings) -> Voices:
    """Load the model that is to speak. Raises CheckpointError."""
    from dialog_rl.cli.speaking import ModelVoices

    model = opening.open_model(settings, settings.agent.version)
    return ModelVoices(lambda: model, lambda version: opening.open_model(settings, version))


def card(stage: Stage, scenario: Scenario, seed: int) -> list[str]:
    """Whose place the person takes, as they would be told it."""
    return card_of(stage, scenario, seed).lines()
