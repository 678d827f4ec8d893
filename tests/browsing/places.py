"""A customer of the shop who was served by the expert, and the agent's place in that conversation."""

from __future__ import annotations

from functools import cache

from dialog_rl.browsing.standing_in import StandIn, tools_of
from dialog_rl.episode import Episode
from dialog_rl.expert import Expert
from dialog_rl.seeds import generator
from dialog_rl.staging import Customers, manual_of
from tests.chat.scripted import stage
from tests.talk import pack


@cache
def served() -> Episode:
    ((scenario, seed),) = Customers().scenarios(pack("retail"), 1, 3)
    conversation = stage().conversation(scenario, seed, episode_id="e1", tokenizer="t")
    expert = Expert(pack("retail"), generator(seed, "expert"))
    while conversation.stopped is None:
        conversation.act(expert.act(conversation.unobserved()))
    return conversation.episode()


def placed(turn: int) -> StandIn:
    """In the agent's place from this turn on."""
    return StandIn(stage().again(served()), served(), turn, tools_of(manual_of(pack("retail"))))
