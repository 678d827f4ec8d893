"""A conversation becomes a scenario file that is read back, with what counts as right in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dialog_rl.browsing import scenario_files
from dialog_rl.episode import Change
from dialog_rl.errors import ScenarioError
from tests.browsing.made import called, episode, said, turn


def test_a_customer_with_a_goal_keeps_it(tmp_path: Path) -> None:
    scenario_files.write(episode(), tmp_path / "new" / "a.json")
    read = scenario_files.read(tmp_path / "new" / "a.json")
    assert read.id == "from-e1" and read.provenance.task == "e1"
    assert read.user.goal is not None and read.user.goal.items[0].intent == "cancel_order"
    assert read.success.db.patch is not None and read.success.db.patch[0].after == "cancelled"


def test_what_was_done_for_somebody_without_a_goal_becomes_what_is_right() -> None:
    free = {"schema": 1, "id": "x-free", "pack": "retail"}
    talked = episode(
        1, turn("cancel order 7", called("look", "open"), called("cancel", "ok", kind="write"), said("Done.")),
        scenario=free, journal=(Change(path="orders/7/status", before="open", after="cancelled"),),
    )  # fmt: skip
    made = scenario_files.scenario_from(talked)
    assert "cancel order 7" in made.user.instructions
    assert [call.tool for call in made.success.db.from_actions] == ["cancel"]
    assert made.success.db.patch is not None and made.success.db.patch[0].path == "orders/7/status"


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("mine")
    with pytest.raises(ScenarioError, match="is there already"):
        scenario_files.write(episode(), path)
    assert path.read_text() == "mine"


def test_a_file_that_is_no_scenario_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("schema: 1\nid: x\npack: retail\nsucess: {}\n")
    with pytest.raises(ScenarioError, match=r"a.yaml:4: 'sucess' .*did you mean 'success'"):
        scenario_files.read(path)


def test_file_names_hold_nothing_that_leads_elsewhere() -> None:
    assert scenario_files.file_name("../a b") == "___a_b.scenario.json"
