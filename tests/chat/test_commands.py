"""What is typed after a slash."""

from __future__ import annotations

import pytest

from dialog_rl.chat.commands import COMMANDS, NoSuchCommand, listing, parse


@pytest.mark.parametrize(
    ("text", "name", "argument"),
    [("/good", "good", ""), ("/RATE 4", "rate", "4"), ("/q", "quit", ""), ("/tag  a  b ", "tag", "a  b")],
)
def test_a_command_is_read_with_what_follows_it(text: str, name: str, argument: str) -> None:
    command, found = parse(text)
    assert (command.name, found) == (name, argument)


@pytest.mark.parametrize(("text", "hint"), [("/godo", "/good"), ("/", "/help"), ("/\x1b[2J", r"\\x1b")])
def test_what_is_none_says_what_may_have_been_meant(text: str, hint: str) -> None:
    with pytest.raises(NoSuchCommand, match=hint):
        parse(text)


def test_every_command_is_listed_on_a_line_of_its_own() -> None:
    assert [line.split()[0] for line in listing()] == [f"/{command.name}" for command in COMMANDS]
    names = [name for command in COMMANDS for name in (command.name, *command.also)]
    assert len(names) == len({*names})
