"""`chat --web`: the same conversation on the whole screen, in a browser on this machine."""

from __future__ import annotations

import sys
from collections.abc import Collection

import click
from click.core import ParameterSource

from dialog_rl.cli.options import PLUGINS_FOLDER
from dialog_rl.cli.output import emit, note

SESSIONS = 4
"""Browsers at once, each with a process and a model of its own."""
_ITS_OWN = ("web", "port", "sessions")


def serve(context: click.Context, *, port: int, sessions: int) -> None:
    """Serve the command of `context` to browsers, without the options that are this one's own, until Ctrl-C."""
    from dialog_rl.tui import web

    command = [sys.executable, "-m", "dialog_rl", "chat", *as_given(context, without=_ITS_OWN)]
    web.serve(command, port=port, sessions=sessions, title="dialog_rl", ready=_tell)


def _tell(address: str) -> None:
    emit(address)
    sys.stdout.flush()
    note("Open this address in a browser on this machine; whoever knows it may talk. Ctrl-C ends it.")


def as_given(context: click.Context, *, without: Collection[str] = ()) -> list[str]:
    """The options of a command as they were given to it, so that another process can be given the same."""
    words: list[str] = []
    for option in context.command.params:
        name = option.name or ""
        if name in without or context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        value = context.params[name] if option.expose_value else context.meta[PLUGINS_FOLDER]
        if isinstance(option, click.Option) and option.is_flag:
            words.append((option.opts if value else option.secondary_opts)[0])
            continue
        for one in value if isinstance(value, tuple) else (value,):
            words += [option.opts[0], str(one)]
    return words
