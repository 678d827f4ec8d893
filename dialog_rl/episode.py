"""The facts of one conversation: what was said, sampled, called, returned and rated. Frozen, and JSON both ways.

Token ids are kept as they were sampled and never made again from text: text is for people and rewards, ids are for
gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import Any

SCHEMA_VERSION = 1


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class StopReason(StrEnum):
    """Why an episode ended. Terminated episodes have no future; truncated ones were cut off in mid-air."""

    USER_LEFT = "user_left"
    AGENT_DONE = "agent_done"
    MAX_TURNS = "max_turns"
    CONTEXT_FULL = "context_full"
    USER_ERROR = "user_error"
    """The user simulator broke: dropped from training, and counted."""
    ABORTED = "aborted"

    @property
    def terminated(self) -> bool:
        return self in (StopReason.USER_LEFT, StopReason.AGENT_DONE)

    @property
    def truncated(self) -> bool:
        return self in (StopReason.MAX_TURNS, StopReason.CONTEXT_FULL)

    @property
    def trainable(self) -> bool:
        return self.terminated or self.truncated


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a simulated customer meant by a message: the truth behind the text, never shown to the policy."""

    kind: str
    """intent, inform, affirm, deny, correct, ask, protest, confused, thanks, bye"""
    slot: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manual:
    """What a model that was not brought up on a pack must be told to serve its customers."""

    policy: str
    """The shop's rules, as text."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """Tools as JSON schemas, in the form that chat templates take: {"type": "function", "function": {…}}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    role: Role
    text: str
    """What is said. For an assistant's tool call: the call as it was written."""
    tool_call: ToolCall | None = None
    malformed: str = ""
    """Why an assistant's action could not be read as the tool call it began; empty if it could."""
    error: bool = False
    """A tool's answer that is a refusal or a failure."""
    acts: tuple[Act, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Of a tool's answer: what the World knows of the call (kind, whose data, who was identified). Never rendered."""
    manual: Manual | None = None
    """Of a system message as it is observed; an episode's own has none, for the pack tells it."""


def short(version: str) -> str:
    """A policy version as people are shown it: the beginning of its id; of weights in the making also how many updates
    they have had since ("ceef229f+12"), or in which course ("learn+3").
    """
    begun, plus, updates = version.partition("+")
    course, slash, state = version.partition("/")
    if slash:
        return f"{course}+{state.rpartition(':')[2]}"
    return f"{begun[:8]}{plus}{updates}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One action of the policy."""

    message: Message
    """The action as text: a reply, or a tool call."""
    result: Message | None = None
    """The tool's answer, if the action was a call."""
    observation_ids: tuple[int, ...] = ()
    """The ids newly observed before acting: prompt(n+1) = prompt(n) + action(n) + observation(n+1)."""
    action_ids: tuple[int, ...] = ()
    """The ids sampled, the end-of-turn token included unless the step was cut off."""
    logprobs: tuple[float, ...] = ()
    """Natural log-probability of each action id under the distribution it was sampled from."""
    policy_version: str = ""

    def __post_init__(self) -> None:
        if len(self.action_ids) != len(self.logprobs):
            raise ValueError(f"{len(self.action_ids)} action ids but {len(self.logprobs)} log-probs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """From a user's message to the agent's answer to it."""

    user: Message
    steps: tuple[Step, ...] = ()

    @property
    def reply(self) -> str:
        """What the agent said aloud at the end of the turn; empty if it never did."""
        last = self.steps[-1].message if self.steps else None
        return last.text if last and last.tool_call is None and not last.malformed else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry of the World's journal. `before` or `after` None means the row or field did not exist."""

    path: str
    """table/row id/field"""
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    episode_id: str
    pack: str
    scenario: Mapping[str, Any]
    """The scenario document as it was run, so that rewards can be computed again from the log alone."""
    seed: int
    system: Message
    turns: tuple[Turn, ...]
    stop: StopReason
    journal: tuple[Change, ...] = ()
    """What the conversation changed in the World, net, sorted by path."""
    simulator: str = "agenda"
    tokenizer: str = ""
    """Hash of tokenizer and renderer: ids of another one must not be trained on."""
    temperature: float = 1.0
    started_at: float = 0.0
    """Seconds since the epoch. 0 in simulated episodes, whose bytes depend on nothing but their seeds."""
    note: str = ""
    """Why it ended as it did, where the stop reason alone does not tell."""
    schema_version: int = SCHEMA_VERSION

    @property
    def steps(self) -> Iterator[Step]:
        for turn in self.turns:
            yield from turn.steps

    @property
    def policy_versions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(step.policy_version for step in self.steps))

    def messages(self) -> Iterator[Message]:
        """Everything said, in order: system, then per turn the user's message, calls, results and the reply."""
        yield self.system
        for turn in self.turns:
            yield turn.user
            for step in turn.steps:
                yield step.message
                if step.result is not None:
                    yield step.result


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """What a person thought: an append-only event that names an episode and, unless it is about the whole, a turn."""

    episode_id: str
    rater: str
    turn: int | None = None
    value: float | None = None
    """In [-1, 1]: thumbs are +1 and -1, a Likert n is (n - 3) / 2. None withdraws the rater's earlier rating."""
    tags: tuple[str, ...] = ()
    comment: str = ""
    correction: str = ""
    """The reply the rater would have wanted: supervised data, never PPO reward."""
    rated_at: float = 0.0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def says_nothing(self) -> bool:
        """Whether all it does is withdraw an earlier one."""
        return self.value is None and not (self.tags or self.comment or self.correction or self.extra)


def to_json(fact: Any) -> Any:
    """A fact as plain JSON values. Fields at their default are left out, so documents stay small."""
    if is_dataclass(fact) and not isinstance(fact, type):
        out: dict[str, Any] = {}
        for f in fields(fact):
            value = getattr(fact, f.name)
            if f.name != "schema_version" and _is_default(value, f):
                continue
            out[f.name] = to_json(value)
        return out
    if isinstance(fact, Mapping):
        return {str(k): to_json(v) for k, v in fact.items()}
    if isinstance(fact, tuple | list):
        return [to_json(v) for v in fact]
    return fact


def _is_default(value: Any, f: Field[Any]) -> bool:
    return value == (f.default if f.default_factory is MISSING else f.default_factory())


def message_from_json(d: Mapping[str, Any]) -> Message:
    call = d.get("tool_call")
    rest = {k: d[k] for k in ("text", "malformed", "error", "facts") if k in d}
    return Message(
        role=Role(d["role"]),
        tool_call=ToolCall(name=call["name"], arguments=call["arguments"]) if call else None,
        acts=tuple(Act(**a) for a in d.get("acts", ())),
        **rest,
    )


def step_from_json(d: Mapping[str, Any]) -> Step:
    result = d.get("result")
    return Step(
        message=message_from_json(d["message"]),
        result=message_from_json(result) if result else None,
        observation_ids=tuple(d.get("observation_ids", ())),
        action_ids=tuple(d.get("action_ids", ())),
        logprobs=tuple(d.get("logprobs", ())),
        policy_version=d.get("policy_version", ""),
    )


def turn_from_json(d: Mapping[str, Any]) -> Turn:
    return Turn(user=message_from_json(d["user"]), steps=tuple(step_from_json(s) for s in d.get("steps", ())))


def episode_from_json(d: Mapping[str, Any]) -> Episode:
    """The inverse of `to_json`. Raises KeyError, TypeError or ValueError on a document of another shape."""
    version = d.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(f"an episode of schema version {version!r}; this program reads {SCHEMA_VERSION}")
    plain = {k: v for k, v in d.items() if k not in ("system", "turns", "stop", "journal")}
    return Episode(
        system=message_from_json(d["system"]),
        turns=tuple(turn_from_json(t) for t in d["turns"]),
        stop=StopReason(d["stop"]),
        journal=tuple(Change(**c) for c in d.get("journal", ())),
        **plain,
    )
