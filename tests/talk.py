"""Packs that come with the program, customers with goals made by hand, and whole conversations."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import dialog_rl_scenarios
from dialog_rl_simulators.agenda import AgendaUser

from dialog_rl.conversation import Conversation, UserReply
from dialog_rl.episode import Episode, Message, Role
from dialog_rl.expert import Expert
from dialog_rl.goals import make_scenario
from dialog_rl.mistakes import NONE, Mistakes
from dialog_rl.pack import Pack, load_pack
from dialog_rl.scenario import Scenario
from dialog_rl.world import World

FOLDER = Path(next(iter(dialog_rl_scenarios.__path__)))
PACKS = tuple(sorted(f.parent.name for f in FOLDER.glob("*/pack.yaml")))


@cache
def pack(name: str) -> Pack:
    return load_pack(FOLDER / name)


def agent_says(text: str) -> Message:
    return Message(role=Role.ASSISTANT, text=text)


def item(intent: str, order_id: str = "7072", **more: Any) -> dict[str, Any]:
    inform = {"order_id": order_id, **more.pop("inform", {})}
    return {"id": "g1", "intent": intent, "inform": inform, **more}


class Customer:
    """A retail customer whose goal is written out, Anna Keller of 12345, and what she answers to an agent's words."""

    def __init__(
        self, *items: Mapping[str, Any], seed: int = 0, in_pack: str = "retail", phrasing: str = "train",
        reveal: str = "on_request", name: str = "Anna Keller", **persona: Any,
    ) -> None:  # fmt: skip
        goal = {"items": items, "known": {"name": name, "zip": "12345"}, "reveal": reveal}
        document = {"id": "by hand", "pack": in_pack, "phrasing": phrasing, "user": {"persona": persona, "goal": goal}}
        self.user = AgendaUser(Scenario.model_validate(document), pack(in_pack), seed)
        self.opening = self.user.open()

    def answers(self, text: str) -> UserReply:
        return self.user.reply(agent_says(text))

    def hears(self, *texts: str) -> UserReply:
        """Her answer to the last of several replies."""
        return [self.answers(text) for text in texts][-1]


def acts(reply: UserReply) -> list[str]:
    """`inform order_id=7072`, `affirm`, …"""
    return [f"{a.kind} {a.slot}={a.value}" if a.slot else a.kind for a in reply.message.acts]


def converse(scenario: Scenario, seed: int = 0, mistakes: Mistakes = NONE) -> Episode:
    """The agenda customer of a scenario and the scripted expert, to the end."""
    shop = pack(scenario.pack)
    conversation = Conversation(
        episode_id=scenario.id, pack=shop.name, scenario=scenario.model_dump(by_alias=True), seed=seed,
        system=Message(role=Role.SYSTEM, text=shop.file.brief), user=AgendaUser(scenario, shop, seed),
        tools=World(shop, scenario.initial.records, scenario.initial.facts),
    )  # fmt: skip
    expert = Expert(shop, random.Random(seed), mistakes)
    while not conversation.stopped:
        conversation.act(expert.act(conversation.unobserved()))
    return conversation.episode()


def served(name: str, seed: int, split: str = "train", mistakes: Mistakes = NONE) -> Episode:
    return converse(make_scenario(pack(name), seed, split=split), seed, mistakes)


def wordings(template: str) -> Iterator[str]:
    """Every text that a template's `[this|or that]` allows, its `{slots}` still in it."""
    parts = [p.split("|") if n % 2 else [p] for n, p in enumerate(re.split(r"\[([^\[\]]*)\]", template))]
    return map("".join, itertools.product(*parts))
