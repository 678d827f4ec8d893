"""A pack: one domain as data. Records, tools, goals, policy text, help articles and phrasing; no code to run.

A pack is a folder: `pack.yaml` (what there is and how it works), `phrasing.yaml` (what customers and agents say, and
how they understand each other), `policy.md` (the rules, for people and large models). A pack that `extends` another
takes its logic and brings its own phrasing and values: the same shop in another language.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from dialog_rl import safe_yaml
from dialog_rl.errors import ScenarioError
from dialog_rl.scenario import Document, PolicyRule, validate

Condition = Mapping[str, Any]
"""Path → what it must be: a value, a list (one of), {not: …}, {min: …, max: …}. All entries must hold."""


Count = Annotated[int, Field(ge=0, le=100)]


class Table(Document):
    count: tuple[Count, Count] | Count = 1
    per: str = Field(default="", description="make `count` rows for each row of this table")
    each: str = Field(default="", description="make one row for each value of this pool")
    fields: Mapping[str, Any] = {}
    rows: tuple[Mapping[str, Any], ...] = Field(default=(), description="fixed rows, instead of made ones")


class Find(Document):
    table: str
    where: Mapping[str, Any]
    otherwise: str = Field(description="what the tool answers when there is no such row")


class Require(Document):
    that: Condition
    otherwise: str


class Change(Document):
    set: str = Field(default="", description="row.field to set")
    to: Any = None
    add: str = Field(default="", description="table to add a row to")
    row: Mapping[str, Any] = {}


class Tool(Document):
    description: str
    kind: Literal["read", "write", "search", "end"] = "read"
    arguments: Mapping[str, Literal["text", "number"] | tuple[str, ...]] = {}
    find: Mapping[str, Find] = {}
    require: tuple[Require, ...] = ()
    change: tuple[Change, ...] = ()
    answer: Mapping[str, Any] = {}
    identifies: str = Field(default="", description="path of the customer id that a successful call identifies")
    subject: str = Field(default="", description="path of the customer id whose data the call reads or changes")


class Step(Document):
    """One step of an intent's plan: exactly one of ask, call, refuse, confirm, say."""

    ask: str = ""
    call: str = ""
    arguments: Mapping[str, Any] = {}
    name: str = Field(default="", description="the name under which later steps see the call's answer")
    doubt: tuple[str, ...] = Field(default=(), description="slots to ask for again before it is final")
    refuse: str = ""
    when: Condition = Field(default={}, description="of a refuse or say step: only then")
    confirm: str = ""
    say: str = ""


class Variant(Document):
    """One circumstance of an intent: what the records are like, and what is right then."""

    weight: float = 1.0
    arrange: Mapping[str, Any] = Field(default={}, description="row.field → value or maker, set before the start")
    gold: tuple[Mapping[str, Any], ...] = ()
    slots: Mapping[str, str] = Field(default={}, description="slots of this circumstance alone")
    communicate: Mapping[str, str] = Field(default={}, description="what the customer must be told, by name")
    refuse: str = ""
    foreign: bool = Field(default=False, description="the bound rows belong to another customer")


class Intent(Document):
    weight: float = 1.0
    public: bool = Field(default=False, description="needs no identified customer")
    bind: Mapping[str, Mapping[str, Any]] = Field(default={}, description="row name → {table, where}")
    choose: Mapping[str, Any] = Field(default={}, description="values the customer makes up: a new address, a reason")
    slots: Mapping[str, str] = {}
    hints: Mapping[str, Mapping[str, str]] = {}
    variants: Mapping[str, Variant]
    plan: tuple[Step, ...]
    mutable: tuple[str, ...] = Field(default=(), description="slots about which a customer may change their mind")


class Article(Document):
    id: str
    title: str
    text: str


class PackFile(Document):
    version: Literal[1] = Field(default=1, alias="schema")
    name: str
    title: str = ""
    extends: str = ""
    source: str = Field(default="", description="the plugin's source that brings this pack's customers and back office")
    language: Literal["en", "zh"] = "en"
    brief: str = Field(default="", description="the system message of a small model")
    clock: str = "2026-03-02"
    pools: Mapping[str, Any] = Field(default={}, description="name → list, or {train, validation, heldout} of lists")
    facts: Mapping[str, Any] = Field(default={}, description="values in the help articles, by maker")
    tables: Mapping[str, Table] = {}
    tools: Mapping[str, Tool] = {}
    identify: tuple[Step, ...] = ()
    recognise: Mapping[str, Step] = Field(
        default={}, description="slot → the call that finds it by what a customer says who forgot it (see hints)"
    )
    intents: Mapping[str, Intent] = {}
    articles: tuple[Article, ...] = ()
    policy: tuple[PolicyRule, ...] = ()
    customer: str = Field(default="customers", description="the table of the people who call")


class Phrases(Document):
    """What one side says, by occasion. A list, or {train, heldout} of lists. [a|b]: either; {slot} is filled in."""

    open: Mapping[str, Any] = {}
    tell: Mapping[str, Any] = {}
    describe: Mapping[str, Any] = Field(default={}, description="how a forgotten value is described instead, by hint")
    ask: Mapping[str, Any] = Field(default={}, description="asking for what has not been told yet, by request")
    other: Mapping[str, Any] = {}
    greetings: tuple[str, ...] = Field(default=(), description="openings not repeated with a second request")
    gap: str = Field(default=" ", description="what stands between two things told in one message")


class AgentPhrases(Document):
    acknowledge: Mapping[str, Any] = Field(
        default={}, description="said before the first question of an intent: a model that says what is wanted keeps it"
    )
    ask: Mapping[str, Any] = {}
    doubt: Mapping[str, Any] = {}
    confirm: Mapping[str, Any] = {}
    say: Mapping[str, Any] = {}
    vague: Mapping[str, Any] = {}
    refuse: Mapping[str, Any] = {}
    other: Mapping[str, Any] = {}


MOST_SPELLINGS = 20_000
"""Texts that all patterns of a pack stand for together; the packs that come with the program have some 3,000."""
_CHOICE = re.compile(r"\[([^\[\]]*)\]")


def spellings(template: str) -> int:
    """How many texts a template stands for: `[a|b] [c|d]` for four."""
    return math.prod(len(choices.split("|")) for choices in _CHOICE.findall(template))


class Understanding(Document):
    """How a customer reads an agent's free text, sentence by sentence: fragments that begin at a word; `a * b` means a,
    later b; `[a|b] c` means either. Contractions match what they stand for: "cannot" finds "can't"."""

    request: Mapping[str, tuple[str, ...]] = {}
    asking: tuple[str, ...] = Field(default=(), description="makes a question of a sentence without a question mark")
    open: tuple[str, ...] = Field(default=(), description="if a question names a slot: asks for it, not for a yes")
    confirm: tuple[str, ...] = ()
    check: tuple[str, ...] = Field(default=(), description="asks for a yes, or for a slot if it names one")
    done: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()
    anything_else: tuple[str, ...] = ()
    about: Mapping[str, tuple[str, ...]] = Field(
        default={}, description="intent → by what words it shows that this is what the agent has taken up"
    )
    affirm: tuple[str, ...] = Field(default=(), description="how the agent's side reads a person's yes")
    deny: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _can_be_spelled_out(self) -> Understanding:
        """Every alternative of a pattern becomes one to look for, so `[a|b][a|b]…` must not go on."""
        groups = [getattr(self, name) for name in type(self).model_fields]
        patterns = [part for group in groups for part in (group.values() if isinstance(group, Mapping) else [group])]
        spelled = sum(spellings(pattern) for group in patterns for pattern in group)
        if spelled > MOST_SPELLINGS:
            raise ValueError(f"its patterns stand for {spelled:.3g} texts; at most {MOST_SPELLINGS:,}")
        return self


class Phrasing(Document):
    customer: Phrases = Phrases()
    agent: AgentPhrases = AgentPhrases()
    understand: Understanding = Understanding()
    evidence: Mapping[str, tuple[str, ...]] = Field(default={}, description="refusal reason → words that give it")
    confusable: Mapping[str, str] = {}


class Pack:
    """A pack as loaded: its file, its phrasing and its policy text."""

    def __init__(self, file: PackFile, phrasing: Phrasing, policy_text: str, folder: Path) -> None:
        self.file, self.phrasing, self.policy_text, self.folder = file, phrasing, policy_text, folder

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def language(self) -> str:
        return self.file.language

    @cached_property
    def guidelines(self) -> str:
        """How a language model is to play the customers (`guidelines.md`); empty where the pack does not say.

        Raises ScenarioError for a file that is no text.
        """
        path = self.folder / "guidelines.md"
        return safe_yaml.read(path).strip() if path.is_file() else ""

    @cached_property
    def plans(self) -> Mapping[str, tuple[Step, ...]]:
        """Each intent's whole plan, identification included where it is needed."""
        return {
            name: intent.plan if intent.public else self.file.identify + intent.plan
            for name, intent in self.file.intents.items()
        }


def load_pack(folder: Path) -> Pack:
    """The pack in `folder`. Raises ScenarioError naming file, line and key."""
    file, phrasing = read_file(folder), read_phrasing(folder)
    policy = folder / "policy.md"
    return Pack(file, phrasing, safe_yaml.read(policy) if policy.is_file() else "", folder)


def read_file(folder: Path) -> PackFile:
    """`pack.yaml` alone, with what it extends."""
    data, lines = _load(folder / "pack.yaml")
    base = data.get("extends") if isinstance(data, dict) else None
    if base:
        data = _extend(folder, str(base), data)
        lines = {}
    return validate(PackFile, data, source=str(folder / "pack.yaml"), lines=lines)


def read_phrasing(folder: Path) -> Phrasing:
    """`phrasing.yaml` alone."""
    words, lines = _load(folder / "phrasing.yaml")
    return validate(Phrasing, words, source=str(folder / "phrasing.yaml"), lines=lines)


def _load(path: Path) -> tuple[Any, Mapping[tuple[str | int, ...], int]]:
    if not path.is_file():
        raise ScenarioError(f"{path}: no such file; a pack folder holds pack.yaml and phrasing.yaml")
    return safe_yaml.load(path)


def _extend(folder: Path, base: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The base pack's document with this one's keys over it, merged one level deep."""
    if not base.replace("_", "").isalnum():
        raise ScenarioError(f"{folder / 'pack.yaml'}: 'extends' must name a pack beside this one, found {base!r}")
    merged, _ = _load(folder.parent / base / "pack.yaml")
    for key, value in data.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = {**merged[key], **value}
        else:
            merged[key] = value
    return merged
