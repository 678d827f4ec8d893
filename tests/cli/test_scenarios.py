from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_a_new_pack_is_sound_and_can_be_played(run: Run, home: Path) -> None:
    assert run("scenarios", "new", "workshop").code == 0
    linted = run("scenarios", "lint", "workshop", "--seeds", "6")
    assert linted.code == 0 and "0 errors, 0 warnings" in linted.out
    played = run("simulate", "--pack", "./workshop", "--version", "expert", "--count", "6", "--json")
    assert played.code == 0 and played.json()["reached"] == 6


@pytest.mark.parametrize("name", ["Work shop", "1st", "work-shop", "Shop", "."])
def test_a_pack_gets_a_plain_name(run: Run, home: Path, name: str) -> None:
    outcome = run("scenarios", "new", name)
    assert outcome.code == 2 and outcome.error()


def test_a_folder_that_is_there_is_left_alone(run: Run, home: Path) -> None:
    (home / "mine").mkdir()
    (home / "mine" / "pack.yaml").write_text("mine")
    assert run("scenarios", "new", "mine").code == 2
    assert (home / "mine" / "pack.yaml").read_text() == "mine"


def test_lint_names_the_file_and_line_of_what_is_wrong(run: Run, home: Path) -> None:
    run("scenarios", "new", "workshop")
    pack = home / "workshop" / "pack.yaml"
    pack.write_text(pack.read_text().replace("communicate: {price:", "comunicate: {price:"))
    outcome = run("scenarios", "lint", "workshop")
    assert outcome.code == 1 and "did you mean 'communicate'?" in outcome.out and "pack.yaml:" in outcome.out


def test_lint_finds_a_goal_that_cannot_be_reached(run: Run, home: Path) -> None:
    run("scenarios", "new", "workshop")
    phrasing = home / "workshop" / "phrasing.yaml"
    phrasing.write_text(phrasing.read_text().replace("will be ready on {repair.date}", "will be ready some day"))
    outcome = run("scenarios", "lint", "workshop", "--seeds", "3", "--json")
    assert outcome.code == 1
    assert any("does not reach the goal" in f["message"] for f in outcome.json()["findings"])


def test_malformed_yaml_is_one_clear_line(run: Run, home: Path) -> None:
    run("scenarios", "new", "workshop")
    (home / "workshop" / "pack.yaml").write_text("schema: 1\nname: [\n")
    for arguments in (["scenarios", "show", "./workshop"], ["simulate", "--pack", "./workshop", "--version", "expert"]):
        outcome = run(*arguments)
        assert outcome.code == 2 and "workshop/pack.yaml:3: not YAML" in outcome.error()


def test_an_unknown_pack_is_named_with_those_there_are(run: Run) -> None:
    for arguments in (["scenarios", "show", "retial"], ["scenarios", "lint", "retial"]):
        outcome = run(*arguments)
        assert outcome.code == 2 and "'retial'" in outcome.error() and "retail" in outcome.error()


def test_installed_packs_are_listed(run: Run) -> None:
    outcome = run("scenarios", "list", "--json")
    found = {row["pack"]: row for row in outcome.json()["packs"]}
    assert {"retail", "retail_zh"} <= found.keys() and found["retail_zh"]["language"] == "zh"
    assert "retail_zh" in run("scenarios", "list").out


def test_one_customer_is_shown_as_a_person_would_tell_it(run: Run) -> None:
    shown = run("scenarios", "show", "retail", "--customer", "2")
    assert shown.code == 0 and "You are a customer of" in shown.out and "You want:" in shown.out
    document = run("scenarios", "show", "retail", "--customer", "2", "--json").json()["scenario"]
    assert document["pack"] == "retail" and document["split"] == "heldout"
    assert document["id"] in shown.out
