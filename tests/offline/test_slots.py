"""Slot filling: where a told value stands in a message, and what two phases of learning make of it."""

from __future__ import annotations

from dialog_rl.episode import Act, Message, Role
from dialog_rl.offline.slots import Utterance, sentence, study, utterance, utterances
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.rl.tagging import entities
from dialog_rl.staging import open_stage


def test_a_value_is_found_where_it_was_told() -> None:
    acts = (Act(kind="intent", value="return"), Act(kind="inform", slot="order_id", value="4711"))
    told = utterance(Message(role=Role.USER, text="It is order 4711, please", acts=acts))
    assert [(slot, told.text[start:end]) for slot, start, end in told.spans] == [("order_id", "4711")]


def test_a_value_of_several_words_begins_once() -> None:
    told = sentence(Utterance(text="Move it to 5 Oak Street.", spans=(("address", 11, 23),)), ["address"])
    assert told.tags == (0, 0, 0, 1, 2, 2, 0)
    assert entities(told.tags) == {(0, 3, 6)}


def test_customers_say_what_can_be_found_again() -> None:
    with load_plugins() as plugins:
        stage = open_stage(plugins.registry, "retail")
        said = utterances([stage], 60, seed=0, split="train", phrasing="train")
    assert len(said) == 60
    assert sum(bool(one.spans) for one in said) > 15
    assert all(one.text[start:end].strip() for one in said for _, start, end in one.spans)


def test_both_phases_are_measured_on_new_wording() -> None:
    with load_plugins() as plugins:
        stage = open_stage(plugins.registry, "retail")
        found = study([stage], examples=60, practice=60, held_out=60, epochs=12, seed=0)
    assert "order_id" in found.slots
    assert found.before[-1].kind == found.after[-1].kind == -1
    assert found.before[-1].support == found.after[-1].support > 0
    assert found.losses[-1] < found.losses[0]
    assert found.rewards[-1] > found.rewards[0] + 0.05
    assert found.after[-1].f1 > 0.3
