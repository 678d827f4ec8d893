"""The line of keys at the bottom: whole keys only, and always the ways on and out."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets._footer import FooterKey

from tests.tui.desk import Shown, run, shown


def line(there: Shown) -> list[str]:
    """The keys that are shown, from left to right; each must be seen whole."""
    keys = [key for key in there.app.screen.query(FooterKey) if key.display]
    assert all(key.region.right <= there.app.size.width for key in keys)
    return [f"{key.key_display} {key.description}" for key in keys]


@pytest.mark.parametrize("width", [30, 50, 80, 120])
def test_keys_are_shown_whole_and_the_ways_on_and_out_always(tmp_path: Path, width: int) -> None:
    async def scene() -> None:
        async with shown(tmp_path, "one", size=(width, 24)) as there:
            await there.until(lambda: line(there))
            assert {"esc Review", "f1 Help"} <= {*line(there)}
            await there.say("a")
            await there.press("escape")
            await there.until(lambda: "esc Back" in line(there))
            assert {"f1 Help", *(["w Why"] if width >= 80 else [])} <= {*line(there)}

    run(scene)


def test_more_keys_are_shown_when_the_terminal_grows_wider(tmp_path: Path) -> None:
    async def scene() -> None:
        async with shown(tmp_path, size=(50, 12)) as there:
            await there.until(lambda: line(there))
            assert "^s Saved" not in line(there)
            await there.pilot.resize_terminal(80, 24)
            await there.until(lambda: "^s Saved" in line(there))

    run(scene)
