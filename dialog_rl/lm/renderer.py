"""Messages → ids and ids → messages, in the embedded model's own format, one special id for each mark:

    <|system|>brief<|end|><|user|>text<|end|><|assistant|>text<|end|>
    a tool call: <|assistant|><|call|>name {"argument":"value"}<|end|>      its answer: <|tool|>text<|end|>

An action is what follows <|assistant|>, up to and with <|end|>, and so
prompt(n+1) = prompt(n) + action(n) + observe(new messages): a prompt only ever grows at its end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from dialog_rl.episode import Message, Role, ToolCall
from dialog_rl.lm import tokenizer as t
from dialog_rl.lm.tool_calls import MAX_CALL_CHARS, TOOL_NAME, compact, read_arguments

FORMAT = "dialog_rl embedded 1"
_MARK = {Role.SYSTEM: t.SYSTEM, Role.USER: t.USER, Role.TOOL: t.TOOL}


class EmbeddedRenderer:
    """The chat format of the models that `pretrain` makes."""

    def __init__(self, tokenizer: t.Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.end_id = tokenizer.special(t.END)
        self.pad_id = tokenizer.special(t.PAD)
        self.fingerprint = hashlib.sha256(FORMAT.encode() + b"\0" + tokenizer.data).hexdigest()[:16]
        """Ids of another fingerprint mean something else."""

    def observe(self, messages: Iterable[Message]) -> tuple[int, ...]:
        """The ids of newly observed messages, then the mark that asks the policy to act."""
        ids: list[int] = []
        for message in messages:
            if message.role not in _MARK:
                raise ValueError("an assistant's message is not observed: its ids are those of `action`, or as sampled")
            ids.append(self.tokenizer.special(_MARK[message.role]))
            ids.extend(self.tokenizer.encode(message.text))
            ids.append(self.end_id)
        return (*ids, self.tokenizer.special(t.ASSISTANT))

    def action(self, message: Message) -> tuple[int, ...]:
        """The ids that an assistant's message has if it is spelled as the tokenizer spells it, for demonstrations.

        A call is written from its name and arguments, whatever its text. Raises ValueError for a message that is no
        well-formed action.
        """
        if message.role is not Role.ASSISTANT or message.malformed:
            raise ValueError(f"no action: role {message.role}, malformed {message.malformed!r}")
        if message.tool_call is None:
            return (*self.tokenizer.encode(message.text), self.end_id)
        text = call_text(message.tool_call)
        return (self.tokenizer.special(t.CALL), *self.tokenizer.encode(text), self.end_id)

    def parse(self, action_ids: Sequence[int]) -> Message:
        """What the policy said or called. An action that cannot be read is a message that says why, not an error."""
        ids = list(action_ids)
        if ids and ids[-1] == self.end_id:
            ids.pop()
        is_call = bool(ids) and ids[0] == self.tokenizer.special(t.CALL)
        body = ids[1:] if is_call else ids
        text = self.tokenizer.decode(body)
        if stray := sorted(self.tokenizer.special_ids.intersection(body)):
            names = ", ".join(name for name in t.SPECIALS if self.tokenizer.special(name) in stray)
            return _malformed(text, f"{names} inside an action")
        if is_call:
            return _parse_call(text)
        if not text.strip():
            return _malformed(text, "an empty reply: say something or call a tool")
        return Message(role=Role.ASSISTANT, text=text)


def call_text(call: ToolCall) -> str:
    """A call as it is written: the tool's name, a space, its arguments as compact JSON in their own order."""
    return f"{call.name} {compact(call.arguments)}"


def _parse_call(text: str) -> Message:
    try:
        return Message(role=Role.ASSISTANT, text=text, tool_call=_read_call(text))
    except RecursionError:
        return _malformed(text, "the arguments are nested too deeply")
    except ValueError as e:
        return _malformed(text, str(e))


def _read_call(text: str) -> ToolCall:
    if len(text) > MAX_CALL_CHARS:
        raise ValueError(f"a call of {len(text)} characters; at most {MAX_CALL_CHARS} are read")
    name, space, body = text.partition(" ")
    if not TOOL_NAME.fullmatch(name):
        raise ValueError(f'a call must read: name {{"argument":"value"}}; it begins {text[:40]!r}')
    if not space:
        raise ValueError(f"the call of {name} has no arguments; write {{}} for none")
    return read_arguments(name, body)


def _malformed(text: str, reason: str) -> Message:
    return Message(role=Role.ASSISTANT, text=text, malformed=reason)
