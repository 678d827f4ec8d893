"""Edited rules: what is right for whom then, and what of an edit cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dialog_rl.errors import ScenarioError
from dialog_rl.goals import make_scenario
from dialog_rl.pack import Pack
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.policy_edit import EditedPack, PolicyEdit, edited, ends, read_edit
from dialog_rl.scenario import Scenario
from dialog_rl.sources import SourcedPack
from dialog_rl.staging import Customers, find_pack
from tests.scenarios.library import LIBRARY

TOOL, PLAN = "tools/renew/require/0/that/book.days/max", "intents/renew/plan/3/when/book.days/min"
TEN_DAYS = {TOOL: 10, PLAN: 11}


def under(rules: dict[str, Any], pack: Pack = LIBRARY) -> EditedPack:
    made = edited(pack, PolicyEdit(rules=rules))
    assert isinstance(made, EditedPack)
    return made


def judged(rules: dict[str, Any], **wanted: Any) -> list[tuple[int, Scenario, Scenario]]:
    """Days of a loan, the customer as they were, and by these rules."""
    found: list[tuple[int, Scenario, Scenario]] = []
    for seed in range(60):
        before = make_scenario(LIBRARY, seed, two_items=0, **wanted)
        assert before.user.goal is not None
        book = before.initial.records["books"][before.user.goal.items[0].inform["book_id"]]
        found.append((book["days"], before, under(rules).judged(before)))
    return found


@pytest.mark.parametrize("name", ["retail", "retail_zh", "telecom", "banking"])
def test_an_edit_of_nothing_leaves_every_customer_as_they_were(name: str) -> None:
    with load_plugins() as plugins:
        pack = find_pack(plugins.registry, name)
    same = edited(pack, PolicyEdit())
    assert list(Customers().scenarios(same, 60)) == list(Customers().scenarios(pack, 60))


def test_who_was_served_is_to_be_refused_by_a_stricter_rule_and_nobody_else() -> None:
    for days, before, after in judged(TEN_DAYS, intent="renew", variant="possible"):
        assert after.user.goal is not None
        (item,) = after.user.goal.items
        if days <= 10:
            assert after == before
        else:
            assert (item.refusal, after.success.db.patch) == ("too_late", ())
            assert [call.tool for call in after.success.actions.forbidden] == ["renew"]
            assert [need.any_of for need in after.success.communicate] == [item.evidence]


def test_who_was_refused_is_to_be_served_by_a_laxer_rule() -> None:
    for _, before, after in judged({TOOL: 99, PLAN: 100}, intent="renew", variant="late"):
        assert after.user.goal is not None and before.success.db.patch == ()
        assert after.user.goal.items[0].refusal == "" and [c.tool for c in after.success.db.from_actions] == ["renew"]
        assert after.success.db.patch and not after.success.actions.forbidden


def test_records_and_wishes_stay_as_they_are() -> None:
    for _, before, after in judged(TEN_DAYS, intent="renew"):
        assert (after.initial, after.id, after.user.persona) == (before.initial, before.id, before.user.persona)
        assert before.user.goal is not None and after.user.goal is not None
        assert after.user.goal.items[0].inform == before.user.goal.items[0].inform


def test_a_rule_that_is_lifted_counts_no_more() -> None:
    scenario = under({"policy": []}).judged(make_scenario(LIBRARY, 1))
    assert scenario.success.policy == () and make_scenario(LIBRARY, 1).success.policy


def test_customers_of_an_edited_pack_are_those_of_its_base() -> None:
    both = zip(Customers().scenarios(under(TEN_DAYS), 20), Customers().scenarios(LIBRARY, 20), strict=True)
    assert all(after.id == before.id and seed == same for (after, seed), (before, same) in both)


def test_the_words_of_the_rules_are_edited_too() -> None:
    pack = Pack(LIBRARY.file, LIBRARY.phrasing, "Loans run 30 days.\nBe kind.", LIBRARY.folder)
    assert edited(pack, PolicyEdit(text={"30 days": "10 days"})).policy_text == "Loans run 10 days.\nBe kind."
    with pytest.raises(ScenarioError, match=r"does not say 'Loans run 31 days'; the nearest line is 'Loans run 30"):
        edited(pack, PolicyEdit(text={"Loans run 31 days": ""}))


def test_a_tool_that_is_edited_without_its_plan_is_an_error_that_names_both() -> None:
    pack = under({TOOL: 0})
    with pytest.raises(ScenarioError, match="the plan of renew goes on to renew, which answers 'not possible: "):
        ends(pack, make_scenario(LIBRARY, 3, intent="renew", variant="possible"))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("tools/renew/require/0/that/book.day/max", "has no 'book.day'; there is: book.days"),
        ("tools/renew/require/1", "has no '1'; there is: 0"),
        ("tools/renews", r"tools has no 'renews'; there is: find_member"),
        ("tools/renew/kind/x", "tools/renew/kind has no 'x'; there is: nothing"),
        ("tables/books/count", "is no rule; those are tools, policy, articles, identify and intents/NAME/plan"),
        ("intents/renew/variants/late/refuse", "is no rule"),
        ("", "is no rule"),
    ],
)
def test_a_path_that_leads_nowhere_is_named(path: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        edited(LIBRARY, PolicyEdit(rules={path: 1}))


def test_a_value_that_no_rule_can_have_is_refused() -> None:
    with pytest.raises(ScenarioError, match="library as edited: 'tools.renew.kind'"):
        edited(LIBRARY, PolicyEdit(rules={"tools/renew/kind": "wrote"}))


def test_of_an_imported_pack_only_the_words_can_be_edited() -> None:
    pack = SourcedPack(Pack(LIBRARY.file, LIBRARY.phrasing, "Be kind.", LIBRARY.folder), source=None)  # type: ignore[arg-type]
    changed = edited(pack, PolicyEdit(text={"kind": "quick"}))
    assert isinstance(changed, SourcedPack) and changed.policy_text == "Be quick."
    with pytest.raises(ScenarioError, match="only its 'text' can be edited"):
        edited(pack, PolicyEdit(rules=TEN_DAYS))


@pytest.mark.parametrize(
    ("text", "message"),
    [("rules: {}\n", "it changes nothing"), ("rule: {a: 1}\n", "did you mean 'rules'"), ("- a\n", "edit.yaml")],
)
def test_a_file_that_is_no_edit_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "edit.yaml").write_text(text)
    with pytest.raises(ScenarioError, match=message):
        read_edit(tmp_path / "edit.yaml")


def test_an_edit_is_called_by_its_file_and_what_is_in_it(tmp_path: Path) -> None:
    names: set[str] = set()
    for days in (1, 2):
        (tmp_path / "edit.yaml").write_text(f"rules: {{{TOOL}: {days}}}\n")
        names.add(read_edit(tmp_path / "edit.yaml")[1])
    assert len(names) == 2 and all(name.startswith("edit.yaml ") for name in names)
