"""The scripted expert: an agent derived from the pack that solves what can be solved. The ceiling of every evaluation,
and the source of demonstrations; as a trainee it makes the mistakes of one.

It reads the acts behind a simulated customer's words (perfect understanding) and walks the intent's plan from the top
at every step: the first step whose result is not there yet is what to do.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dialog_rl.episode import Message, Role, ToolCall
from dialog_rl.errors import ScenarioError
from dialog_rl.expressions import holds, resolve
from dialog_rl.mistakes import NONE, Lapses, Mistakes
from dialog_rl.pack import Pack, Step
from dialog_rl.phrasing import phrase
from dialog_rl.sources import SourcedPack

MAX_DOUBTS = 2
RECOGNISING = -2
"""Stands for a number in the plan, of the call that finds a forgotten slot."""


class Expert:
    """Speaks for one conversation."""

    def __init__(self, pack: Pack, rng: random.Random, mistakes: Mistakes = NONE, *, style: str = "train") -> None:
        if isinstance(pack, SourcedPack):
            raise ScenarioError(
                f"{pack.folder}: its customers come from {pack.file.source!r} and have no plans to walk; it can be "
                "evaluated, simulated and trained on, but not demonstrated"
            )
        self._pack, self._rng, self._style = pack, rng, style
        self._lapses = Lapses(mistakes, rng)
        self._words = pack.phrasing.agent
        self._slots: dict[str, str] = {}
        self._results: dict[tuple[str, str], Message] = {}
        self._pending: ToolCall | None = None
        self._unidentified = False
        self.slipped: list[int] = []
        """Which of its actions, counted from 0, were slips or misread: learn what comes after them, not them."""
        self._actions = 0
        self._parting = False
        self._begin("")

    def act(self, observed: tuple[Message, ...]) -> Message:
        for message in observed:
            if message.role is Role.TOOL and self._pending is not None:
                self._results[_key(self._pending)] = message
                self._pending = None
            elif message.role is Role.USER:
                self._hear(message)
        message = self._next()
        if self._wanted:
            self.slipped.append(self._actions)
        self._actions += 1
        return message

    # -- listening

    def _begin(self, intent: str) -> None:
        self._intent = intent
        keep = {step.ask for step in self._pack.file.identify}
        self._slots = {slot: value for slot, value in self._slots.items() if slot in keep}
        self._confirmed: set[str] = set()
        self._asked_to_confirm = ""
        self._doubts: dict[str, int] = {}
        self._lapses.begin()
        self._mistaken = ""
        self._acknowledged = False
        self._wanted = ""
        self._apologetic = False
        self._slips_made: dict[int, ToolCall] = {}

    def _hear(self, message: Message) -> None:
        for act in message.acts:
            if act.kind == "intent" and act.value == self._wanted:
                self._understand(apologetic=False)
            elif act.kind == "intent" and act.value != self._intent:
                self._take_up(act.value)
            elif act.kind == "bye":
                self._parting = True
            elif self._wanted and act.kind in ("protest", "ask", "confused", "dont_know"):
                self._understand(apologetic=True)
            elif act.kind in ("inform", "correct"):
                self._slots[act.slot] = act.value
            elif act.kind == "affirm" and self._asked_to_confirm:
                self._confirmed.add(self._asked_to_confirm)
            elif act.kind in ("protest", "ask", "confused"):
                self._mistaken = ""
        self._asked_to_confirm = ""

    def _take_up(self, intent: str) -> None:
        """Begin with a wish, as it was understood."""
        others = [name for name, one in self._pack.file.intents.items() if name != intent and not one.public]
        if others and self._lapses.misreads():
            self._begin(self._rng.choice(others))
            self._wanted = intent
        else:
            self._begin(intent)

    def _understand(self, *, apologetic: bool) -> None:
        """See what was really wanted. What was told about it stays told."""
        told = self._slots
        self._begin(self._wanted)
        self._slots, self._apologetic = told, apologetic

    # -- the plan

    def _next(self) -> Message:
        if not self._intent:
            return self._say(self._words.other, "how_can_i_help", {})
        if self._parting:
            return self._say(self._words.other, "goodbye", {})
        if self._apologetic:
            self._apologetic = False
            return self._say(self._words.other, "misunderstood", {})
        if self._lapses.errs("gives_up", -1) and not self._lapses.already("gives_up"):
            self._mistaken = "gives_up"
            return self._say(self._words.other, "give_up", {})
        scope: dict[str, Any] = {"slots": self._slots}
        for number, step in enumerate(self._pack.plans[self._intent]):
            if self._skips(step, number):
                continue
            message = self._do(step, number, scope)
            if message is not None:
                return message
        raise ScenarioError(f"{self._pack.folder}: the plan of '{self._intent}' says nothing at its end")

    def _skips(self, step: Step, number: int) -> bool:
        identify = self._pack.file.identify
        if number == 0 and step in identify and self._lapses.errs("skips_identification", 0):
            self._unidentified = True
        return self._unidentified and step in identify

    def _do(self, step: Step, number: int, scope: dict[str, Any]) -> Message | None:
        """What a step makes the agent say or call now; None when it is settled."""
        if self._wanted and (step.confirm or (step.call and self._pack.file.tools[step.call].kind == "write")):
            self._understand(apologetic=False)  # nothing is changed that nobody asked for
            return self._say(self._words.other, "misunderstood", {})
        if step.ask:
            return self._ask(step.ask, scope)
        if step.call:
            return self._call(step, number, scope)
        if step.refuse:
            return self._refuse(step, number, scope)
        if step.confirm:
            return self._confirm(step, number, scope)
        if not holds(step.when, scope):
            return None
        if self._lapses.errs("vague", number) and not self._lapses.already(f"vague{number}"):
            return self._say_vaguely(step.say, scope)
        return self._say(self._words.say, step.say, scope)

    def _ask(self, slot: str, scope: dict[str, Any]) -> Message | None:
        if slot in self._slots:
            return None
        if self._described(slot, scope):
            return self._recognise(slot, scope)
        return self._acknowledge(self._say(self._words.ask, self._pair(slot) or slot, scope))

    def _acknowledge(self, question: Message) -> Message:
        """The first question about an intent, with what was understood before it, where the pack has words for it."""
        if self._acknowledged or self._intent not in self._words.acknowledge:
            return question
        self._acknowledged = True
        said = self._say(self._words.acknowledge, self._intent, {}).text
        return replace(question, text=said + ("" if said.endswith("。") else " ") + question.text)

    def _pair(self, slot: str) -> str:
        """The occasion of asking two things in one question, where the pack has words for it and both are open."""
        pairs = [k for k in self._words.ask if k.startswith(f"{slot}+") and k.partition("+")[2] not in self._slots]
        return pairs[0] if pairs and self._rng.random() < 0.5 else ""

    def _described(self, slot: str, scope: Mapping[str, Any]) -> bool:
        """Whether the customer has said instead what the pack's tools can find a forgotten slot by."""
        hints = self._pack.file.intents[self._intent].hints.get(slot, {})
        return slot in self._pack.file.recognise and "me" in scope and any(hint in self._slots for hint in hints)

    def _recognise(self, slot: str, scope: dict[str, Any]) -> Message | None:
        step = self._pack.file.recognise[slot]
        message = self._call(step, RECOGNISING, scope)
        if message is None:
            self._slots[slot] = scope[step.name][slot]
        return message

    def _call(self, step: Step, number: int, scope: dict[str, Any]) -> Message | None:
        kind = self._pack.file.tools[step.call].kind
        claims = kind == "write" and self._lapses.errs("claims_without_doing", number)
        if claims and not self._lapses.already(f"claims{number}"):
            last = self._pack.plans[self._intent][-1]
            return self._say_vaguely(last.say, scope)
        call = ToolCall(name=step.call, arguments=resolve(dict(step.arguments), scope))
        result = self._results.get(_key(call))
        if result is None:
            if number in self._slips_made:
                again = self._after_slip(step, number, scope)
                if again is not None:
                    return again
            elif kind == "read" and self._lapses.slips(number):
                return self._make_slip(self._lapses.garbled(call), number)
            self._pending = call
            return call_message(call)
        if result.error:
            return self._on_error(step, result, scope)
        if step.name:
            scope[step.name] = _read(result.text)
        return None

    def _make_slip(self, call: ToolCall, number: int) -> Message:
        self._slips_made[number] = self._pending = call
        self.slipped.append(self._actions)
        return call_message(call)

    def _after_slip(self, step: Step, number: int, scope: dict[str, Any]) -> Message | None:
        """What may come before the right call: the same slip again, then a question; a question; or nothing.

        Who has failed twice in the same way must be seen to leave it, or it is never learnt.
        """
        if self._lapses.slips_again(number):
            return self._make_slip(self._slips_made[number], number)
        del self._slips_made[number]
        return self._ask_again(step, scope) if self._lapses.asks_again(number) else None

    def _ask_again(self, step: Step, scope: dict[str, Any]) -> Message | None:
        """A question about what a call needs that has failed; None if no customer could know it."""
        recognised = [slot for slot, finds in self._pack.file.recognise.items() if finds is step]
        if step.doubt:
            question = self._say(self._words.doubt, "+".join(step.doubt), scope)
            forgotten = set(step.doubt)
        elif recognised:
            question = self._say(self._words.ask, recognised[0], scope)
            forgotten = set(self._pack.file.intents[self._intent].hints.get(recognised[0], {}))
        else:
            return None
        self._slots = {slot: value for slot, value in self._slots.items() if slot not in forgotten}
        return question

    def _on_error(self, step: Step, result: Message, scope: dict[str, Any]) -> Message:
        if any(self._doubts.get(slot, 0) >= MAX_DOUBTS for slot in step.doubt) or not step.doubt:
            return self._say(self._words.other, "tool_refused", {**scope, "reason": result.text})
        question = self._say(self._words.doubt, "+".join(step.doubt), scope)
        for slot in step.doubt:
            self._doubts[slot] = self._doubts.get(slot, 0) + 1
            del self._slots[slot]
        return question

    def _refuse(self, step: Step, number: int, scope: dict[str, Any]) -> Message | None:
        if self._unidentified and "me" not in scope and any("$me" in str(wanted) for wanted in step.when.values()):
            return None
        if holds(step.when, scope):
            if self._lapses.errs("overlooks_refusal", number):
                return None
            slot = step.doubt[0] if step.doubt else ""
            if slot and not self._doubts.get(slot):
                self._doubts[slot] = 1
                question = self._say(self._words.doubt, slot, scope)
                del self._slots[slot]
                return question
            return self._say(self._words.refuse, step.refuse, scope)
        if self._lapses.errs("refuses_wrongly", number) and not self._lapses.already(f"refuse{number}"):
            return self._say(self._words.refuse, step.refuse, scope)
        return None

    def _confirm(self, step: Step, number: int, scope: dict[str, Any]) -> Message | None:
        if self._lapses.errs("skips_confirmation", number):
            return None
        asked = f"{step.confirm} {sorted(self._slots.items())}"
        if asked in self._confirmed:
            return None
        self._asked_to_confirm = asked
        return self._say(self._words.confirm, step.confirm, scope)

    # -- saying

    def _say_vaguely(self, occasion: str, scope: Mapping[str, Any]) -> Message:
        return self._say(self._words.vague, occasion if occasion in self._words.vague else "default", scope)

    def _say(self, words: Mapping[str, Any], occasion: str, scope: Mapping[str, Any]) -> Message:
        return Message(role=Role.ASSISTANT, text=phrase(words, occasion, self._rng, values=scope, style=self._style))


def call_message(call: ToolCall) -> Message:
    """A tool call as the message an agent makes it with."""
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False, separators=(",", ":"))
    return Message(role=Role.ASSISTANT, text=f"{call.name} {arguments}", tool_call=call)


def _key(call: ToolCall) -> tuple[str, str]:
    return call.name, json.dumps(dict(call.arguments), sort_keys=True)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"text": text}
