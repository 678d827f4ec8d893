"""YAML from strangers: bounded in size, depth and nodes, and nothing in it but maps, lists and plain values.

Scalars follow YAML 1.2's core schema, not PyYAML's 1.1: `no` and `on` are text, and so are `0123`, `12:30` and
`2026-01-31`, which an order number or an opening hour may look like. Keys are always text.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dialog_rl.errors import ScenarioError
from dialog_rl.text import one_line, unsafe

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_NODES = 12_000
"""As many take some 70 ms to read on a slow core; the largest pack that comes with the program has 2,600."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

KeyPath = tuple[str | int, ...]

_NULL = re.compile(r"|~|null|Null|NULL")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_MAX_DIGITS = 18


class Document(NamedTuple):
    data: Any
    lines: Mapping[KeyPath, int]
    """The line, from 1, on which the value at each key path begins; `()` is the document itself."""


def load(path: str | Path) -> Document:
    """The one document in a file. Raises ScenarioError naming file and line."""
    return parse(read(Path(path)), str(path))


def parse(text: str, name: str) -> Document:
    """The one document in `text`; `name` stands for the file in messages."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ScenarioError(f"{one_line(name)}: larger than {MAX_BYTES // 1024} kB; split it into several files")
    reader = _Reader(one_line(name))
    try:
        text.encode()
        reader.scan(text)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        what = one_line(" ".join(part for part in (e.context, e.problem) if part))
        raise reader.error(mark.line + 1 if mark else 1, f"not YAML: {what}") from None
    except (yaml.YAMLError, UnicodeEncodeError) as e:
        raise reader.error(1, f"not YAML: {one_line(str(e))}") from None
    if root is None:
        raise ScenarioError(f"{reader.name}: empty; expected a map of keys to values")
    return Document(reader.value(root, ()), reader.lines)


def read(path: Path) -> str:
    """The text of a file of bounded size. Raises ScenarioError naming it."""
    name = one_line(str(path))
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ScenarioError(f"{name}: not a file")
        with path.open("rb") as f:
            raw = f.read(MAX_BYTES + 1)
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else str(e)
        raise ScenarioError(f"{name}: cannot be read: {one_line(str(reason))}") from None
    if len(raw) > MAX_BYTES:
        raise ScenarioError(f"{name}: larger than {MAX_BYTES // 1024} kB; split it into several files")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = raw[: e.start].count(b"\n") + 1
        raise ScenarioError(f"{name}:{line}: not UTF-8 text") from None


class _Reader:
    """Builds the values of one document, and remembers where each began."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[KeyPath, int] = {}

    def error(self, line: int, what: str) -> ScenarioError:
        return ScenarioError(f"{self.name}:{line}: {what}")

    def scan(self, text: str) -> None:
        """Refuse by looking at events alone, before anything recursive sees the document."""
        depth = nodes = 0
        for event in yaml.parse(text, Loader=_LOADER):
            line = event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent):
                raise self.error(line, f"an alias (*{one_line(event.anchor)}); write the value out")
            if getattr(event, "anchor", None):
                raise self.error(line, f"an anchor (&{one_line(event.anchor)}); write each value out where it is used")
            if getattr(event, "tag", None):
                raise self.error(line, f"a tag ({one_line(event.tag)}); only plain values are allowed")
            nodes += isinstance(event, yaml.NodeEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise self.error(line, f"nested deeper than {MAX_DEPTH} levels")
            if nodes > MAX_NODES:
                raise self.error(line, f"more than {MAX_NODES:,} values; split the file")

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._map(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node)

    def _map(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.error(line, "a key that is itself a map or a list; keys are text")
            key = self._text(key_node)
            if key in out:
                first = self.lines[(*path, key)]
                raise self.error(line, f"'{one_line(key)}' is given twice, first on line {first}")
            self.lines[(*path, key)] = line
            out[key] = self.value(value_node, (*path, key))
        return out

    def _scalar(self, node: yaml.Node) -> Any:
        text = self._text(node)
        if getattr(node, "style", None):  # quoted or block style: text, whatever it looks like
            return text
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text.lower() == "true"
        if _INT.fullmatch(text):
            return int(self._digits(node, text))
        if _FLOAT.fullmatch(text):
            return self._float(node, text)
        return text

    def _text(self, node: yaml.Node) -> str:
        text: str = node.value
        if bad := unsafe(text):
            raise self.error(node.start_mark.line + 1, f"a control or invisible character ({bad}) in a value")
        return text

    def _digits(self, node: yaml.Node, text: str) -> str:
        if len(text.lstrip("+-")) > _MAX_DIGITS:
            raise self.error(
                node.start_mark.line + 1, f"a number of more than {_MAX_DIGITS} digits; quote it if it is text"
            )
        return text

    def _float(self, node: yaml.Node, text: str) -> float:
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise self.error(node.start_mark.line + 1, f"a number out of range ({one_line(text, 40)})")
        return number
