"""The scenario document: strict, and plain about what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from dialog_rl import safe_yaml
from dialog_rl.errors import ScenarioError
from dialog_rl.goals import make_scenario
from dialog_rl.scenario import Persona, Scenario, validate
from tests.talk import PACKS, pack


def check(**keys: Any) -> Scenario:
    return validate(Scenario, {"id": "s1", "pack": "retail"} | keys, source="goal.yaml")


def test_a_scenario_needs_an_id_and_a_pack() -> None:
    with pytest.raises(ScenarioError) as raised:
        validate(Scenario, {}, source="goal.yaml")
    assert str(raised.value).splitlines() == ["goal.yaml: 'id' is missing", "goal.yaml: 'pack' is missing"]


def test_an_unknown_key_is_named_with_the_one_that_was_meant() -> None:
    wanted = r"^goal\.yaml: 'limits\.turn' is not a field here; did you mean 'turns'\?$"
    with pytest.raises(ScenarioError, match=wanted):
        check(limits={"turn": 3})


def test_a_key_like_no_other_gets_no_suggestion() -> None:
    with pytest.raises(ScenarioError, match=r"'xyzzy' is not a field here$"):
        check(xyzzy=1)


def test_a_wrong_value_is_shown_with_what_would_be_right() -> None:
    wanted = "'split': input should be 'train', 'validation' or 'heldout', found 'test'"
    with pytest.raises(ScenarioError, match=wanted):
        check(split="test")


def test_an_error_names_the_line_it_is_on() -> None:
    data, lines = safe_yaml.parse("id: s1\npack: retail\nlimits:\n  turns: 0\n", "goal.yaml")
    with pytest.raises(ScenarioError, match=r"^goal\.yaml:4: 'limits\.turns'"):
        validate(Scenario, data, source="goal.yaml", lines=lines)


def test_of_many_errors_the_first_five_are_told() -> None:
    with pytest.raises(ScenarioError) as raised:
        check(**{f"unknown_{n}": n for n in range(9)})
    assert len(str(raised.value).splitlines()) == 5


def test_a_huge_wrong_value_does_not_flood_the_message() -> None:
    with pytest.raises(ScenarioError) as raised:
        check(split="x" * 100_000)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("chance", [-0.1, 1.1])
def test_a_chance_is_between_0_and_1(chance: float) -> None:
    with pytest.raises(ScenarioError, match=r"'user\.persona\.noise\.typo'"):
        check(user={"persona": {"noise": {"typo": chance}}})


def test_a_scenario_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        check().id = "s2"  # type: ignore[misc]


def test_an_unwritten_persona_is_an_ordinary_one() -> None:
    persona = check().user.persona
    assert persona == Persona() and not persona.lowercase and persona.noise.typo == 0


@pytest.mark.parametrize("name", PACKS)
def test_a_made_scenario_comes_back_from_json_as_it_was(name: str) -> None:
    scenario = make_scenario(pack(name), 5)
    text = json.dumps(scenario.model_dump(by_alias=True, mode="json"), ensure_ascii=False)
    assert Scenario.model_validate_json(text) == scenario


def test_the_json_schema_knows_every_field_and_forbids_others() -> None:
    schema = Scenario.model_json_schema()
    assert {"schema", "id", "pack", "user", "initial", "success"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False
