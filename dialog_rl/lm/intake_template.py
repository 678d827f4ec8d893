"""Which chat format a checkpoint's own template writes: found by rendering it beside each known one, never by its name.

The template is a stranger's program. It is rendered in Jinja's sandbox, in a process without network and with limits,
and never again: what is found is one of our own formats, which keep what templates often do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from dialog_rl.errors import CheckpointError
from dialog_rl.lm.chat_formats import FORMATS, ChatFormat, Plain
from dialog_rl.lm.hub_tokenizer import HubTokenizer
from dialog_rl.lm.intake_files import read_json
from dialog_rl.lm.tool_calls import spaced

_TEMPLATE_BYTES = 1 << 20
_LONGEST = 1 << 20
SYSTEM, FIRST, SAID, SECOND = "Serve the shop's customers.", "I want to return it.", "Which order?", "Number 12."
TOOLS: Sequence[Mapping[str, Any]] = (
    {"type": "function", "function": {
        "name": "find", "description": "Find a customer.",
        "parameters": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    }},
)  # fmt: skip
_NATIVE = ("chatml", "chatml-no-think", "llama3.1", "mistral")
"""Formats whose template tells the tools; the others tell them in the system's words."""


@dataclass(frozen=True, slots=True)
class Found:
    name: str
    end: str = ""
    notes: tuple[str, ...] = ()


def chosen(files: Mapping[str, Path], tokenizer: HubTokenizer, wanted: str) -> Found:
    """The format named, or the one that the checkpoint's template writes; plain for a model without a template."""
    settings = read_json(files["tokenizer_config.json"]) if "tokenizer_config.json" in files else {}
    end = _token(settings, "eos_token")
    if wanted:
        return Found(wanted, end)
    template = _template(files, settings)
    if template is None:
        if end not in tokenizer.added_tokens:
            raise CheckpointError("neither a chat template nor an end-of-text token: name a format with renderer=…")
        return Found(Plain.name, end)
    return match(template, {"bos_token": _token(settings, "bos_token"), "eos_token": end}, tokenizer)


def _token(settings: Mapping[str, Any], name: str) -> str:
    value = settings.get(name)
    value = value.get("content") if isinstance(value, dict) else value
    return value if isinstance(value, str) else ""


def _template(files: Mapping[str, Path], settings: Mapping[str, Any]) -> str | None:
    if (path := files.get("chat_template.jinja")) is not None:
        if path.stat().st_size > _TEMPLATE_BYTES:
            raise CheckpointError(f"chat_template.jinja: {path.stat().st_size} bytes are no chat template")
        return path.read_text(encoding="utf-8", errors="replace")
    found = settings.get("chat_template")
    if isinstance(found, list):  # older files have several, by name
        found = {str(t.get("name")): t.get("template") for t in found if isinstance(t, dict)}.get("default")
    if found is not None and (not isinstance(found, str) or len(found) > _TEMPLATE_BYTES):
        raise CheckpointError("tokenizer_config.json: chat_template is no template")
    return found


def match(template: str, tokens: Mapping[str, str], tokenizer: HubTokenizer) -> Found:
    """The known format that writes the same first prompt. Raises CheckpointError naming what is wrong."""
    render = _Renderer(template, tokens)
    system, first = {"role": "system", "content": SYSTEM}, {"role": "user", "content": FIRST}
    chats = ([system, first], [{"role": "user", "content": f"{SYSTEM}\n\n{FIRST}"}])  # some know no system role
    theirs = {text for chat in chats if (text := render.attempt(chat)) is not None}
    if not theirs:
        raise CheckpointError(f"its chat template fails on the simplest conversation: {render.failure}")
    with_tools = render.attempt(chats[0], tools=TOOLS)
    for name, made in FORMATS.items():
        own = made()
        if name == Plain.name or not set(own.marks) <= tokenizer.added_tokens or _prompt(own, ()) not in theirs:
            continue
        told = with_tools is not None and spaced(TOOLS[0]["function"]["name"]) in with_tools
        if told and name in _NATIVE and _prompt(own, TOOLS) != with_tools:
            continue
        notes = () if _keeps_its_beginning(render, chats[0]) else (
            "its own template rewrites what was said before, so the format is written without it",
        )  # fmt: skip
        return Found(name, notes=notes)
    how = "" if _keeps_its_beginning(render, chats[0]) else " and rewrites what was said before"
    raise CheckpointError(
        f"its chat template writes no format that is known here{how}; known are {', '.join(FORMATS)}: "
        "name one to use it instead of the template"
    )


def _prompt(own: ChatFormat, tools: Sequence[Mapping[str, Any]]) -> str:
    return "".join(piece.text for piece in [*own.open(SYSTEM, tools, FIRST), *own.ask()])


def _keeps_its_beginning(render: _Renderer, chat: list[dict[str, str]]) -> bool:
    """Whether prompt(n+1) begins with prompt(n), with tools as well."""
    longer = [*chat, {"role": "assistant", "content": SAID}, {"role": "user", "content": SECOND}]
    for tools in (None, TOOLS):
        before, after = render.attempt(chat, tools=tools), render.attempt(longer, tools=tools)
        if before is not None and (after is None or not after.startswith(f"{before}{SAID}")):
            return False
    return True


class _Renderer:
    """A template in a sandbox, with what transformers gives templates but the clock."""

    def __init__(self, template: str, tokens: Mapping[str, str]) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _refuse
        self._tokens, self.failure = tokens, ""
        try:
            self._template = environment.from_string(template)
        except Exception as e:  # marked border: Jinja makes Python of it, and that may be too much for Python
            reason = f"{type(e).__name__}: {str(e)[:200]}"
            raise CheckpointError(f"its chat template cannot be read: {reason}") from None

    def attempt(self, chat: Sequence[Mapping[str, str]], *, tools: Any = None) -> str | None:
        """What it writes; None if it refuses. Raises CheckpointError if it reaches for what it may not have."""
        parts: list[str] = []
        length = 0
        try:
            for part in self._template.generate(
                messages=[dict(m) for m in chat], tools=tools, add_generation_prompt=True, enable_thinking=False,
                **self._tokens,
            ):  # fmt: skip
                parts.append(part)
                length += len(part)
                if length > _LONGEST:
                    raise CheckpointError("its chat template writes without end")
        except SecurityError as e:
            raise CheckpointError(f"its chat template is hostile: {e}") from None
        except CheckpointError:
            raise
        except Exception as e:  # marked border: a template may raise anything
            self.failure = f"{type(e).__name__}: {str(e)[:200]}"
            return None
        return "".join(parts)


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **_: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(str(message))
