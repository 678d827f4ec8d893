"""What somebody chose stays chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from dialog_rl.errors import ConfigError
from dialog_rl.tui.preferences import Preferences


def test_choices_are_read_again(tmp_path: Path) -> None:
    file = tmp_path / "there" / "chat.json"
    chosen = Preferences(file)
    assert (chosen.theme, chosen.learn, chosen.keys) == ("", False, {})
    chosen.choose(theme="nord")
    chosen.choose(learn=True)
    again = Preferences(file)
    assert (again.theme, again.learn) == ("nord", True)


@pytest.mark.parametrize("content", ['{"theme": 3, "learn": "yes", "keys": []}', "{}"])
def test_what_is_of_another_shape_counts_as_not_chosen(tmp_path: Path, content: str) -> None:
    (tmp_path / "chat.json").write_text(content)
    found = Preferences(tmp_path / "chat.json")
    assert (found.theme, found.learn, found.keys) == ("", False, {})


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "chat.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"chat\.json"):
        Preferences(tmp_path / "chat.json")


def test_without_a_file_choices_hold_until_the_end() -> None:
    chosen = Preferences()
    chosen.choose(learn=True)
    assert chosen.learn


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    chosen = Preferences()
    chosen._file = tmp_path / "file" / "chat.json"  # noqa: SLF001  a folder that became a file meanwhile
    with pytest.raises(ConfigError, match="cannot be written"):
        chosen.choose(learn=True)
    assert chosen.learn
