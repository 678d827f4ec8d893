"""What can be typed instead of a message: the same words in every face."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from dialog_rl.errors import DialogRLError
from dialog_rl.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    name: str
    argument: str = ""
    """What follows it, as the help shows it; empty if nothing does."""
    help: str
    also: tuple[str, ...] = ()
    """Other names."""


class NoSuchCommand(DialogRLError):
    """Something after a slash that is none."""


COMMANDS = (
    Command(name="card", help="who you are and what you might want"),
    Command(name="good", help="rate the last reply good"),
    Command(name="bad", help="rate the last reply bad"),
    Command(name="rate", argument="1–5", help="rate the last reply on a scale"),
    Command(name="comment", argument="TEXT", help="say what you think of the last reply"),
    Command(name="correct", argument="TEXT", help="write the reply you would have wanted"),
    Command(name="tag", argument="TAG …", help="mark what is wrong with it, or right"),
    Command(name="whole", argument="1–5", help="rate the whole conversation"),
    Command(name="undo", help="take the last rating back"),
    Command(name="learn", argument="on|off", help="let this conversation be learnt from, or not"),
    Command(name="rewards", help="what the rewards say of the last reply"),
    Command(name="reload", help="take up anew the plugins that were loaded from files"),
    Command(name="new", help="another customer"),
    Command(name="help", help="this list"),
    Command(name="quit", help="leave", also=("exit", "q")),
)
"""What every face understands."""
MORE = (
    Command(name="another", help="another answer to your last message, to be compared"),
    Command(name="before", help="what the version that speaks by now, or the one before it, would have said"),
    Command(name="say", help="say your last message otherwise"),
    Command(name="review", help="look back and rate"),
    Command(name="free", help="another customer who wants nothing in particular"),
    Command(name="saved", argument="WORDS", help="kept conversations"),
    Command(name="name", argument="TEXT", help="give this conversation a name"),
    Command(name="export", argument="md|json|pairs", help="write it to a file"),
    Command(name="scenario", help="make a scenario file of it"),
    Command(name="delete", help="put this conversation away"),
    Command(name="copy", help="copy the last reply"),
    Command(name="theme", argument="NAME", help="other colours"),
)
"""What a screen understands beside these."""
ON_SCREEN = (*COMMANDS, *MORE)


def parse(text: str, commands: Sequence[Command] = COMMANDS) -> tuple[Command, str]:
    """`/rate 4` as the command and what follows it. Raises NoSuchCommand with what may have been meant."""
    word, _, argument = text[1:].strip().partition(" ")
    name = word.lower()
    for command in commands:
        if name == command.name or name in command.also:
            return command, argument.strip()
    names = [command.name for command in commands]
    close = difflib.get_close_matches(name, names, n=1)
    meant = f"; did you mean /{close[0]}?" if close else "; /help lists them"
    raise NoSuchCommand(f"/{one_line(word, 30)} is no command{meant}")


def listing(commands: Sequence[Command] = COMMANDS) -> list[str]:
    """A line a command, aligned."""
    spelled = [f"/{command.name} {command.argument}".rstrip() for command in commands]
    width = max(map(len, spelled))
    return [f"{spell:<{width}}   {command.help}" for spell, command in zip(spelled, commands, strict=True)]
