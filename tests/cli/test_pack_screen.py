"""What the screen of packs is given: packs, customers, and their calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dialog_rl.cli.pack_screen import Storeroom
from dialog_rl.config import Settings
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.plugins.loading import load_plugins

Run = Callable[..., Any]


def test_installed_packs_are_read_and_their_customers_are_called(tmp_path: Path) -> None:
    with load_plugins() as plugins, EpisodeLog.open(tmp_path / "tried.db") as log:
        room = Storeroom(Settings(), plugins, log, ())
        assert [pack.name for pack in room.packs()] == ["banking", "retail", "retail_zh", "telecom"]
        (one, two) = room.customers("retail", 3, 2)
        assert (one.number, two.number) == (3, 4) and one.who and one.wants
        assert f"name {one.who}" in room.card("retail", 3)[0] and room.card("retail", 3)[-1].startswith("Right: ")
        assert "Tools" in "\n".join(room.show("retail"))
        found = room.call("retail", 3, "expert")
        assert log.get(found.episode.episode_id) == found.episode and "success: yes" in found.verdict[1]


def test_without_a_terminal_the_commands_that_write_lines_are_named(run: Run) -> None:
    for group in ("scenarios", "plugins"):
        outcome = run(group, "browse")
        assert outcome.code == 2 and f"dialog-rl {group} list" in outcome.error()
