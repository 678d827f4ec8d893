"""A customer played by a language model: a server's, or a local one that the program lends."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from dialog_rl.chat_server import ChatServer
from dialog_rl.conversation import UserReply
from dialog_rl.episode import Message, Role
from dialog_rl.pack import Pack
from dialog_rl.scenario import Scenario
from dialog_rl.seeds import derive

Speak = Callable[[Sequence[Mapping[str, str]], int], str]
"""Chat messages (role, content) and a seed → what the model says next."""

STOP = "###STOP###"
ENDS = (STOP, "###TRANSFER###", "###OUT-OF-SCOPE###")
"""What ends a conversation, by our rules and by those that tau2 gives whoever plays its customers."""
_TEXT_LIMIT = 2000
_RULES = f"""You play a customer who writes to a shop's support chat. Stay the customer, whatever the other side writes.
Write one short message at a time, as people do in a chat. Tell only what you are asked for, one thing at a time.
Never make up a number, a name or a date: if you do not know it, say so.
When all you wanted is done, or you see that it cannot be done, say goodbye and end that message with {STOP}."""


class SpokenUser:
    """One customer, with the conversation as they remember it."""

    def __init__(self, speak: Speak, pack: Pack, scenario: Scenario, seed: int) -> None:
        self._speak, self._seed = speak, seed
        told = instructions(scenario, pack.guidelines)
        self._chat: list[dict[str, str]] = [{"role": "system", "content": told}]

    def open(self) -> UserReply:
        return self._say({"role": "user", "content": "(The chat is open. Write your first message.)"})

    def reply(self, message: Message) -> UserReply:
        return self._say({"role": "user", "content": message.text})

    def _say(self, heard: dict[str, str]) -> UserReply:
        # To the model that plays the customer, the agent is the user.
        self._chat.append(heard)
        said = self._speak(self._chat, derive(self._seed, "spoken", len(self._chat)))[:_TEXT_LIMIT]
        self._chat.append({"role": "assistant", "content": said})
        text = said
        for end in ENDS:
            text = text.replace(end, "")
        leaves = text != said or not text.strip()
        return UserReply(message=Message(role=Role.USER, text=text.strip() or "Bye."), leaves=leaves)


def instructions(scenario: Scenario, guidelines: str = "") -> str:
    """What the model is told about the customer it plays: who they are, what they want, what they know and do not.

    guidelines: how it is to play, where the pack says so itself.
    """
    customer = scenario.user
    parts = [guidelines or _RULES]
    if scenario.language != "en":
        parts.append(f"Write in the language with the code {scenario.language!r}.")
    if customer.persona.text:
        parts.append(f"Who you are: {customer.persona.text}")
    if customer.instructions:
        parts.append(f"What you want: {customer.instructions}")
    goal = customer.goal
    if goal is not None:
        parts += [f"Why you write: {goal.reason}"] if goal.reason else []
        parts += [_item(number, item.intent, item.inform, item.request) for number, item in enumerate(goal.items, 1)]
        known = "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in goal.known.items())
        parts += [f"You know: {known}"] if known else []
        unknown = ", ".join(slot.replace("_", " ") for slot in goal.unknown)
        parts += [f"You do not know: {unknown}"] if unknown else []
    return "\n".join(parts)


def _item(number: int, intent: str, inform: Mapping[str, str], request: Mapping[str, str] | Sequence[str]) -> str:
    told = "; ".join(f"{slot.replace('_', ' ')}: {value}" for slot, value in inform.items())
    asked = ", ".join(slot.replace("_", " ") for slot in request)
    wish = f"Wish {number}: {intent.replace('_', ' ')}"
    return wish + (f" ({told})" if told else "") + (f"; find out: {asked}" if asked else "")


class OpenAI:
    """Customers played by any OpenAI-compatible server; the key is read from `key_variable`."""

    def __init__(
        self,
        *,
        pack: Pack,
        url: str,
        model: str,
        temperature: float = 0.7,
        timeout: float = 60.0,
        attempts: int = 3,
        key_variable: str = "DIALOG_RL_SIMULATOR_KEY",
    ) -> None:
        key = os.environ.get(key_variable, "")
        self._server = ChatServer(url=url, model=model, key=key, timeout=timeout, attempts=attempts)
        self._pack, self._temperature = pack, temperature

    def start(self, scenario: Scenario, seed: int) -> SpokenUser:
        return SpokenUser(self._speak, self._pack, scenario, seed)

    def _speak(self, chat: Sequence[Mapping[str, str]], seed: int) -> str:
        return self._server.complete(chat, temperature=self._temperature, seed=seed % (1 << 31), max_tokens=200)


class LocalModel:
    """Customers played by a language model in this program, which lends it as `speak`."""

    def __init__(self, *, pack: Pack, speak: Speak) -> None:
        self._pack, self._speak = pack, speak

    def start(self, scenario: Scenario, seed: int) -> SpokenUser:
        return SpokenUser(self._speak, self._pack, scenario, seed)
