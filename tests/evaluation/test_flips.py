"""Customers under two sets of rules: who is to be served otherwise, and who is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import pytest

from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode, Message, Role
from dialog_rl.evaluation import document, flips
from dialog_rl.evaluation.contestants import expert
from dialog_rl.evaluation.suites import Contestant, Suite, evaluate
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.policy_edit import PolicyEdit, edited
from dialog_rl.staging import Customers, open_stage
from tests.scenarios.library import FOLDER
from tests.test_policy_edit import TEN_DAYS

with load_plugins() as plugins:
    LIBRARY_STAGE = open_stage(plugins.registry, str(FOLDER))


def refusing(conversations: Iterable[Conversation]) -> Iterator[Episode]:
    for conversation in conversations:
        while conversation.stopped is None:
            conversation.act(Message(role=Role.ASSISTANT, text="It is days late, so it is not possible."))
        yield conversation.episode()


PLAYERS = (expert(), Contestant(name="refuses", play=lambda stage: refusing))


def flipped(rules: Mapping[str, object]) -> flips.Flips:
    suite = Suite(stages=(LIBRARY_STAGE,), customers=Customers(), goals=60)
    changed = replace(LIBRARY_STAGE, pack=edited(LIBRARY_STAGE.pack, PolicyEdit(rules=rules)))
    after = replace(suite, stages=(changed,), edit="stricter")
    return flips.Flips(edit="stricter", before=evaluate(PLAYERS, suite), after=evaluate(PLAYERS, after))


@pytest.fixture(scope="module")
def stricter() -> flips.Flips:
    return flipped(TEN_DAYS)


def test_customers_for_whom_another_end_is_right_are_named_with_both(stricter: flips.Flips) -> None:
    moved = stricter.moved()
    assert moved and all("renew" in was and "refused, too_late" in now for was, now in moved.values())


def test_the_expert_follows_the_edited_rules(stricter: flips.Flips) -> None:
    assert all(s.success.value == 1 for s in (stricter.before.summaries[0], stricter.after.summaries[0]))


def test_who_refuses_everybody_gains_who_must_be_refused_now(stricter: flips.Flips) -> None:
    paired = stricter.against_before()["refuses"]
    assert paired.only_second == 0 and 0 < paired.only_first <= len(stricter.moved())


def test_only_customers_with_whom_something_changes_are_listed(stricter: flips.Flips) -> None:
    assert set(stricter.flipped()) == set(stricter.moved())
    assert flips.as_document(stricter)["moved"][0]["pack"] == "library"
    assert len(flips.as_document(stricter)["flipped"]) == len(stricter.moved())


def test_the_page_and_the_terminal_say_the_same(stricter: flips.Flips) -> None:
    page, said = document.markdown(flips.whole(stricter)), flips.plain(stricter)
    share = f"another end is right, {len(stricter.moved())}"
    assert share in page and share in said and "yes → yes" in said


def test_an_edit_that_moves_nobody_says_so() -> None:
    found = flipped({"tools/renew/description": "Renew."})
    assert not found.moved() and not found.flipped() and flips.NONE_MOVED in flips.plain(found)


def test_episodes_under_an_edit_are_of_another_suite(stricter: flips.Flips) -> None:
    assert stricter.after.suite == {**stricter.before.suite, "policy_edit": "stricter"}
