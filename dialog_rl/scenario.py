"""One simulated customer: what they want and know, the back office's initial state, and what counts as success.

The document is strict: an unknown key is an error that names the file, the key, its line and what would be right.
`Scenario.model_json_schema()` is the JSON Schema for editors.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dialog_rl.errors import ScenarioError
from dialog_rl.text import one_line

SPLITS = ("train", "validation", "heldout")


class Document(BaseModel):
    """A strict, immutable piece of a scenario or pack file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Noise(Document):
    typo: float = Field(default=0.0, ge=0, le=1, description="chance that a word is mistyped")
    slot_drop: float = Field(default=0.0, ge=0, le=1, description="chance that a value the agent asked for is left out")
    confuse: float = Field(default=0.0, ge=0, le=1, description="chance that a reply of the agent is not understood")


class Persona(Document):
    text: str = ""
    verbosity: Literal["minimal", "normal", "chatty"] = "normal"
    patience: int = Field(default=4, ge=1, description="unhelpful replies the customer puts up with")
    lowercase: bool = False
    wrong_first: tuple[str, ...] = Field(default=(), description="slots first given wrongly, then corrected")
    forgets: tuple[str, ...] = Field(default=(), description="slots the customer cannot name, only describe")
    noise: Noise = Noise()


class Item(Document):
    """One sub-goal."""

    id: str
    intent: str
    inform: Mapping[str, str] = Field(default={}, description="what the customer knows and tells, by slot")
    wrong: Mapping[str, str] = Field(default={}, description="the wrong value first given, for slots in wrong_first")
    hints: Mapping[str, Mapping[str, str]] = Field(
        default={}, description="for a forgotten slot, what the customer can say instead: {order_id: {item: kettle}}"
    )
    request: Mapping[str, str] = Field(default={}, description="what the customer wants to hear, by name")
    refusal: str = Field(default="", description="the reason for which this must be refused; empty if it can be done")
    evidence: tuple[str, ...] = Field(default=(), description="words of which a right refusal says one")
    change_of_mind: Mapping[str, str] = Field(default={}, description="slots changed when asked to confirm")


class Goal(Document):
    reason: str = ""
    items: tuple[Item, ...]
    reveal: Literal["upfront", "on_request"] = "on_request"
    known: Mapping[str, str] = {}
    unknown: tuple[str, ...] = ()


class Customer(Document):
    persona: Persona = Persona()
    goal: Goal | None = None
    instructions: str = Field(default="", description="the same in free text, for a language model or a person")


class GoldCall(Document):
    tool: str
    arguments: Mapping[str, Any] = {}


class Initial(Document):
    records: Mapping[str, Mapping[str, Mapping[str, Any]]] = Field(default={}, description="table → row id → fields")
    facts: Mapping[str, str] = Field(default={}, description="values in the help articles")
    calls: tuple[GoldCall, ...] = ()
    history: tuple[Mapping[str, Any], ...] = ()


class ChangeExpected(Document):
    path: str
    before: Any = None
    after: Any = None


class Database(Document):
    from_actions: tuple[GoldCall, ...] = ()
    patch: tuple[ChangeExpected, ...] | None = Field(
        default=None, description="the journal of a right conversation; made from from_actions where absent"
    )


class Communicate(Document):
    any_of: tuple[str, ...]
    numeric: bool = False
    anywhere: bool = Field(default=False, description="as any part of what is said, commas left out, case ignored")


class Actions(Document):
    required: tuple[GoldCall, ...] = ()
    forbidden: tuple[GoldCall, ...] = Field(default=(), description="no arguments: any call of the tool")
    order: tuple[tuple[str, str], ...] = ()


class PolicyRule(Document):
    id: Literal["identify_before_reading", "confirm_before_writing", "no_foreign_data"]


class Success(Document):
    gate: tuple[Literal["db", "communicate", "actions", "facts"], ...] = ("db", "communicate", "actions", "facts")
    db: Database = Database()
    ignore_paths: tuple[str, ...] = ()
    alternatives: tuple[Database, ...] = ()
    actions: Actions = Actions()
    communicate: tuple[Communicate, ...] = ()
    facts: tuple[str, ...] = Field(default=(), description="paths that the journal must show as true at the end")
    policy: tuple[PolicyRule, ...] = ()
    unjudged: tuple[str, ...] = Field(default=(), description="what counts too, and cannot be told without a judge")


class LimitsDocument(Document):
    turns: int = Field(default=16, ge=1)
    calls: int = Field(default=8, ge=1)


class Provenance(Document):
    source: str = ""
    revision: str = ""
    task: str = ""
    licence: str = ""


class Scenario(Document):
    version: Literal[1] = Field(default=1, alias="schema")
    id: str
    pack: str
    split: Literal["train", "validation", "heldout"] = "train"
    phrasing: Literal["train", "heldout"] = "train"
    language: str = "en"
    user: Customer = Customer()
    initial: Initial = Initial()
    success: Success = Success()
    benchmark: Success | None = Field(
        default=None, description="what the benchmark it comes from calls success, holes and all; reported beside ours"
    )
    limits: LimitsDocument = LimitsDocument()
    provenance: Provenance = Provenance()


D = TypeVar("D", bound=Document)


def validate(model: type[D], data: Any, *, source: str, lines: Mapping[tuple[str | int, ...], int] | None = None) -> D:
    """`data` as a `model`, or a ScenarioError that names file, line, key and what would be right."""
    try:
        return model.model_validate(data)
    except ValidationError as e:
        raise ScenarioError("\n".join(_explain(model, err, source, lines or {}) for err in e.errors()[:5])) from None


def _explain(model: type[Document], err: Any, source: str, lines: Mapping[tuple[str | int, ...], int]) -> str:
    path = tuple(p for p in err["loc"] if isinstance(p, str | int))
    place = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
    where = f"{source}:{place}" if place else source
    key = one_line(".".join(map(str, path)), 120)
    if err["type"] == "extra_forbidden":
        close = get_close_matches(str(path[-1])[:60], _field_names(model), n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        return f"{where}: '{key}' is not a field here{hint}"
    if err["type"] == "missing":
        return f"{where}: '{key}' is missing"
    found = one_line(repr(err.get("input")), 60)
    return f"{where}: '{key}': {one_line(err['msg'][0].lower() + err['msg'][1:])}, found {found}"


def _field_names(model: type[BaseModel], seen: set[type] | None = None) -> set[str]:
    """Every field name of the document and of those within it: the pool for 'did you mean'."""
    seen = seen if seen is not None else set()
    if model in seen:
        return set()
    seen.add(model)
    names = set(model.model_fields) | {f.alias for f in model.model_fields.values() if f.alias}
    for f in model.model_fields.values():
        for part in _models_in(f.annotation):
            names |= _field_names(part, seen)
    return names


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models_in(arg)]
