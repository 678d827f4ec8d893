"""OpenAI's words: what a client may ask, read strictly, and what it is answered."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dialog_rl.chat.events import Ended, Event, Replied, event_to_json
from dialog_rl.chat.setting import LEARNABLE
from dialog_rl.episode import Step, StopReason, Turn
from dialog_rl.serve.asking import Ask, Taken
from dialog_rl.serve.refusals import Refused
from dialog_rl.text import one_line

MOST_MESSAGES = 400
OWN_TOOLS = "the agent calls its pack's tools itself, within a turn, and no others"

_MEANS_NOTHING: Mapping[str, tuple[Any, ...]] = {
    "n": (1,), "top_p": (1,), "presence_penalty": (0,), "frequency_penalty": (0,), "logprobs": (False,),
    "stop": ([],), "tools": ([],), "functions": ([],), "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False), "function_call": ("none", "auto"), "response_format": ({"type": "text"},),
    "modalities": (["text"],), "service_tier": ("auto", "default"), "logit_bias": ({},), "store": (True,),
}  # fmt: skip
"""Fields that are understood, and the values that ask for nothing beyond what is done anyway."""
_WHY = {
    "tools": OWN_TOOLS, "functions": OWN_TOOLS, "tool_choice": OWN_TOOLS, "function_call": OWN_TOOLS,
    "store": "every conversation is logged; whether it is learnt from is said with metadata.train or POST /v1/consent",
    "n": "one answer is made to each message",
}  # fmt: skip


class Piece(BaseModel):
    model_config = ConfigDict(extra="forbid")
    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    model_config = ConfigDict(extra="allow")
    role: str
    content: str | list[Piece] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(piece.text for piece in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="allow")
    include_usage: bool = False


class ChatRequest(BaseModel):
    """The body of POST /v1/chat/completions."""

    model_config = ConfigDict(extra="allow")
    model: str = Field(max_length=300)
    messages: list[ChatMessage] = Field(min_length=1, max_length=MOST_MESSAGES)
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    user: str | None = Field(default=None, max_length=200)
    metadata: dict[str, str] | None = None


class ConversationRequest(BaseModel):
    """The body of POST /v1/conversations."""

    model_config = ConfigDict(extra="forbid")
    pack: str = Field(default="", max_length=300)
    customer: int | None = Field(default=None, ge=0, lt=10**9)
    free: bool = False
    train: bool | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    user: str = Field(default="", max_length=200)

    def ask(self) -> Ask:
        """As a request in which nothing is said yet."""
        told = {name: getattr(self, name) for name in ("pack", "customer", "free", "train", "seed", "user")}
        if self.train and self.temperature not in (None, LEARNABLE):
            raise _not_learnable()
        return Ask(model="", said="", temperature=self.temperature, **told)


class RatingRequest(BaseModel):
    """The body of POST /v1/ratings."""

    model_config = ConfigDict(extra="forbid")
    episode: str
    turn: int | None = Field(default=None, ge=0)
    value: float | None = Field(default=None, ge=-1, le=1)
    stars: int | None = Field(default=None, ge=1, le=5)
    tags: list[str] = Field(default=[], max_length=20)
    comment: str = Field(default="", max_length=4000)
    correction: str = Field(default="", max_length=4000)
    rater: str = Field(default="", max_length=100)


class ConsentRequest(BaseModel):
    """The body of POST /v1/consent."""

    model_config = ConfigDict(extra="forbid")
    episode: str
    train: bool


def read(body: ChatRequest, headers: Mapping[str, str], *, longest_reply: int) -> Ask:
    """What a request asks for. Raises Refused for what would otherwise be passed over in silence."""
    _refuse_unsupported(body, longest_reply)
    model, *suffix = body.model.split(":")
    if len(suffix) > 2:
        raise Refused("model: write NAME, NAME:PACK or NAME:PACK:CUSTOMER", param="model")
    told = dict(body.metadata or {})
    train = _flag("train", told, headers)
    if train and body.temperature not in (None, LEARNABLE):
        raise _not_learnable()
    history, said = _said(body.messages)
    return Ask(
        model=model,
        said=said,
        history=history,
        pack=_choice("pack", told.get("pack", ""), headers.get("x-dialog-rl-pack", ""), *suffix[:1]),
        customer=_number("customer", told, headers, *suffix[1:]),
        conversation=_choice("conversation", told.get("conversation", ""), headers.get("x-dialog-rl-conversation", "")),
        turn=_number("turn", told, headers),
        train=train,
        temperature=body.temperature,
        seed=body.seed,
        user=body.user or "",
        stream=body.stream,
        events=bool(_flag("events", told, headers)),
    )


def _choice(what: str, *told: str) -> str:
    """The one value among several places to say it."""
    found = {one for one in told if one}
    if len(found) > 1:
        raise Refused(f"{what} is given more than once, and differently; give it in one place", param=what)
    return next(iter(found), "")


def _number(what: str, told: Mapping[str, str], headers: Mapping[str, str], *more: str) -> int | None:
    number = _choice(what, told.get(what, ""), headers.get(f"x-dialog-rl-{what}", ""), *more)
    if number and not (number.isdecimal() and len(number) < 10):
        raise Refused(f"a {what} is a number from 0, not {one_line(number, 30)!r}", param="metadata")
    return int(number) if number else None


def _flag(what: str, told: Mapping[str, str], headers: Mapping[str, str]) -> bool | None:
    flag = _choice(what, told.get(what, ""), headers.get(f"x-dialog-rl-{what}", ""))
    if flag not in ("", "true", "false"):
        raise Refused(f"{what} is 'true' or 'false', not {one_line(flag, 30)!r}", param="metadata")
    return flag == "true" if flag else None


def _not_learnable() -> Refused:
    return Refused(
        f"what is learnt from is spoken at temperature {LEARNABLE:g}; leave it out, or do not ask for training",
        param="temperature",
    )


def _refuse_unsupported(body: ChatRequest, longest_reply: int) -> None:
    for name, value in (body.model_extra or {}).items():
        if value is None or value in _MEANS_NOTHING.get(name, ()):
            continue
        why = _WHY.get(name, "it would change nothing here")
        shown = one_line(name, 60)
        raise Refused(f"'{shown}' is not supported: {why}; leave it out", code="unsupported", param=shown)
    for name in ("max_tokens", "max_completion_tokens"):
        most = getattr(body, name)
        if most is not None and most < longest_reply:
            raise Refused(
                f"a reply is never cut short; it has at most {longest_reply} tokens by itself: ask for that or leave "
                f"{name} out", code="unsupported", param=name,
            )  # fmt: skip


def _said(messages: Sequence[ChatMessage]) -> tuple[tuple[tuple[str, str], ...], str]:
    """What was said and replied before, and what is said now."""
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        if message.role in ("system", "developer"):
            raise Refused("the agent's instructions are its pack's; leave the system message out", param=where)
        if message.role in ("tool", "function") or any((message.model_extra or {}).get(k) for k in _CALLS):
            raise Refused(f"{OWN_TOOLS}; leave tool calls and their answers out", code="unsupported", param=where)
        expected = "assistant" if number % 2 else "user"
        if message.role != expected:
            shown = one_line(message.role, 30)
            raise Refused(f"user and assistant take turns: this must be {expected!r}, not {shown!r}", param=where)
    if len(messages) % 2 == 0:
        raise Refused("the last message must be the user's", param="messages")
    texts = [message.text for message in messages]
    return tuple(zip(texts[:-1:2], texts[1::2], strict=True)), texts[-1]


_CALLS = ("tool_calls", "function_call", "audio")


@dataclass(slots=True, kw_only=True)
class Reply:
    """What is told of one turn, whole or piece by piece."""

    model: str
    """As the client wrote it."""
    taken: Taken
    turn: Turn | None = None
    """Once it is complete."""
    ended: StopReason | None = None
    created: int = field(default_factory=lambda: int(time.time()))

    def hear(self, event: Event) -> None:
        """Take note of what has happened."""
        if isinstance(event, Replied):
            self.turn = event.turn
        elif isinstance(event, Ended):
            self.turn, self.ended = self.turn or event.episode.turns[-1], event.episode.stop

    def headers(self) -> dict[str, str]:
        told = {"Conversation": self.taken.id, "Turn": str(self.taken.number), "Version": self.taken.version}
        told["History"] = self.taken.history.partition(":")[0]
        return {f"X-Dialog-RL-{name}": value for name, value in told.items() if value}

    def whole(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.turn.reply if self.turn else "", "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish()}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self.usage(), "dialog_rl": self.about()}

    def event(self, event: Event) -> dict[str, Any]:
        """One that has no words of OpenAI's, for clients that asked for all."""
        return {**self.piece({}), "dialog_rl": event_to_json(event)}

    def piece(self, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish}
        told = {"dialog_rl": self.about()} if finish else {}
        return {**self._head("chat.completion.chunk"), "choices": [choice], **told}

    def counted(self) -> dict[str, Any]:
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": self.usage()}

    def finish(self) -> str:
        return "length" if self.ended is StopReason.CONTEXT_FULL else "stop"

    def about(self) -> dict[str, Any]:
        """What OpenAI's protocol has no words for."""
        return {
            "conversation": self.taken.id, "turn": self.taken.number, "version": self.taken.version,
            "history": self.taken.history, "ended": self.ended,
            "tools": [step.message.tool_call.name for step in self._steps() if step.message.tool_call is not None],
        }  # fmt: skip

    def usage(self) -> dict[str, int]:
        said = sum(len(step.action_ids) for step in self._steps())
        heard = self.taken.tokens + sum(len(step.observation_ids) for step in self._steps())
        return {"prompt_tokens": heard, "completion_tokens": said, "total_tokens": heard + said}

    def _steps(self) -> tuple[Step, ...]:
        return self.turn.steps if self.turn is not None else ()

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.taken.id}-{self.taken.number}", "object": kind, "created": self.created,
            "model": self.model, "system_fingerprint": self.taken.version,
        }  # fmt: skip
