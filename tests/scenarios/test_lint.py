"""Each fault that can be made in a pack is found, and a sound pack is let be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dialog_rl_scenarios
import pytest
from dialog_rl_simulators.agenda import Agenda

from dialog_rl import safe_yaml
from dialog_rl.goals import make_scenario
from dialog_rl.lint import lint
from dialog_rl.lint_reading import Finding
from dialog_rl.scenario import Scenario
from tests.scenarios.library import FOLDER

Spoil = Callable[[dict[str, Any], dict[str, Any]], object]


def look(folder: Path, seeds: int = 2) -> tuple[Finding, ...]:
    return lint(folder, lambda pack: Agenda(pack=pack), seeds=seeds)


def spoilt(folder: Path, spoil: Spoil) -> list[tuple[str, str, str]]:
    """What is found in the library after `spoil(pack, phrasing)`: severity, place and message."""
    file, words = safe_yaml.load(FOLDER / "pack.yaml").data, safe_yaml.load(FOLDER / "phrasing.yaml").data
    spoil(file, words)
    (folder / "pack.yaml").write_text(json.dumps(file), encoding="utf-8")
    (folder / "phrasing.yaml").write_text(json.dumps(words), encoding="utf-8")
    shutil.copy(FOLDER / "policy.md", folder)
    return [(f.severity, f.place, f.message) for f in look(folder)]


@pytest.mark.parametrize("name", ["retail", "telecom", "banking", "retail_zh"])
def test_nothing_is_wrong_with_the_packs_that_come_with_the_program(name: str) -> None:
    folder = Path(dialog_rl_scenarios.__file__).parent / name
    assert [f for f in look(folder) if f.severity == "error"] == []


def test_nothing_at_all_is_found_in_a_sound_pack() -> None:
    assert look(FOLDER) == ()


def test_a_folder_that_is_no_pack_is_one_finding(tmp_path: Path) -> None:
    (only,) = look(tmp_path)
    assert only.severity == "error" and "no such file" in only.message


def test_every_schema_error_is_a_finding(tmp_path: Path) -> None:
    found = spoilt(tmp_path, lambda file, _: file.update(tols={}, intent={}))
    assert len(found) == 2 and all("is not a field here" in message for _, _, message in found)


READING: list[tuple[str, Spoil, str, str]] = [
    ("an opening", lambda f, w: w["customer"]["open"].pop("fee"), "customer.open.fee", "missing"),
    (
        "a topic's opening",
        lambda f, w: w["customer"]["open"].pop("help/opening hours"),
        "customer.open.help/opening hours",
        "missing",
    ),
    (
        "an opening that is held out",
        lambda f, w: w["customer"]["open"]["fee"].pop("heldout"),
        "customer.open.fee.heldout",
        "no wordings",
    ),
    (
        "an opening without values",
        lambda f, w: w["customer"]["open"]["fee"].update(train=["What about {book_id}?"]),
        "customer.open.fee.train",
        "without naming any value",
    ),
    ("telling a slot", lambda f, w: w["customer"]["tell"].pop("weeks"), "customer.tell.weeks", "missing"),
    ("describing", lambda f, w: w["customer"]["describe"].pop("title"), "customer.describe.title", "missing"),
    ("asking on", lambda f, w: w["customer"]["ask"].pop("fee"), "customer.ask.fee", "missing"),
    ("thanks", lambda f, w: w["customer"]["other"].pop("thanks"), "customer.other.thanks", "missing"),
    ("a question", lambda f, w: w["agent"]["ask"].pop("card"), "agent.ask.card", "missing"),
    ("a doubt", lambda f, w: w["agent"]["doubt"].pop("name+card"), "agent.doubt.name+card", "missing"),
    ("a confirmation", lambda f, w: w["agent"]["confirm"].pop("renew"), "agent.confirm.renew", "missing"),
    ("an answer", lambda f, w: w["agent"]["say"].pop("fee"), "agent.say.fee", "missing"),
    ("a refusal", lambda f, w: w["agent"]["refuse"].pop("too_late"), "agent.refuse.too_late", "missing"),
    ("understanding", lambda f, w: w["understand"]["request"].pop("card"), "understand.request.card", "missing"),
    ("evidence", lambda f, w: w["evidence"].pop("too_late"), "evidence.too_late", "missing"),
    (
        "a reason in the refusal",
        lambda f, w: w["agent"]["refuse"].update(too_late=["Sorry, not possible."]),
        "agent.refuse.too_late",
        "gives none of the reasons",
    ),
    (
        "unseen wording",
        lambda f, w: w["customer"]["open"]["renew"].update(heldout=["hello,  can i keep my book"]),
        "customer.open.renew.heldout",
        "can be said word for word in 'train'",
    ),
    (
        "the called tool",
        lambda f, w: f["intents"]["fee"]["plan"][2].update(call="get_bok"),
        "intents.fee.plan.2",
        "there is no 'get_bok'",
    ),
    (
        "an argument",
        lambda f, w: f["intents"]["renew"]["plan"][6].update(arguments={"book_id": "$slots.book_id"}),
        "intents.renew.plan.6",
        "renew takes book_id, weeks, here it is given book_id",
    ),
    (
        "what finds a forgotten number",
        lambda f, w: f.pop("recognise"),
        "intents.renew.hints.book_id",
        "no tool finds it: 'recognise.book_id' is missing",
    ),
    (
        "a tool that finds something else",
        lambda f, w: f["recognise"]["book_id"].update(call="get_book", arguments={"book_id": "$slots.title"}),
        "recognise.book_id",
        "get_book must answer with 'book_id'",
    ),
    (
        "a table",
        lambda f, w: f["intents"]["fee"]["bind"]["book"].update(table="boks"),
        "intents.fee.bind.book.table",
        "there is no 'boks'",
    ),
    (
        "a customer's field",
        lambda f, w: f["tables"]["members"]["fields"].pop("card"),
        "identify",
        "asks for 'card', which a customer's record does not have",
    ),
]


@pytest.mark.parametrize(("spoil", "place", "message"), [r[1:] for r in READING], ids=[r[0] for r in READING])
def test_what_is_missing_is_found_at_its_place(tmp_path: Path, spoil: Spoil, place: str, message: str) -> None:
    found = spoilt(tmp_path, spoil)
    assert any(s == "error" and p == place and message in m for s, p, m in found), found


def _asking_what_is_never_said(file: dict[str, Any], words: dict[str, Any]) -> None:
    file["intents"]["renew"]["variants"]["possible"]["communicate"] = {"title": "$book.title"}
    words["customer"]["ask"]["title"] = ["Which one?"]


PLAYING: list[tuple[str, Spoil, str, str]] = [
    (
        "gold is not reached",
        _asking_what_is_never_said,
        "intents.renew.variants.possible",
        "the expert does not reach the goal, 4 of 4 times; first: 3 of 3 changes right, 0 wrong, 0 of 1 told",
    ),
    (
        "a phrase lacks its value",
        lambda f, w: f["intents"]["renew"]["plan"].pop(6),
        "intents.renew.variants.possible",
        "the conversation cannot be played, 4 of 4 times; first: no phrase for 'renew' can be said with",
    ),
    (
        "gold is refused",
        lambda f, w: f["tools"]["renew"]["require"].append({"that": {"book.days": 0}, "otherwise": "never"}),
        "intents.renew.variants.possible",
        "no scenario can be made",
    ),
    (
        "a rule is broken",
        lambda f, w: f["intents"]["renew"]["plan"].pop(5),
        "intents.renew.variants.possible",
        "the expert breaks a rule, 4 of 4 times; first: confirm_before_writing",
    ),
    (
        "nothing to do",
        lambda f, w: f["intents"]["fee"]["variants"]["own"].pop("communicate"),
        "intents.fee.variants.own",
        "an agent that does nothing reaches the goal",
    ),
]


@pytest.mark.parametrize(("spoil", "place", "message"), [p[1:] for p in PLAYING], ids=[p[0] for p in PLAYING])
def test_what_only_shows_in_conversation_is_found_by_playing(
    tmp_path: Path, spoil: Spoil, place: str, message: str
) -> None:
    found = spoilt(tmp_path, spoil)
    assert any(s == "error" and p == place and message in m for s, p, m in found), found


def test_a_forbidden_action_that_changes_nothing_about_success_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lenient(*args: Any, **options: Any) -> Scenario:
        scenario = make_scenario(*args, **options)
        success = scenario.success.model_copy(update={"gate": ("communicate",)})
        return scenario.model_copy(update={"success": success})

    monkeypatch.setattr("dialog_rl.lint.make_scenario", lenient)
    found = spoilt(tmp_path, lambda f, w: f["tools"]["renew"].pop("require"))
    places = [p for _, p, m in found if m.startswith("a forbidden action does not matter") or "does not matter, " in m]
    assert "intents.renew.variants.late" in places


def test_a_phrase_that_customers_misread_is_a_warning(tmp_path: Path) -> None:
    found = spoilt(tmp_path, lambda f, w: w["agent"]["ask"].update(weeks=["For how long?"]))
    assert ("warning", "agent.ask.weeks") in [(s, p) for s, p, _ in found]


def test_words_about_one_wish_that_sound_like_another_are_a_warning(tmp_path: Path) -> None:
    about = {"renew": ["extend"], "fine": ["how many weeks"]}
    found = spoilt(tmp_path, lambda f, w: w["understand"].update(about=about))
    assert [(p, "not renew" in m) for s, p, m in found if "is heard as about" in m] == [("agent.ask.weeks", True)]


def test_a_pack_without_rules_for_people_is_a_warning(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "library"))
    (folder / "policy.md").unlink()
    assert [(f.severity, Path(f.file).name) for f in look(folder)] == [("warning", "policy.md")]


def test_errors_come_before_warnings(tmp_path: Path) -> None:
    def spoil(file: dict[str, Any], words: dict[str, Any]) -> None:
        words["agent"]["ask"]["weeks"] = ["For how long?"]
        words["evidence"].pop("too_late")

    severities = [severity for severity, _, _ in spoilt(tmp_path, spoil)]
    assert severities == sorted(severities) and set(severities) == {"error", "warning"}
