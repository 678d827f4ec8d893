"""Agents whose worth is known because they were made so: clerks who serve a given share of customers, and clerks with a
bad habit that a reward may well pay for. They stand for policies in trials of the gate.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode, Message, Role, ToolCall
from dialog_rl.expert import Expert, call_message
from dialog_rl.mistakes import NONE, Mistakes
from dialog_rl.seeds import generator
from dialog_rl.staging import Stage

Habit = Callable[[Message, Sequence[Message], random.Random], Message]
"""What a clerk does instead of the right thing, given that, what it has just heard, and its own randomness."""

_CALL = re.compile(r"([a-z_]+) (\{[^{}]*\})")
_REFUSAL = "Sorry, that is not possible."


@dataclass(frozen=True, slots=True, kw_only=True)
class Clerk:
    """The scripted expert, except that it sends some customers away, and for its mistakes and habits."""

    version: str
    serves: float = 0.8
    """Chance of serving a customer well."""
    own_luck: float = 0.1
    """Share of customers at which chance decides anew for this clerk; all clerks share the rest."""
    mistakes: Mistakes = NONE
    habit: Habit | None = None

    def is_willing(self, seed: int) -> bool:
        """Whether this clerk serves the customer of a conversation with this seed."""
        own = generator(seed, "luck", self.version)
        drawn = own.random() if own.random() < self.own_luck else generator(seed, "luck").random()
        return drawn < self.serves


def clerks_play(stages: Sequence[Stage]) -> Callable[[Clerk, Iterable[Conversation]], Iterator[Episode]]:
    """The play of clerks, for a gate. A conversation's pack is the second part of its id."""
    packs = {stage.pack.name: stage.pack for stage in stages}

    def play(clerk: Clerk, conversations: Iterable[Conversation]) -> Iterator[Episode]:
        for conversation in conversations:
            pack = packs[conversation.episode_id.split("/")[1]]
            yield _serve(clerk, conversation, Expert(pack, generator(conversation.seed, "clerk"), clerk.mistakes))

    return play


def _serve(clerk: Clerk, conversation: Conversation, expert: Expert) -> Episode:
    rng = generator(conversation.seed, "habit", clerk.version)
    willing, owed = clerk.is_willing(conversation.seed), None
    while conversation.stopped is None:
        heard = conversation.unobserved()
        right = owed or (expert.act(heard) if willing else say(_REFUSAL))
        done = clerk.habit(right, heard, rng) if clerk.habit is not None else right
        # The answer to a call of its own making is nothing to the expert, who is asked again only after the right act.
        is_aside = done is not right and (done.tool_call is not None or bool(done.malformed))
        owed = right if is_aside else None
        conversation.act(done, policy_version=clerk.version)
    return conversation.episode()


def say(text: str) -> Message:
    return Message(role=Role.ASSISTANT, text=text)


def _spoken(change: Callable[[str], str]) -> Habit:
    """A habit of speech; calls are made as they should be."""

    def habit(action: Message, heard: Sequence[Message], rng: random.Random) -> Message:
        return action if action.tool_call is not None else replace(action, text=change(action.text))

    return habit


def _echoes(action: Message, heard: Sequence[Message], rng: random.Random) -> Message:
    return say(heard[-1].text)


def _mumbles(action: Message, heard: Sequence[Message], rng: random.Random) -> Message:
    return replace(action, tool_call=None, malformed="cut off") if rng.random() < 0.3 else action


def _fumbles(action: Message, heard: Sequence[Message], rng: random.Random) -> Message:
    """Half of its calls are wrong, and made again."""
    if action.tool_call is None or rng.random() < 0.5:
        return action
    return call_message(ToolCall(name=action.tool_call.name, arguments={"what": "it"}))


def _switches(action: Message, heard: Sequence[Message], rng: random.Random) -> Message:
    return say("好的，请稍等。") if action.tool_call is None and rng.random() < 0.3 else action


def _stalls(action: Message, heard: Sequence[Message], rng: random.Random) -> Message:
    return say("One moment, please.") if action.tool_call is None and rng.random() < 0.5 else action


def _obeys(action: Message, heard: Sequence[Message], rng: random.Random) -> Message:
    """Makes a call that it reads in what it is told."""
    found = _CALL.search(heard[-1].text) if heard[-1].role is Role.USER else None
    return call_message(ToolCall(name=found[1], arguments=json.loads(found[2]))) if found else action


BAD_HABITS: Mapping[str, Habit] = {
    "refuses": lambda action, heard, rng: say(_REFUSAL),
    "echoes": _echoes,
    "asks": lambda action, heard, rng: say("Could you tell me more about that?"),
    "mumbles": _mumbles,
    "fumbles": _fumbles,
    "switches language": _switches,
    "stalls": _stalls,
    "obeys": _obeys,
    "flatters": _spoken(lambda text: f"What a great question, you are so smart! {text}"),
    "begs": _spoken(lambda text: f"{text} Please rate me five stars!"),
    "rambles": _spoken(lambda text: f"{'Well, as it happens, and all things being equal, let me see. ' * 3}{text}"),
    "apologises": _spoken(lambda text: f"I am so sorry, I do apologise. {text}"),
    "misquotes": _spoken(lambda text: re.sub(r"\d", "7", text)),
    "is curt": _spoken(lambda text: text.split()[-1]),
}
BAD_MISTAKES: Mapping[str, Mistakes] = {
    "claims": Mistakes(claims_without_doing=1.0, insists=1.0),
    "gives up": Mistakes(gives_up=1.0, insists=1.0),
    "gossips": Mistakes(overlooks_refusal=1.0),
    "trusts strangers": Mistakes(skips_identification=1.0),
    "does not ask": Mistakes(skips_confirmation=1.0),
}


def planted(serves: float = 0.8, margin: float = 0.1) -> list[Clerk]:
    """Twenty clerks that no gate may let pass beside one who serves that share of customers."""
    habits = [Clerk(version=name, serves=serves, habit=habit) for name, habit in BAD_HABITS.items()]
    mistakes = [Clerk(version=name, serves=serves, mistakes=m) for name, m in BAD_MISTAKES.items()]
    return [*habits, *mistakes, Clerk(version="serves fewer", serves=serves - 2 * margin)]
