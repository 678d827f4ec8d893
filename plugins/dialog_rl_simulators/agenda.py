"""The agenda user simulator: a customer who works through a goal, reads free text through the pack's phrase patterns,
and has a persona, patience and slips of their own.

Source of the method: Schatzmann et al. 2007, "Agenda-based user simulation". Every message carries the acts it was made
from, so blame can be told; no policy ever sees them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dialog_rl.conversation import UserReply
from dialog_rl.episode import Act, Message, Role
from dialog_rl.errors import ScenarioError
from dialog_rl.expressions import fill, holes
from dialog_rl.pack import Pack
from dialog_rl.phrasing import Reading, mentions, mistype, read_agent, wording
from dialog_rl.scenario import Item, Scenario
from dialog_rl.seeds import generator

VOLUNTEERS = {"minimal": 0.0, "normal": 0.15, "chatty": 0.5}
"""Chance of answering the next question along with the one asked, by verbosity."""
MISHEARD = "misheard"
"""The value of a `confused` act that is the customer's own noise, not the agent's fault."""
ASKS_WHY = 0.15
"""Chance of asking for the reason of a refusal that has been given."""
OBJECT = "object"
"""The occasion of what is said to an agent that has taken up another wish. Without words for it, customers go along."""


class AgendaUser:
    def __init__(self, scenario: Scenario, pack: Pack, seed: int) -> None:
        if scenario.user.goal is None or not scenario.user.goal.items:
            raise ScenarioError(f"{scenario.id}: the agenda simulator needs a structured goal ('user.goal.items')")
        self._goal, self._persona = scenario.user.goal, scenario.user.persona
        self._pack, self._words, self._style = pack, pack.phrasing.customer, scenario.phrasing
        self._rng = generator(seed, "agenda", scenario.id)
        self._patience = self._persona.patience
        self._agenda = list(self._goal.items)
        self._known = {k: v.lower() if self._persona.lowercase else v for k, v in self._goal.known.items()}
        self._told: set[str] = set()
        self._start_item()

    # -- the two verbs

    def open(self) -> UserReply:
        return self._say(*self._opening())

    def reply(self, message: Message) -> UserReply:
        reading = read_agent(message.text, self._pack.phrasing.understand)
        self._delivered |= {name for name, value in self._item.request.items() if mentions(message.text, value)}
        if self._rng.random() < self._persona.noise.confuse:
            return self._lose_patience("confused", None, Act(kind="confused", value=MISHEARD))
        if self._mistaken_for_another(reading):
            return self._restate(OBJECT)
        if reading.confirms or self._repeated_to_me(reading, message.text):
            return self._on_confirmation(reading, message.text)
        if self._asked_for_more(reading):
            return self._on_request(reading.requests)
        if self._satisfied(reading, message.text):
            return self._ask_nevertheless(message.text) or self._next_item()
        if reading.refuses:
            return self._on_refusal()
        return self._unsatisfied(reading)

    # -- the agenda

    @property
    def _item(self) -> Item:
        return self._agenda[0]

    def _start_item(self) -> None:
        self._values = {**self._known, **self._agenda[0].inform}
        self._wrong = dict(self._agenda[0].wrong)
        self._told &= set(self._known)
        self._delivered: set[str] = set()
        self._affirmed = self._asked_why = False
        self._changed_mind = not self._agenda[0].change_of_mind
        plan = self._pack.plans[self._agenda[0].intent]
        self._wants_done = any(s.call and self._pack.file.tools[s.call].kind == "write" for s in plan)

    def _next_item(self) -> UserReply:
        self._agenda.pop(0)
        if not self._agenda:
            text = self._phrase(self._words.other, "thanks")
            return self._finish(text, Act(kind="thanks"), Act(kind="bye"))
        self._start_item()
        return self._say(*self._wish("next"))

    def _wish(self, occasion: str) -> tuple[str, list[Act]]:
        """What is wanted, within a sentence that says why it is said now."""
        opening, acts = self._opening()
        greeting = next((g for g in self._words.greetings if opening.lower().startswith(g)), "")
        first = self._lower_first(opening[len(greeting) :])
        return self._phrase(self._words.other, occasion, {"open": first}), acts

    def _ask_nevertheless(self, text: str) -> UserReply | None:
        """Some who are refused with the reason ask for it all the same, once."""
        if self._asked_why or not self._told_why(text) or self._rng.random() >= ASKS_WHY:
            return None
        self._asked_why = True
        return self._say(self._phrase(self._words.other, "ask_why"), [Act(kind="ask", slot="reason")])

    def _restate(self, occasion: str = "") -> UserReply:
        """What is wanted once more, in other words: as at first, or within a sentence."""
        text, acts = self._wish(occasion) if occasion else self._opening()
        return self._lose_patience("", text, *acts)

    def _opening(self) -> tuple[str, list[Act]]:
        values = self._speakable() if self._goal.reveal == "upfront" else {}
        topic = self._item.inform.get("topic", "")
        occasion = f"{self._item.intent}/{topic}" if topic else self._item.intent
        template = wording(self._words.open, occasion, self._rng, values=values, style=self._style)
        acts = [Act(kind="intent", value=self._item.intent)]
        acts += [self._tell(slot) for slot in dict.fromkeys(holes(template)) if slot in self._values]
        said = {a.slot: a.value for a in acts if a.slot}
        if topic:
            acts.append(Act(kind="inform", slot="topic", value=topic))
        return self._fill(template, said), acts

    def _speakable(self) -> dict[str, str]:
        return {s: v for s, v in self._values.items() if s not in self._item.hints}

    def _repeated_to_me(self, reading: Reading, text: str) -> bool:
        """ "Can you confirm your address, 5 Oak Street?" tells what it seems to ask for."""
        told = [mentions(text, self._values[slot]) if slot in self._values else False for slot in reading.requests]
        return reading.checks and all(told) and not any(self._other_choices(slot, text) for slot in reading.requests)

    def _mistaken_for_another(self, reading: Reading) -> bool:
        """Whether the agent goes about something else: it asks or proposes what only another wish would need."""
        proceeds = bool(reading.requests) or reading.confirms
        return (
            proceeds and bool(reading.about) and self._item.intent not in reading.about and OBJECT in self._words.other
        )

    def _asked_for_more(self, reading: Reading) -> bool:
        """Asked for something; with a result in the same breath only what has not been told yet counts."""
        if not reading.done:
            return bool(reading.requests)
        return any(slot in self._values and slot not in self._told for slot in reading.requests)

    def _satisfied(self, reading: Reading, text: str) -> bool:
        """What was wanted is there: the right reason of a refusal, else what was asked for and that it is done.

        A customer who must be refused cannot know it, and takes a claim for true.
        """
        if self._item.refusal:
            return reading.done or self._told_why(text)
        if not self._delivered >= set(self._item.request):
            return False
        if not self._wants_done:
            return bool(self._item.request) or reading.done or reading.anything_else
        return not reading.refuses and (reading.done or (reading.anything_else and self._affirmed))

    def _told_why(self, text: str) -> bool:
        """Whether what is wanted is refused with the right reason."""
        return bool(self._item.refusal) and any(mentions(text, word) for word in self._item.evidence)

    # -- reactions

    def _on_confirmation(self, reading: Reading, text: str) -> UserReply:
        wrong = next((slot for slot in self._values if self._contradicted(slot, text, reading)), None)
        if wrong:
            self._wrong.pop(wrong, None)
            act = Act(kind="correct", slot=wrong, value=self._values[wrong])
            self._told.add(wrong)
            words = self._phrase(self._words.other, "deny")
            told = self._tell_text(wrong, act.value)
            return self._say(words + self._words.gap + told, [Act(kind="deny"), act])
        if not self._changed_mind:
            self._changed_mind = True
            self._values.update(self._item.change_of_mind)
            slot, value = next(iter(self._item.change_of_mind.items()))
            own = f"change_mind/{slot}"
            occasion = own if own in self._words.other else "change_mind"
            text = self._phrase(self._words.other, occasion, {"v": value})
            acts = [Act(kind="correct", slot=s, value=v) for s, v in self._item.change_of_mind.items()]
            return self._say(text, acts)
        self._affirmed = True
        return self._say(self._phrase(self._words.other, "affirm"), [Act(kind="affirm")])

    def _on_request(self, slots: tuple[str, ...]) -> UserReply:
        noise = self._persona.noise
        known = [s for s in slots if s in self._values]
        if not known:
            words = self._phrase(self._words.other, "dont_know")
            return self._lose_patience("", words, Act(kind="dont_know", slot=slots[0]))
        if all(s in self._told and s not in self._wrong for s in known):
            self._patience -= 1
        if len(known) > 1 and self._rng.random() < noise.slot_drop:
            known = known[:1]
        kept = {*self._told, *known, *self._item.hints}
        untold = [slot for slot in self._values if slot in self._words.tell and slot not in kept]
        if untold and self._rng.random() < VOLUNTEERS[self._persona.verbosity]:
            known.append(untold[0])
        if self._patience <= 0:
            return self._give_up()
        acts = [self._tell(slot) for slot in known]
        parts = [self._act_text(act) for act in acts]
        rest = self._lower_first(self._words.gap.join(parts[1:]))
        joined = self._phrase(self._words.other, "join", {"a": parts[0], "b": rest}) if rest else parts[0]
        return self._say(joined, acts)

    def _on_refusal(self) -> UserReply:
        if self._item.refusal:
            return self._lose_patience("ask_why", None, Act(kind="ask", slot="reason"))
        return self._lose_patience("protest", None, Act(kind="protest"))

    def _unsatisfied(self, reading: Reading) -> UserReply:
        missing = [name for name in self._item.request if name not in self._delivered]
        if missing and (reading.done or self._delivered):
            text = self._phrase(self._words.ask, missing[0])
            return self._lose_patience("", text, Act(kind="ask", slot=missing[0]))
        if reading.anything_else or reading.done:
            return self._restate()
        return self._lose_patience("confused", None, Act(kind="confused"))

    def _contradicted(self, slot: str, text: str, reading: Reading) -> bool:
        """A number just like the customer's own is named, or another choice, and theirs is not."""
        value = self._values[slot]
        if mentions(text, value):
            return False
        if slot.endswith("_id") and value.isdigit():
            return any(n.isdigit() and len(n) == len(value) for n in reading.numbers)
        return self._other_choices(slot, text)

    def _other_choices(self, slot: str, text: str) -> bool:
        """Whether a text names something else of which a tool's argument may be one."""
        kinds = (tool.arguments.get(slot, ()) for tool in self._pack.file.tools.values())
        others = {word for kind in kinds if isinstance(kind, tuple) for word in kind} - {self._values[slot]}
        return any(mentions(text, word) for word in others)

    # -- saying

    def _tell(self, slot: str) -> Act:
        """The act of telling a slot: a wrong value the first time for some, a description for what is forgotten."""
        if slot in self._item.hints:
            self._told.add(slot)
            key, value = next(iter(self._item.hints[slot].items()))
            return Act(kind="inform", slot=key, value=value)
        if slot in self._wrong:
            if slot not in self._told:
                self._told.add(slot)
                return Act(kind="inform", slot=slot, value=self._wrong[slot])
            del self._wrong[slot]
            return Act(kind="correct", slot=slot, value=self._values[slot])
        self._told.add(slot)
        return Act(kind="inform", slot=slot, value=self._values[slot])

    def _act_text(self, act: Act) -> str:
        if act.kind == "correct":
            return self._phrase(self._words.other, "correct", {"v": act.value})
        if act.slot in self._words.describe:
            return self._phrase(self._words.describe, act.slot, {"v": act.value})
        return self._tell_text(act.slot, act.value)

    def _tell_text(self, slot: str, value: str) -> str:
        return self._phrase(self._words.tell, slot, {"v": value})

    def _phrase(self, phrases: Mapping[str, Any], occasion: str, values: dict[str, str] | None = None) -> str:
        values = values or {}
        return self._fill(wording(phrases, occasion, self._rng, values=values, style=self._style), values)

    def _fill(self, template: str, values: dict[str, str]) -> str:
        """Slips and lower case touch the words, never the values."""
        words = template.lower() if self._persona.lowercase else template
        return fill(mistype(words, self._persona.noise.typo, self._rng), values)

    def _lose_patience(self, occasion: str, text: str | None = None, *acts: Act) -> UserReply:
        self._patience -= 1
        if self._patience <= 0:
            return self._give_up()
        words = text if text is not None else self._phrase(self._words.other, occasion)
        return self._say(words, list(acts) or [Act(kind=occasion)])

    def _give_up(self) -> UserReply:
        return self._finish(self._phrase(self._words.other, "leave"), Act(kind="bye"))

    def _say(self, text: str, acts: list[Act]) -> UserReply:
        return UserReply(message=Message(role=Role.USER, text=self._cased(text), acts=tuple(acts)))

    def _finish(self, text: str, *acts: Act) -> UserReply:
        return UserReply(message=Message(role=Role.USER, text=self._cased(text), acts=acts), leaves=True)

    def _lower_first(self, text: str) -> str:
        """As the second half of a sentence; what begins with a value, or with "I", keeps its case."""
        values = [*self._values.values(), *(v for hint in self._item.hints.values() for v in hint.values())]
        word = text[1:2].islower() or (text[1:2] == " " and text[:1] != "I")
        return text if not word or text.startswith(tuple(filter(None, values))) else text[:1].lower() + text[1:]

    def _cased(self, text: str) -> str:
        return text if self._persona.lowercase or not text else text[0].upper() + text[1:]


class Agenda:
    """The factory: one for a pack, a customer of their own for every conversation."""

    def __init__(self, *, pack: Pack) -> None:
        self._pack = pack

    def start(self, scenario: Scenario, seed: int) -> AgendaUser:
        return AgendaUser(scenario, self._pack, seed)
