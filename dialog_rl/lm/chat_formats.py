"""The chat formats of the families that people bring, each as text with marks: what a prompt looks like, how a tool is
called, how an action is read.

Each is equal to the family's own template on the first prompt. Afterwards a prompt only grows at its end, which several
of those templates do not keep: one moves the tools to the last message, another strips what was thought.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from dialog_rl.episode import Message, Role, ToolCall
from dialog_rl.lm.hub_tokenizer import Markup, Piece, Text
from dialog_rl.lm.tool_calls import compact, read_arguments, read_named, spaced

Tools = Sequence[Mapping[str, Any]]


class ChatFormat(Protocol):
    """One family's way. An action is what follows `ask`, up to and with the token `end`."""

    name: str
    end: str
    marks: tuple[str, ...]
    """Added tokens without which the format cannot be written; the first begins every prompt if `begins` is set."""

    def open(self, system: str, tools: Tools, user: str) -> list[Piece]:
        """The first prompt but for `ask`."""
        ...

    def user(self, text: str) -> list[Piece]: ...

    def result(self, text: str) -> list[Piece]: ...

    def ask(self) -> list[Piece]: ...

    def after(self) -> list[Piece]:
        """What stands between an action's end and the next message."""
        ...

    def call(self, call: ToolCall) -> list[Piece]: ...

    def read(self, text: str) -> Message:
        """An action's text without its end. Raises ValueError, with words for the model, if it cannot be read."""
        ...


_THOUGHT = re.compile(r"\A\s*<think>(.*?)</think>", re.DOTALL)


def without_thought(text: str) -> str:
    """The text after a thinking block. Raises ValueError for a block that does not end."""
    spoken = _THOUGHT.sub("", text, count=1)
    if "<think>" in spoken or "</think>" in spoken:
        raise ValueError("a thinking block must begin with <think>, end with </think>, and come first and once")
    return spoken


def said(text: str, *, call: ToolCall | None = None) -> Message:
    if call is None and not text.strip():
        raise ValueError("an empty reply: say something or call a tool")
    return Message(role=Role.ASSISTANT, text=text, tool_call=call)


def as_customer(text: str, opening: str) -> str:
    """What a customer said, told apart from a tool's answer that begins with `opening`."""
    return f"Customer: {text}" if text.lstrip().startswith(opening) else text


class ChatML:
    """Qwen and the Hermes family: tools in the system message, a call as JSON between tags."""

    name, end = "chatml", "<|im_end|>"
    marks = ("<|im_start|>", "<|im_end|>")

    def open(self, system: str, tools: Tools, user: str) -> list[Piece]:
        told = "".join(f"\n{spaced(tool)}" for tool in tools)
        pieces: list[Piece] = [Markup("<|im_start|>system\n"), Text(system)]
        if tools:
            pieces += [
                Markup("\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are "
                       "provided with function signatures within <tools></tools> XML tags:\n<tools>"),
                Text(told),
                Markup("\n</tools>\n\nFor each function call, return a json object with function name and arguments "
                       "within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, "
                       "\"arguments\": <args-json-object>}\n</tool_call>"),
            ]  # fmt: skip
        return [*pieces, Markup("<|im_end|>\n"), *self.user(user)]

    def user(self, text: str) -> list[Piece]:
        return [Markup("<|im_start|>user\n"), Text(as_customer(text, "<tool_response>")), Markup("<|im_end|>\n")]

    def result(self, text: str) -> list[Piece]:
        opening, closing = "<|im_start|>user\n<tool_response>\n", "\n</tool_response><|im_end|>\n"
        return [Markup(opening), Text(text), Markup(closing)]

    def ask(self) -> list[Piece]:
        return [Markup("<|im_start|>assistant\n")]

    def after(self) -> list[Piece]:
        return [Markup("\n")]

    def call(self, call: ToolCall) -> list[Piece]:
        body = spaced({"name": call.name, "arguments": dict(call.arguments)})
        return [Markup("<tool_call>\n"), Text(body), Markup("\n</tool_call>")]

    def read(self, text: str) -> Message:
        spoken = without_thought(text)
        before, tag, rest = spoken.partition("<tool_call>")
        if not tag:
            if "</tool_call>" in spoken:
                raise ValueError("</tool_call> without <tool_call>")
            return said(spoken.strip())
        body, closed, more = rest.partition("</tool_call>")
        if not closed:
            raise ValueError("a call must end with </tool_call>")
        if more.strip():
            raise ValueError("one call at a time, and nothing after it")
        return said(text, call=read_named(body.strip(), arguments="arguments"))


class ChatMLWithoutThought(ChatML):
    """Qwen3 asked not to think: the prompt holds an empty thinking block."""

    name = "chatml-no-think"

    def ask(self) -> list[Piece]:
        return [Markup("<|im_start|>assistant\n<think>\n\n</think>\n\n")]


class Llama3:
    """Llama 3: roles in headers. Its template knows no tools, so the system message tells them."""

    name, end = "llama3", "<|eot_id|>"
    marks = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    _HOW = (
        'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}. '
        "Do not use variables."
    )

    def open(self, system: str, tools: Tools, user: str) -> list[Piece]:
        told = f"{system.strip()}\n\nTo call one of these functions, answer with nothing but JSON. {self._HOW}\n\n"
        text = told + "\n".join(spaced(tool) for tool in tools) if tools else system.strip()
        return [Markup("<|begin_of_text|>"), *self._turn("system", [Text(text)]), *self.user(user)]

    def _turn(self, role: str, pieces: list[Piece]) -> list[Piece]:
        return [Markup(f"<|start_header_id|>{role}<|end_header_id|>\n\n"), *pieces, Markup("<|eot_id|>")]

    def user(self, text: str) -> list[Piece]:
        return self._turn("user", [Text(text.strip())])

    def result(self, text: str) -> list[Piece]:
        return self._turn("ipython", [Text(text)])

    def ask(self) -> list[Piece]:
        return [Markup("<|start_header_id|>assistant<|end_header_id|>\n\n")]

    def after(self) -> list[Piece]:
        return []

    def call(self, call: ToolCall) -> list[Piece]:
        return [Text(spaced({"name": call.name, "parameters": dict(call.arguments)}))]

    def read(self, text: str) -> Message:
        spoken = without_thought(text).strip().removeprefix("<|python_tag|>").strip()
        if spoken.startswith("{"):
            return said(text, call=read_named(spoken, arguments="parameters"))
        return said(spoken)


class Llama31(Llama3):
    """Llama 3.1 and 3.2: a date in the system message, the tools in the first user message."""

    name = "llama3.1"
    DATE = "26 Jul 2024"
    """The date that the template itself takes where it is told none: episodes must not depend on the day."""

    def open(self, system: str, tools: Tools, user: str) -> list[Piece]:
        dates = f"Cutting Knowledge Date: December 2023\nToday Date: {self.DATE}\n\n"
        head = ("Environment: ipython\n" if tools else "") + dates
        pieces: list[Piece] = [Markup("<|begin_of_text|>")]
        pieces += self._turn("system", [Markup(head), Text(system.strip())])
        if not tools:
            return [*pieces, *self.user(user)]
        told = "".join(json.dumps(tool, ensure_ascii=False, indent=4) + "\n\n" for tool in tools)
        how = (
            "Given the following functions, please respond with a JSON for a function call with its proper arguments "
            "that best answers the given prompt.\n\nRespond in the format {\"name\": function name, \"parameters\": "
            "dictionary of argument name and its value}.Do not use variables.\n\n"
        )  # fmt: skip
        return [*pieces, *self._turn("user", [Markup(how), Text(told), Text(user.strip())])]


class Mistral:
    """Mistral from version 3 of its format on: tools, calls and their answers each between marks of their own."""

    name, end = "mistral", "</s>"
    marks = ("<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
             "[TOOL_RESULTS]", "[/TOOL_RESULTS]")  # fmt: skip
    CALL_ID = "call00000"
    """Nine characters, as the format asks for: with one call at a time the answer is always to the last."""

    def open(self, system: str, tools: Tools, user: str) -> list[Piece]:
        pieces: list[Piece] = [Markup("<s>")]
        if tools:
            pieces += [Markup("[AVAILABLE_TOOLS] "), Text(spaced(list(tools))), Markup("[/AVAILABLE_TOOLS]")]
        return [*pieces, *self.user(f"{system}\n\n{user}")]

    def user(self, text: str) -> list[Piece]:
        return [Markup("[INST] "), Text(text), Markup("[/INST]")]

    def result(self, text: str) -> list[Piece]:
        body = spaced({"content": text, "call_id": self.CALL_ID})
        return [Markup("[TOOL_RESULTS] "), Text(body), Markup("[/TOOL_RESULTS]")]

    def ask(self) -> list[Piece]:
        return []

    def after(self) -> list[Piece]:
        return []

    def call(self, call: ToolCall) -> list[Piece]:
        body = spaced([{"name": call.name, "arguments": dict(call.arguments), "id": self.CALL_ID}])
        return [Markup("[TOOL_CALLS] "), Text(body)]

    def read(self, text: str) -> Message:
        spoken = text.strip()
        if not spoken.startswith("[TOOL_CALLS]"):
            if "[TOOL_CALLS]" in spoken:
                raise ValueError("a call must stand alone: nothing before [TOOL_CALLS]")
            return said(spoken)
        body = spoken.removeprefix("[TOOL_CALLS]").strip()
        if body.startswith("[") and body.endswith("]"):
            body = body[1:-1].strip()
        return said(text, call=read_named(body, arguments="arguments"))


_ACTION = re.compile(r"^Action:[ \t]*(\S*)[ \t]*$", re.MULTILINE)
_INPUT = re.compile(r"\A\s*Action Input:", re.MULTILINE)


def react_manual(tools: Tools) -> str:
    """Tools told in words, for models whose format has none."""
    lines = ["You can use these tools:"]
    for tool in tools:
        function = tool["function"]
        lines.append(f"- {function['name']}: {function['description']} Arguments: {spaced(function['parameters'])}")
    lines += ["To use one, answer with these two lines and nothing else:", "Action: the tool's name",
              'Action Input: its arguments, as {"argument": "value"}', "What it answers comes as an Observation.",
              "To speak to the customer, answer with what is to be said."]  # fmt: skip
    return "\n".join(lines)


def read_react(text: str) -> Message:
    """Thoughts may come first; the call comes last."""
    spoken = without_thought(text)
    found = _ACTION.search(spoken)
    if found is None:
        if "Action Input:" in spoken:
            raise ValueError("'Action Input:' without a line 'Action: tool' before it")
        return said(spoken.strip())
    rest = spoken[found.end() :]
    if not _INPUT.match(rest):
        raise ValueError("the line after 'Action:' must be 'Action Input:' with the arguments as JSON")
    return said(text, call=read_arguments(found[1], _INPUT.sub("", rest, count=1).strip()))


def react_call(call: ToolCall) -> str:
    return f"Action: {call.name}\nAction Input: {compact(call.arguments)}"


class Gemma:
    """Gemma: no system role, so rules and tools open the first user message."""

    name, end = "gemma", "<end_of_turn>"
    marks = ("<bos>", "<start_of_turn>", "<end_of_turn>")

    def open(self, system: str, tools: Tools, user: str) -> list[Piece]:
        told = f"{system}\n\n{react_manual(tools)}" if tools else system
        return [Markup("<bos>"), *self._turn("user", f"{told}\n\n{as_customer(user.strip(), 'Observation:')}")]

    def _turn(self, role: str, text: str) -> list[Piece]:
        return [Markup(f"<start_of_turn>{role}\n"), Text(text), Markup("<end_of_turn>\n")]

    def user(self, text: str) -> list[Piece]:
        return self._turn("user", as_customer(text.strip(), "Observation:"))

    def result(self, text: str) -> list[Piece]:
        return self._turn("user", f"Observation: {text}".strip())

    def ask(self) -> list[Piece]:
        return [Markup("<start_of_turn>model\n")]

    def after(self) -> list[Piece]:
        return [Markup("\n")]

    def call(self, call: ToolCall) -> list[Piece]:
        return [Text(react_call(call))]

    def read(self, text: str) -> Message:
        return read_react(text)


class Plain:
    """Models without a chat format, such as GPT-2: who speaks stands at the beginning of a line.

    What others say is indented from its second line on, so that no line of theirs begins with a speaker's name.
    """

    name = "plain"
    marks: tuple[str, ...] = ()

    def __init__(self, end: str = "<|endoftext|>") -> None:
        self.end = end

    def open(self, system: str, tools: Tools, user: str) -> list[Piece]:
        told = f"{system}\n\n{react_manual(tools)}" if tools else system
        return [*self._line("Rules", told), *self.user(user)]

    def _line(self, speaker: str, text: str) -> list[Piece]:
        return [Text(f"{speaker}: {_indented(text)}\n")]

    def user(self, text: str) -> list[Piece]:
        return self._line("Customer", text)

    def result(self, text: str) -> list[Piece]:
        return self._line("Observation", text)

    def ask(self) -> list[Piece]:
        return [Text("Agent:")]

    def after(self) -> list[Piece]:
        return [Text("\n")]

    def call(self, call: ToolCall) -> list[Piece]:
        return [Text(f" {react_call(call)}")]

    def read(self, text: str) -> Message:
        return read_react(text.removeprefix(" "))


def _indented(text: str) -> str:
    """Every line of `str.splitlines`, which knows more line ends than "\\n", but the first begins with a space."""
    return "\n ".join(text.splitlines())


FORMATS: Mapping[str, Callable[[], Any]] = {
    made.name: made for made in (ChatML, ChatMLWithoutThought, Llama31, Llama3, Mistral, Gemma, Plain)
}
