"""Conversations from elsewhere as episodes: chat logs of a shop's own, in the forms in which they usually lie about.

JSON Lines or JSON with OpenAI's messages (a chat a line, or a message a line with the id of its chat), or CSV with a
message a row. What somebody said stays as it was said, unless a `Redactor` takes out what is personal.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dialog_rl.episode import Episode, Message, Role, Step, StopReason, ToolCall, Turn
from dialog_rl.errors import EpisodeLogError
from dialog_rl.redaction import Redactor
from dialog_rl.text import cleared, one_line

IMPORTED = "imported"
"""Who spoke, and who played the customer, in a conversation from elsewhere."""
LONGEST = 20_000
"""Characters of one message; more is cut off."""
MOST = 64 << 20
"""Bytes of a file."""

_WORDS: Mapping[Role, str] = {
    Role.USER: "user customer client visitor human guest caller buyer 顾客 客户 用户 买家",
    Role.ASSISTANT: "assistant agent bot support operator staff rep advisor seller 客服 坐席 卖家 机器人",
    Role.SYSTEM: "system developer",
    Role.TOOL: "tool function action",
}
_ROLES: Mapping[str, Role] = {word: role for role, words in _WORDS.items() for word in words.split()}
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "chat": tuple(
        "conversation_id conversation chat_id chat dialogue_id session_id session ticket_id ticket thread_id thread "
        "会话 会话id".split()
    ),
    "role": tuple("role speaker author sender from who 角色 发送者".split()),
    "text": tuple("content text message body utterance 内容 消息".split()),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """One conversation as it was written down."""

    name: str
    """Its id there, or its place in the file."""
    messages: tuple[Mapping[str, Any], ...]
    """As OpenAI's clients have them: role, content, tool_calls, tool_call_id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A chat as an episode, and what was done to it."""

    episode: Episode
    redacted: Mapping[str, int]
    """Details taken out, by kind."""


def read_chats(path: Path) -> Iterator[Chat]:
    """The conversations of a file, by its ending: .jsonl, .json or .csv. Raises EpisodeLogError naming the line."""
    try:
        if path.stat().st_size > MOST:
            raise EpisodeLogError(f"{path}: larger than {MOST >> 20} MB; split it")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise EpisodeLogError(f"{path}: not UTF-8 text") from None
    except OSError as e:
        raise EpisodeLogError(f"{path}: cannot be read: {e.strerror}") from None
    yield from parse_chats(text, path.suffix.lower(), str(path))


def parse_chats(text: str, kind: str, name: str) -> Iterator[Chat]:
    """The same of text. `kind`: .jsonl, .json or .csv."""
    if kind == ".csv":
        yield from _grouped(_rows_of_csv(text, name), name)
        return
    if kind == ".json":
        read = _json(text, name)
        documents = [(f"{name}, chat {n}", one) for n, one in enumerate(read if isinstance(read, list) else [read], 1)]
    elif kind == ".jsonl":
        lines = [(f"{name}, line {n}", line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
        documents = [(where, _json(line, where)) for where, line in lines]
    else:
        raise EpisodeLogError(f"{name}: chats are read from .jsonl, .json and .csv")
    if documents and all(isinstance(one, dict) and "messages" not in one for _, one in documents):
        yield from _grouped([(where, one) for where, one in documents], name)
        return
    for where, one in documents:
        yield _whole(one, where)


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise EpisodeLogError(f"{where}: not JSON: {one_line(str(e))}") from None


def _whole(document: Any, where: str) -> Chat:
    """A chat in one piece: {"messages": […]}, or the messages alone."""
    messages = document.get("messages") if isinstance(document, dict) else document
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise EpisodeLogError(f"{where}: no chat: a list of messages, or an object with 'messages', is expected")
    named = document if isinstance(document, dict) else {}
    found = next((named[key] for key in ("id", *_COLUMNS["chat"]) if isinstance(named.get(key), str | int)), where)
    return Chat(name=one_line(str(found), 100), messages=tuple(messages))


def _grouped(rows: Iterable[tuple[str, Mapping[str, Any]]], name: str) -> Iterator[Chat]:
    """Chats from messages that each say which chat they are of."""
    chats: dict[str, list[Mapping[str, Any]]] = {}
    keys: dict[str, str] = {}
    for where, row in rows:
        keys = keys or _keys(row, where)
        message = {**row, "role": row.get(keys["role"]), "content": row.get(keys["text"])}
        chats.setdefault(one_line(str(row.get(keys["chat"])), 100), []).append(message)
    yield from (Chat(name=chat, messages=tuple(messages)) for chat, messages in chats.items())


def _keys(row: Mapping[str, Any], where: str) -> dict[str, str]:
    there = {str(key).strip().lower().replace(" ", "_"): str(key) for key in row}
    keys = {what: next((there[n] for n in names if n in there), "") for what, names in _COLUMNS.items()}
    missing = [what for what, key in keys.items() if not key]
    if missing:
        wanted = "; ".join(f"{what}: {', '.join(_COLUMNS[what][:4])}, …" for what in missing)
        raise EpisodeLogError(f"{where}: no column for {wanted}; there are: {one_line(', '.join(there), 200)}")
    return keys


def _rows_of_csv(text: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        dialect = csv.Sniffer().sniff(text[:4096], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    reader = csv.DictReader(text.splitlines(keepends=True), dialect=dialect)
    try:
        for row in reader:
            yield f"{name}, line {reader.line_num}", {str(key): value for key, value in row.items() if key is not None}
    except csv.Error as e:
        raise EpisodeLogError(f"{name}, line {reader.line_num}: not CSV: {e}") from None


def brought(chat: Chat, *, pack: str, system: str = "", redact: bool = True, name: str = "") -> Brought | None:
    """A chat as an episode of a pack; None where no customer says anything.

    An agent's greeting before the customer's first word is left out, messages of one side in a row become one, and the
    episode's id follows from what was said: the same chat is the same episode, however often it is brought.
    """
    redactor = Redactor()
    messages = [_message(m, f"{name or 'chat'} {chat.name}", redactor if redact else None) for m in chat.messages]
    turns = _turns(messages)
    if not turns:
        return None
    said = "\0".join(f"{m.role}:{m.text}" for m, _ in messages)
    key = hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    scenario = {
        "schema": 1, "id": f"{pack}-chat-{key}", "pack": pack, "user": {"instructions": turns[0].user.text},
        "provenance": {"source": "chats", "task": key},
    }  # fmt: skip
    episode = Episode(
        episode_id=f"{IMPORTED}/{key}", pack=pack, scenario=scenario, seed=0, turns=tuple(turns), simulator=IMPORTED,
        system=Message(role=Role.SYSTEM, text=system), stop=StopReason.USER_LEFT,
    )  # fmt: skip
    return Brought(episode=episode, redacted=dict(redactor.counts))


def _message(raw: Mapping[str, Any], where: str, redactor: Redactor | None) -> tuple[Message, Mapping[str, Any]]:
    """A message, and what it says of tools: `tool_calls` as OpenAI has them, or the call that it answers."""
    role = _ROLES.get(str(raw.get("role")).strip().lower())
    if role is None:
        known = "user, assistant, system, tool; customer, agent, …"
        raise EpisodeLogError(f"{where}: {one_line(str(raw.get('role')), 40)!r} is no role; there are: {known}")
    text = cleared(_text(raw.get("content")))[:LONGEST].strip()
    message = Message(role=role, text=redactor.text(text) if redactor else text)
    calls = raw.get("tool_calls") or []
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise EpisodeLogError(f"{where}: 'tool_calls' is a list of calls")
    return message, {"calls": [_call(c, where, redactor) for c in calls], "answers": str(raw.get("tool_call_id") or "")}


def _text(content: Any) -> str:
    """What is said: text, or the text among OpenAI's parts."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def _call(raw: Mapping[str, Any], where: str, redactor: Redactor | None) -> tuple[str, ToolCall]:
    """A call with its id."""
    function = raw.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise EpisodeLogError(f"{where}: a tool call without 'function.name'")
    written = function.get("arguments") or "{}"
    arguments = _json(written, where) if isinstance(written, str) else written
    if not isinstance(arguments, dict):
        raise EpisodeLogError(f"{where}: the arguments of {one_line(function['name'], 40)} are no object")
    call = ToolCall(name=one_line(function["name"], 80), arguments=redactor.value(arguments) if redactor else arguments)
    return str(raw.get("id") or ""), call


def _turns(messages: Sequence[tuple[Message, Mapping[str, Any]]]) -> list[Turn]:
    answers = {
        tools["answers"]: message for message, tools in messages if message.role is Role.TOOL and tools["answers"]
    }
    turns: list[Turn] = []
    for message, tools in messages:
        if message.role is Role.USER:
            if turns and not turns[-1].steps:
                turns[-1] = Turn(user=_joined(turns[-1].user, message))
            elif message.text:
                turns.append(Turn(user=message))
        elif message.role is Role.ASSISTANT and turns:
            steps = [_called(call, answers.get(key) if key else None) for key, call in tools["calls"]]
            steps += [Step(message=message, policy_version=IMPORTED)] if message.text else []
            turns[-1] = replace(turns[-1], steps=_merged((*turns[-1].steps, *steps)))
    return turns


def _called(call: ToolCall, answer: Message | None) -> Step:
    text = f"{call.name} {json.dumps(dict(call.arguments), ensure_ascii=False, separators=(',', ':'))}"
    result = answer or Message(role=Role.TOOL, text="")
    error = result.text.lower().lstrip('"{').startswith(("error", "failed"))
    message = Message(role=Role.ASSISTANT, text=text, tool_call=call)
    return Step(message=message, result=replace(result, error=error), policy_version=IMPORTED)


def _merged(steps: Sequence[Step]) -> tuple[Step, ...]:
    """What was said in several messages, in one."""
    made: list[Step] = []
    for step in steps:
        if made and step.result is None and made[-1].result is None:
            made[-1] = replace(step, message=_joined(made[-1].message, step.message))
        else:
            made.append(step)
    return tuple(made)


def _joined(first: Message, second: Message) -> Message:
    return replace(second, text="\n".join(filter(None, (first.text, second.text))))
