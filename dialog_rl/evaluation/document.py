"""A report as parts that say what they are, not how they look; and the same as Markdown. `page` makes HTML of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dialog_rl.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Figures; the first column names what they are of."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Remarks, one a line."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Warnings:
    """What the figures cannot bear."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure made by `plots`. Its numbers stand in a table beside it, so text does without."""

    svg: str
    says: str
    """What it shows, for those who do not see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that was said or done in a conversation."""

    who: str
    """customer, agent, call or answer"""
    text: str
    mark: str = ""
    """What is wrong with it; empty if nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One conversation, or a piece of it."""

    name: str
    verdict: str
    good: bool | None
    """How the verdict is coloured; None if it is neither."""
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Talks:
    """Conversations side by side."""

    title: str
    sides: tuple[Side, ...]


Block = Table | Points | Warnings | Picture | Talks


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    title: str
    blocks: tuple[Block, ...]
    about: str = ""
    """How to read it, in a sentence or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    title: str
    lead: str
    """What this is about, in a sentence."""
    opening: tuple[Block, ...]
    """What comes before every section: the main figures."""
    sections: tuple[Section, ...]
    closing: str = ""


def markdown(document: Document) -> str:
    """The document for a file or a pull request."""
    parts = [f"# {document.title}", "", document.lead, ""]
    for block in document.opening:
        parts += _block(block)
    for section in document.sections:
        parts += [f"## {markdown_text(section.title)}", ""]
        parts += [section.about, ""] if section.about else []
        for block in section.blocks:
            parts += _block(block)
    return "\n".join([*parts, *([document.closing, ""] if document.closing else [])])


def _block(block: Block) -> list[str]:
    if isinstance(block, Table):
        return [markdown_table(block.headers, block.rows), ""]
    if isinstance(block, Points):
        return [*(f"- {markdown_text(line)}" for line in block.lines), ""]
    if isinstance(block, Warnings):
        return [*(f"> **Mind:** {markdown_text(line)}\n>" for line in block.lines), ""]
    if isinstance(block, Talks):
        return [f"### {markdown_text(block.title)}", "", *(line for side in block.sides for line in _side(side))]
    return []


def _side(side: Side) -> list[str]:
    """Indented code: nothing that is said in it can become markup."""
    said = [
        f"    {line.who:>8}  {one_line(line.text, 400)}" + (f"   ← {line.mark}" if line.mark else "")
        for line in side.lines
    ]
    verdict = f", {markdown_text(side.verdict)}" if side.verdict else ""
    return [f"{markdown_text(side.name)}{verdict}:", "", *said, ""]


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = "|".join(["", "---", *["---:"] * (len(headers) - 1), ""])
    made = ["| " + " | ".join(map(markdown_text, line)) + " |" for line in (headers, *rows)]
    return "\n".join([made[0], rule, *made[1:]])


def markdown_text(text: str) -> str:
    """Text from elsewhere as a cell or a list item: no character of it starts markup or a new line."""
    escaped = one_line(text, 2000)
    for mark in ("\\", "|", "`", "*", "_", "<", ">", "[", "]", "#"):
        escaped = escaped.replace(mark, f"\\{mark}")
    return escaped
