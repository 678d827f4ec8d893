"""A conversation line by line, for screen readers and pipes."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import click

from dialog_rl.browsing.stepping import judged
from dialog_rl.chat import commands
from dialog_rl.chat.events import Called, Replied, Swapped
from dialog_rl.chat.opinions import likert, stars, tags
from dialog_rl.chat.talk import MAX_MESSAGE, Talk, Talks, about_learning, about_length
from dialog_rl.cli.live_rewards import RewardsAtHand
from dialog_rl.cli.output import emit, note, style
from dialog_rl.episode import Step, StopReason
from dialog_rl.errors import ConfigError, DialogRLError
from dialog_rl.text import one_line, printable

_HINT = "/good and /bad rate the last reply; /help lists what else there is; /quit (or Ctrl-D) leaves"


class Leave(Exception):
    """The person leaves; `again` for another customer."""

    def __init__(self, *, again: bool) -> None:
        self.again = again


def converse_all(
    room: Talks, first: Callable[[Any], Talk], *, learn: bool, rewards: RewardsAtHand | None = None
) -> None:
    """One conversation after another, until the person wants no other one."""
    prepare_input()
    session = first(room)
    if session.ended is not None:
        raise ConfigError(f"{session.id} has ended; 'dialog-rl episodes show {session.id}' shows it")
    while True:
        if learn:
            session.allow_training(True)
        if not converse(session, rewards):
            return
        session = room.new(session.pack)


def converse(session: Talk, rewards: RewardsAtHand | None = None) -> bool:
    """One conversation on the standard streams, until somebody leaves. Whether the person wants another one."""
    for remark in session.card().lines():
        emit(remark)
    note(_HINT)
    try:
        session.begin()
        _show_past(session)
        again = _exchange(session, rewards)
    except BaseException:
        session.abort()
        raise
    _tell_end(session)
    return again


def _exchange(session: Talk, rewards: RewardsAtHand | None) -> bool:
    """Whether another conversation is wanted."""
    try:
        while session.ended is None:
            if session.unanswered is None:
                session.say(_next_message(session, rewards))
                for remark in rewards.before_turn() if rewards else ():
                    note(remark)
            for event in session.answer():
                if isinstance(event, Called):
                    _show_call(event.step)
                elif isinstance(event, Replied):
                    _show_reply(event.turn.reply)
                elif isinstance(event, Swapped):
                    note(f"version {event.version[:8]} speaks from here on")
    except Leave as leaving:
        session.leave()
        return leaving.again
    return False


def _next_message(session: Talk, rewards: RewardsAtHand | None) -> str:
    while True:
        text = read_line("you> ")
        if text.startswith("/"):
            try:
                _obey(session, text, rewards)
            except DialogRLError as e:
                note(str(e))
        elif len(text) > MAX_MESSAGE:
            note(f"that message has {len(text):,} characters; at most {MAX_MESSAGE:,} fit. Nothing was sent.")
        elif text:
            return text


def _obey(session: Talk, text: str, rewards: RewardsAtHand | None) -> None:
    command, argument = commands.parse(text)
    if command.name in ("quit", "new"):
        raise Leave(again=command.name == "new")
    if command.name == "help":
        note("\n".join(commands.listing()))
    elif command.name == "card":
        for remark in session.card().lines():
            emit(remark)
    elif command.name in ("rewards", "reload"):
        for remark in _of_rewards(session, command.name, rewards):
            emit(remark)
    elif command.name == "learn":
        session.allow_training(argument != "off")
        note(about_learning(session))
    elif command.name == "undo":
        note("taken back" if session.opinions.undo() else "there is nothing to take back")
    else:
        _rate(session, command.name, argument)


def _of_rewards(session: Talk, what: str, rewards: RewardsAtHand | None) -> list[str]:
    if rewards is None:
        raise ConfigError("no rewards are at hand here")
    return rewards.of_last_reply(session) if what == "rewards" else rewards.reload()


def _rate(session: Talk, how: str, argument: str) -> None:
    about = None if how == "whole" else len(session.turns) - 1
    if not session.turns:
        note("there is no reply to rate yet")
        return
    opinions: dict[str, Callable[[], dict[str, object]]] = {
        "good": lambda: {"value": 1.0},
        "bad": lambda: {"value": -1.0},
        "rate": lambda: {"value": likert(stars(argument))},
        "whole": lambda: {"value": likert(stars(argument))},
        "comment": lambda: {"comment": argument},
        "correct": lambda: {"correction": argument},
        "tag": lambda: {"tags": tags(argument)},
    }
    session.opinions.change(about, **opinions[how]())
    note("rated" if "value" in opinions[how]() else "noted")


def _show_past(session: Talk) -> None:
    """What was said before, if the conversation was taken up again."""
    for turn in session.turns:
        click.echo(style("you> ", bold=True) + printable(turn.user.text))
        for step in turn.steps[:-1]:
            _show_call(step)
        _show_reply(turn.reply)
    if session.unanswered is not None:
        click.echo(style("you> ", bold=True) + printable(session.unanswered.text))


def _show_reply(text: str) -> None:
    click.echo(style("agent> ", fg="green", bold=True) + printable(text))


def _show_call(step: Step) -> None:
    message = step.message
    told = f"(cannot be read: {one_line(message.malformed, 120)})" if message.malformed else one_line(message.text, 160)
    click.echo(style(f"   … {told}", fg="bright_black"))


def _tell_end(session: Talk) -> None:
    episode = session.ended
    if episode is None:
        return
    note(f"{episode.episode_id} is kept in {session.kept_in}")
    if episode.stop is StopReason.CONTEXT_FULL:
        note(about_length(episode))
    for remark in judged(episode):
        emit(f"  {remark}")


def read_line(prompt: str) -> str:
    """What is typed, without what surrounds it. Raises Leave at the end of the input."""
    try:
        # `input` edits lines on a terminal; from a pipe it would print its prompt into the transcript.
        text = input(prompt) if sys.stdin.isatty() else sys.stdin.readline()
    except EOFError:
        raise Leave(again=False) from None
    if not text and not sys.stdin.isatty():
        raise Leave(again=False)
    return text.strip()


def prepare_input() -> None:
    """Line editing on a terminal; no byte that ends the program from a pipe."""
    if sys.stdin.isatty():
        try:
            import readline  # noqa: F401  line editing and history for `input`
        except ImportError:
            return
    elif isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
