"""Options that several commands share, and what is opened from them: settings, plugins, stages."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dialog_rl.cli.output import note
from dialog_rl.config import Resolved, resolve, user_file
from dialog_rl.errors import ConfigError
from dialog_rl.plugins.consent import FILE, folder_plugins, read_consent
from dialog_rl.text import one_line

if TYPE_CHECKING:
    from dialog_rl.plugins.loading import Plugins

PLUGINS_FOLDER = "dialog_rl.plugins_folder"
"""Where a command's context keeps --plugins-dir."""

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="JSON on stdout; progress stays on stderr.")
seed_option = click.option("--seed", type=click.IntRange(min=0), default=None, help="Root seed.")


def environment_options(command: F) -> F:
    """--config, --plugin and --no-plugin: give them to `open_environment`."""
    path = click.Path(path_type=Path, dir_okay=False)
    command = click.option(
        "--plugins-dir", type=click.Path(path_type=Path, file_okay=False), expose_value=False, metavar="DIR",
        callback=_remember_folder, help="Load the plugins in a folder; asks once.",
    )(command)  # fmt: skip
    command = click.option("--no-plugin", multiple=True, metavar="NAME", help="Do not load this plugin.")(command)
    command = click.option("--plugin", multiple=True, type=path, metavar="FILE", help="Load a plugin from a file.")(
        command
    )
    return click.option("--config", "config_file", type=path, help="Settings from this file, not the project's.")(
        command
    )


def _remember_folder(context: click.Context, _: click.Parameter, folder: Path | None) -> None:
    context.meta[PLUGINS_FOLDER] = folder


def key_values(given: Iterable[str], flag: str) -> dict[str, Any]:
    """`turn=0.1` as {"turn": 0.1}; what is not JSON is text."""
    options: dict[str, Any] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise ConfigError(f"{flag} {one_line(one, 60)!r}: write KEY=VALUE")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


@contextmanager
def open_environment(
    config_file: Path | None, plugin: tuple[Path, ...], no_plugin: tuple[str, ...], **flags: Any
) -> Iterator[tuple[Resolved, Plugins]]:
    """Settings and plugins of one command. `flags` are settings given as options; "__" stands for the dot of a key."""
    from dialog_rl.plugins.loading import load_plugins  # not for commands that only list what there is

    resolved = resolve({key.replace("__", "."): value for key, value in flags.items()}, file=config_file)
    decided = user_file().parent / FILE
    consent = read_consent(decided)
    disabled = {*resolved.settings.plugins.disabled, *consent.disabled, *no_plugin}
    folder = click.get_current_context().meta.get(PLUGINS_FOLDER)
    if folder is not None:
        ask = click.confirm if sys.stdin.isatty() else None
        plugin = (*plugin, *folder_plugins(folder, decided, ask))
    with load_plugins(files=plugin, disabled=disabled, trusted=consent.trusted) as plugins:
        for problem in plugins.problems:
            note(f"warning: {problem}")
        yield resolved, plugins


class Interruption:
    """Ctrl-C asks for an orderly end; a second one ends at once."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        return self.asked


@contextmanager
def interruptible(what_happens: str) -> Iterator[Interruption]:
    """Within it the first Ctrl-C or SIGTERM only sets the flag. Raises KeyboardInterrupt at the end if it was set."""
    state = Interruption()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if state.asked:
            raise KeyboardInterrupt
        state.asked = True
        os.write(2, f"\n{what_happens} Ctrl-C again ends at once.\n".encode())

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if state.asked:
        raise KeyboardInterrupt
