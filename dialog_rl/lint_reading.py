"""What is wrong with a pack as it is read: names that lead nowhere, words that are missing, words that a customer would
take for something else, held-out wordings that are not held out."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialog_rl.errors import ScenarioError
from dialog_rl.expressions import fill
from dialog_rl.pack import Pack, Step
from dialog_rl.phrasing import Reading, expansions, mentions, read_agent, templates, wording

CUSTOMER_OCCASIONS = (
    "affirm", "deny", "change_mind", "correct", "join", "next", "thanks", "dont_know", "confused", "protest", "ask_why",
    "leave",
)  # fmt: skip
AGENT_OCCASIONS = ("how_can_i_help", "misunderstood", "goodbye", "give_up", "tool_refused")
STYLES = ("train", "heldout")
MANY = 500
"""Texts of one template that are looked at: of a template with more alternatives the first ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to mend."""

    severity: str
    """ "error": the pack cannot be used as it is. "warning": it can, but something is probably not as meant."""
    file: str
    place: str
    """The key in the file, with dots."""
    message: str


def read(pack: Pack) -> Iterator[Finding]:
    """Everything that can be found without playing a conversation."""
    yield from _references(pack)
    yield from _needed_words(pack)
    yield from _heldout_words(pack)
    yield from _understood_words(pack)
    if not pack.policy_text:
        yield warning(pack.folder / "policy.md", "", "there is no policy text: the rules for people and large models")


def error(file: Path, place: str, message: str) -> Finding:
    return Finding(severity="error", file=str(file), place=place, message=message)


def warning(file: Path, place: str, message: str) -> Finding:
    return Finding(severity="warning", file=str(file), place=place, message=message)


# -- names that lead nowhere


def _references(pack: Pack) -> Iterator[Finding]:
    file = pack.folder / "pack.yaml"
    for name, tool in pack.file.tools.items():
        for found, find in tool.find.items():
            yield from _known(file, f"tools.{name}.find.{found}.table", find.table, pack.file.tables)
    yield from _calls(pack, "identify", pack.file.identify)
    for name, intent in pack.file.intents.items():
        for row, spec in intent.bind.items():
            yield from _known(file, f"intents.{name}.bind.{row}.table", spec.get("table", ""), pack.file.tables)
        yield from _calls(pack, f"intents.{name}.plan", intent.plan)
        for variant, circumstance in intent.variants.items():
            for gold in circumstance.gold:
                place = f"intents.{name}.variants.{variant}.gold"
                yield from _call(pack, place, gold.get("tool", ""), gold.get("arguments", {}))
    yield from _recognised(pack)
    customers = pack.file.tables.get(pack.file.customer)
    if customers is None:
        yield error(file, "customer", f"there is no table '{pack.file.customer}'; there are: {_list(pack.file.tables)}")
    else:
        for step in pack.file.identify:
            if step.ask and step.ask not in customers.fields:
                yield error(file, "identify", f"asks for '{step.ask}', which a customer's record does not have")


def _recognised(pack: Pack) -> Iterator[Finding]:
    file = pack.folder / "pack.yaml"
    for slot, step in pack.file.recognise.items():
        yield from _call(pack, f"recognise.{slot}", step.call, step.arguments)
        tool = pack.file.tools.get(step.call)
        if tool is not None and slot not in tool.answer:
            yield error(file, f"recognise.{slot}", f"{step.call} must answer with '{slot}'")
    for name, intent in pack.file.intents.items():
        for slot in intent.hints:
            if slot not in pack.file.recognise:
                yield error(file, f"intents.{name}.hints.{slot}", f"no tool finds it: 'recognise.{slot}' is missing")


def _calls(pack: Pack, place: str, steps: Iterable[Step]) -> Iterator[Finding]:
    for number, step in enumerate(steps):
        if step.call:
            yield from _call(pack, f"{place}.{number}", step.call, step.arguments)


def _call(pack: Pack, place: str, tool: str, arguments: Mapping[str, Any]) -> Iterator[Finding]:
    file = pack.folder / "pack.yaml"
    unknown = list(_known(file, place, tool, pack.file.tools))
    yield from unknown
    wanted = () if unknown else pack.file.tools[tool].arguments
    if not unknown and set(arguments) != set(wanted):
        yield error(file, place, f"{tool} takes {_list(wanted)}, here it is given {_list(arguments)}")


def _known(file: Path, place: str, name: str, known: Mapping[str, Any]) -> Iterator[Finding]:
    if name not in known:
        yield error(file, place, f"there is no '{name}'; there are: {_list(known)}")


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


# -- words that are missing, known already, or read as something else


def _needed_words(pack: Pack) -> Iterator[Finding]:
    """A finding for every phrase that some conversation would need and that is not there."""
    file, customer, agent = pack.folder / "phrasing.yaml", pack.phrasing.customer, pack.phrasing.agent
    for opening in dict.fromkeys(_openings(pack)):
        yield from _both_styles(file, "customer.open", customer.open, opening)
        yield from _sayable(file, "customer.open", customer.open, opening)
    for slot in dict.fromkeys(_told_slots(pack)):
        yield from _both_styles(file, "customer.tell", customer.tell, slot)
    for hint in {h for i in pack.file.intents.values() for hints in i.hints.values() for h in hints}:
        yield from _both_styles(file, "customer.describe", customer.describe, hint)
    wanted = {r for i in pack.file.intents.values() for v in i.variants.values() for r in v.communicate}
    yield from _present(file, "customer.ask", customer.ask, wanted)
    yield from _present(file, "customer.other", customer.other, CUSTOMER_OCCASIONS)
    yield from _present(file, "agent.other", agent.other, AGENT_OCCASIONS)
    yield from _present(file, "agent.vague", agent.vague, ["default"])
    steps = [step for plan in pack.plans.values() for step in plan]
    asked = {s.ask for s in steps if s.ask}
    yield from _present(file, "agent.ask", agent.ask, asked)
    yield from _present(file, "understand.request", pack.phrasing.understand.request, asked)
    doubts = {"+".join(s.doubt) if s.call else s.doubt[0] for s in steps if s.doubt}
    yield from _present(file, "agent.doubt", agent.doubt, doubts)
    yield from _present(file, "agent.confirm", agent.confirm, {s.confirm for s in steps if s.confirm})
    yield from _present(file, "agent.say", agent.say, {s.say for s in steps if s.say})
    yield from _present(file, "agent.refuse", agent.refuse, {s.refuse for s in steps if s.refuse})
    reasons = {v.refuse for i in pack.file.intents.values() for v in i.variants.values() if v.refuse}
    yield from _present(file, "evidence", pack.phrasing.evidence, reasons)


def _openings(pack: Pack) -> Iterator[str]:
    for name, intent in pack.file.intents.items():
        for variant in intent.variants.values():
            topic = variant.slots.get("topic", intent.slots.get("topic", ""))
            yield f"{name}/{topic}" if topic else name


def _told_slots(pack: Pack) -> Iterator[str]:
    for intent in pack.file.intents.values():
        if not intent.public:
            yield from (step.ask for step in pack.file.identify if step.ask)
        for variant in intent.variants.values():
            yield from (slot for slot in {**intent.slots, **variant.slots} if slot != "topic")


def _present(file: Path, place: str, phrases: Mapping[str, Any], wanted: Iterable[str]) -> Iterator[Finding]:
    for occasion in sorted(wanted):
        if not phrases.get(occasion):
            yield error(file, f"{place}.{occasion}", f"missing; there are: {_list(phrases)}")


def _both_styles(file: Path, place: str, phrases: Mapping[str, Any], occasion: str) -> Iterator[Finding]:
    missing = list(_present(file, place, phrases, [occasion]))
    yield from missing
    listed = phrases.get(occasion)
    for style in () if missing else STYLES:
        if not isinstance(listed, Mapping) or not listed.get(style):
            message = f"no wordings for '{style}': write {{train: …, heldout: …}}"
            yield error(file, f"{place}.{occasion}.{style}", message)


def _sayable(file: Path, place: str, phrases: Mapping[str, Any], occasion: str) -> Iterator[Finding]:
    """A customer who reveals nothing yet must be able to open, too."""
    for style in STYLES if phrases.get(occasion) else ():
        try:
            wording(phrases, occasion, random.Random(0), values={}, style=style)
        except ScenarioError:
            yield error(file, f"{place}.{occasion}.{style}", "no wording that can be said without naming any value")


def _heldout_words(pack: Pack) -> Iterator[Finding]:
    customer = pack.phrasing.customer
    for place in ("open", "tell", "describe", "ask", "other"):
        for occasion, listed in getattr(customer, place).items():
            if isinstance(listed, Mapping):
                trained = {_plain(text) for t in listed.get("train", ()) for text in _texts(t)}
                for template in listed.get("heldout", ()):
                    if any(_plain(text) in trained for text in _texts(template)):
                        where = f"customer.{place}.{occasion}.heldout"
                        message = f"{template!r} can be said word for word in 'train'; it must be unseen"
                        yield error(pack.folder / "phrasing.yaml", where, message)


def _understood_words(pack: Pack) -> Iterator[Finding]:
    """The agent's own phrases that a customer would take for something else, or refusals without a reason."""
    file, agent = pack.folder / "phrasing.yaml", pack.phrasing.agent
    for name, (meant, right) in READ_AS.items():
        for occasion, text in _agent_texts(getattr(agent, name)):
            if not right(occasion, read_agent(fill(text, _Anything()), pack.phrasing.understand)):
                message = f"{text!r} is not read as {meant}; see 'understand'"
                yield warning(file, f"agent.{name}.{occasion}", message)
    yield from _mistaken_words(pack)
    for reason, text in _agent_texts(agent.refuse):
        words = pack.phrasing.evidence.get(reason)
        if words and not any(mentions(text, word) for word in words):
            yield error(
                file, f"agent.refuse.{reason}", f"{text!r} gives none of the reasons that count: {_list(words)}"
            )


def _mistaken_words(pack: Pack) -> Iterator[Finding]:
    """What the agent says about a wish in words that a customer would hear as about another one, and object to."""
    file, agent = pack.folder / "phrasing.yaml", pack.phrasing.agent
    for intent, plan in pack.plans.items():
        said = {"acknowledge": {intent}, "ask": {s.ask for s in plan}, "confirm": {s.confirm for s in plan}}
        for name, occasions in said.items():
            phrases: Mapping[str, Any] = getattr(agent, name)
            for occasion, text in _agent_texts({o: phrases[o] for o in sorted(occasions) if o in phrases}):
                about = read_agent(fill(text, _Anything()), pack.phrasing.understand).about
                if about and intent not in about:
                    message = f"{text!r} is heard as about {_list(about)}, not {intent}; see 'understand.about'"
                    yield warning(file, f"agent.{name}.{occasion}", message)


def _asks(occasion: str, reading: Reading) -> bool:
    return set(occasion.split("+")) <= set(reading.requests) and not reading.refuses


def _doubts(occasion: str, reading: Reading) -> bool:
    return not set(occasion.split("+")).isdisjoint(reading.requests) and not reading.refuses


READ_AS: Mapping[str, tuple[str, Callable[[str, Reading], bool]]] = {
    "ask": ("the question", _asks),
    "doubt": ("the question", _doubts),
    "confirm": ("a question to confirm", lambda _, reading: reading.confirms),
    "refuse": ("a refusal", lambda _, reading: reading.refuses and not (reading.requests or reading.confirms)),
    "say": ("an answer", lambda _, reading: not (reading.refuses or reading.requests or reading.confirms)),
}
"""What the agent says, by occasion: in words what it means, and whether it was read so."""


def _agent_texts(phrases: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for occasion in phrases:
        for template in templates(phrases, occasion, "train"):
            yield from ((occasion, text) for text in _texts(template))


def _texts(template: str) -> Iterator[str]:
    return itertools.islice(expansions(template), MANY)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold().strip(".!?。！？ ")


class _Anything(dict[str, Any]):
    """Has a value at every path: a number that stands for whatever would be there."""

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> _Anything:
        return self

    def __str__(self) -> str:
        return "7"
