"""Messages → ids and ids → messages for a checkpoint of a known family: its chat format over its own tokenizer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from dialog_rl.episode import Message, Role
from dialog_rl.errors import CheckpointError
from dialog_rl.lm.chat_formats import FORMATS, ChatFormat, Plain
from dialog_rl.lm.hub_tokenizer import HubTokenizer, Piece, Text
from dialog_rl.lm.tool_calls import MAX_CALL_CHARS

VERSION = "1"
"""Of the formats: a change of what they write makes other fingerprints."""
IN_ACTIONS = ("<tool_call>", "</tool_call>", "<think>", "</think>", "[TOOL_CALLS]", "<|python_tag|>")
"""Special tokens that actions may hold; any other would open a turn that is not the model's."""
LONGEST_ACTION = 512
"""Tokens: these models think and write JSON with spaces."""


class HubRenderer:
    """See `dialog_rl.lm.renderer` for what a renderer is."""

    longest_action = LONGEST_ACTION

    def __init__(self, tokenizer: HubTokenizer, chat_format: ChatFormat) -> None:
        """Raises CheckpointError if the tokenizer lacks one of the format's marks."""
        self.tokenizer, self.format = tokenizer, chat_format
        wanted = dict.fromkeys((*chat_format.marks, chat_format.end))
        if missing := [mark for mark in wanted if mark not in tokenizer.added_tokens]:
            lacking = ", ".join(missing)
            raise CheckpointError(f"the tokenizer has no {lacking}, which the format {chat_format.name} needs")
        self.end_id = tokenizer.special(chat_format.end)
        self.pad_id = self.end_id
        facts = f"dialog_rl {chat_format.name} {chat_format.end} {VERSION}".encode()
        self.fingerprint = hashlib.sha256(facts + b"\0" + tokenizer.data).hexdigest()[:16]
        """Ids of another fingerprint mean something else."""
        self._strays = {tokenizer.special(t): t for t in tokenizer.added_tokens if t not in IN_ACTIONS}

    def observe(self, messages: Iterable[Message]) -> tuple[int, ...]:
        """The ids of newly observed messages, then the marks that ask the policy to act."""
        return tuple(self.tokenizer.encode_pieces([*self._pieces(list(messages)), *self.format.ask()]))

    def _pieces(self, messages: list[Message]) -> list[Piece]:
        """A conversation begins with its system message and the user's first; elsewhere there is no system message."""
        if any(message.role is Role.ASSISTANT for message in messages):
            raise ValueError("an assistant's message is not observed: its ids are those of `action`, or as sampled")
        pieces = self.format.after()
        if messages and messages[0].role is Role.SYSTEM:
            system, messages = messages[0], messages[1:]
            first = messages.pop(0).text if messages and messages[0].role is Role.USER else ""
            manual = system.manual
            told = manual.policy if manual is not None else system.text
            pieces = self.format.open(told, manual.tools if manual is not None else (), first)
        for message in messages:
            if message.role is Role.SYSTEM:
                raise ValueError("a system message can only be the first")
            write = self.format.result if message.role is Role.TOOL else self.format.user
            pieces += write(message.text)
        return pieces

    def action(self, message: Message) -> tuple[int, ...]:
        """The ids of an assistant's message as the format spells it. Raises ValueError for no well-formed action."""
        if message.role is not Role.ASSISTANT or message.malformed:
            raise ValueError(f"no action: role {message.role}, malformed {message.malformed!r}")
        call = message.tool_call
        pieces: list[Piece] = [Text(message.text)] if call is None else self.format.call(call)
        return (*self.tokenizer.encode_pieces(pieces), self.end_id)

    def parse(self, action_ids: Sequence[int]) -> Message:
        """What the policy said or called. An action that cannot be read is a message that says why, not an error."""
        ids = list(action_ids)
        if ids and ids[-1] == self.end_id:
            ids.pop()
        text = self.tokenizer.decode(ids)
        if strays := [self._strays[i] for i in dict.fromkeys(ids) if i in self._strays]:
            return _malformed(text, f"{', '.join(strays)} inside an action")
        try:
            return self.format.read(text)
        except RecursionError:
            return _malformed(text, "the arguments are nested too deeply")
        except ValueError as e:
            return _malformed(text, str(e))


def renderer_of(tokenizer: HubTokenizer, name: str, *, end: str = "") -> HubRenderer:
    """The renderer of a format by name. `end` is what ends an action in the plain format."""
    if name not in FORMATS:
        raise CheckpointError(f"there is no chat format {name!r}; there are: {', '.join(FORMATS)}")
    return HubRenderer(tokenizer, Plain(end) if name == Plain.name and end else FORMATS[name]())


def _malformed(text: str, reason: str) -> Message:
    return Message(role=Role.ASSISTANT, text=text[:MAX_CALL_CHARS], malformed=reason)
