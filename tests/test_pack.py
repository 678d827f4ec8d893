from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dialog_rl.errors import ScenarioError
from dialog_rl.pack import load_pack
from tests.scenarios.library import FOLDER, LIBRARY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "library"))


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_folder_without_a_pack_says_what_a_pack_folder_holds(tmp_path: Path) -> None:
    with pytest.raises(
        ScenarioError, match=r"pack\.yaml: no such file; a pack folder holds pack\.yaml and phrasing\.yaml"
    ):
        load_pack(tmp_path)


def test_a_misspelt_key_is_named_with_its_line_and_what_was_meant(folder: Path) -> None:
    edit(folder / "pack.yaml", "intents:", "intent:")
    line = (folder / "pack.yaml").read_text(encoding="utf-8").splitlines().index("intent:") + 1
    with pytest.raises(
        ScenarioError, match=rf"pack\.yaml:{line}: 'intent' is not a field here; did you mean 'intents'\?"
    ):
        load_pack(folder)


def test_a_missing_key_is_named(folder: Path) -> None:
    edit(folder / "pack.yaml", "    description: Find a member.\n", "")
    with pytest.raises(ScenarioError, match=r"pack\.yaml:\d+: 'tools.find_member.description' is missing"):
        load_pack(folder)


def test_a_wrong_value_is_shown(folder: Path) -> None:
    edit(folder / "pack.yaml", "kind: write", "kind: wright")
    with pytest.raises(
        ScenarioError, match=r"'tools.renew.kind': .*'read', 'write', 'search' or 'end', found 'wright'"
    ):
        load_pack(folder)


def test_a_plan_begins_with_identification_unless_the_intent_is_public() -> None:
    assert [step.ask for step in LIBRARY.plans["fee"][:2]] == ["name", "card"]
    assert LIBRARY.plans["help"][0].call == "search_help"


def test_a_pack_without_a_policy_text_has_an_empty_one(folder: Path) -> None:
    (folder / "policy.md").unlink()
    assert load_pack(folder).policy_text == ""


def extending(folder: Path, **changes: object) -> Path:
    other = folder.parent / "library_xx"
    other.mkdir()
    shutil.copy(folder / "phrasing.yaml", other)
    (other / "pack.yaml").write_text(json.dumps({"schema": 1, "name": "library_xx", **changes}), encoding="utf-8")
    return other


def test_a_pack_that_extends_another_has_its_logic_and_its_own_values(folder: Path) -> None:
    pack = load_pack(extending(folder, extends="library", language="zh", facts={"hour": "nine"}))
    assert (pack.name, pack.language, pack.file.brief) == ("library_xx", "zh", "library")
    assert pack.file.intents == LIBRARY.file.intents
    assert pack.file.facts == {"hour": "nine"}


def test_extending_replaces_single_entries_and_keeps_the_others(folder: Path) -> None:
    pack = load_pack(extending(folder, extends="library", pools={"titles": ["Ilias", "Aeneis"]}))
    assert pack.file.pools["titles"] == ["Ilias", "Aeneis"]
    assert pack.file.pools["names"] == LIBRARY.file.pools["names"]


@pytest.mark.parametrize("base", ["../library", "/etc", "library/"])
def test_a_pack_may_extend_only_one_that_lies_beside_it(folder: Path, base: str) -> None:
    with pytest.raises(ScenarioError, match="'extends' must name a pack beside this one"):
        load_pack(extending(folder, extends=base))


@pytest.mark.parametrize("where", ["check: {}", "about: {{borrow: {}}}"])
def test_patterns_that_stand_for_too_many_texts_are_refused(folder: Path, where: str) -> None:
    patterns = where.format("['" + "[a|b]" * 40 + "']")
    edit(folder / "phrasing.yaml", "understand:", f"understand:\n  {patterns}")
    with pytest.raises(ScenarioError, match=r"its patterns stand for 1\.1e\+12 texts; at most 20,000"):
        load_pack(folder)


@pytest.mark.parametrize("name", ["policy.md", "guidelines.md"])
def test_words_that_are_no_text_are_an_error_that_names_the_file(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"Be kind.\nBe \xff\n")
    with pytest.raises(ScenarioError, match=f"{name}:2: not UTF-8 text"):
        _ = load_pack(folder).guidelines
