"""Making foreign text safe to show: nothing a stranger wrote may steer the terminal that shows it."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence

# C0 and C1 controls but tab and newline · Arabic letter mark, LRM/RLM, line and paragraph separators, bidi embeddings,
# isolates and deprecated format characters · BOM · interlinear annotation · surrogates · tag characters.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_SPACES = re.compile(r"\s+")
_WORDS = re.compile(r" *[^ ]+ *| +")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(text: str) -> str:
    """`text` with every character that could steer a terminal or reorder a line written as a visible escape.

    Newlines and tabs stay, and CR LF becomes a newline. Idempotent.
    """
    return _UNSAFE.sub(_escape, text.replace("\r\n", "\n"))


def cleared(text: str) -> str:
    """`text` without the characters that `printable` would write as escapes."""
    return _UNSAFE.sub("", text)


def one_line(text: str, limit: int = 300) -> str:
    """`printable`, on one line, at most `limit` characters: for error lines and table cells."""
    flat = _SPACES.sub(" ", printable(text[: 4 * limit])).strip()
    cut = len(flat) > limit or len(text) > 4 * limit
    return flat[: limit - 1] + "…" if cut else flat


def unsafe(text: str) -> str:
    """The first character that `printable` would escape, as that escape; empty if there is none."""
    found = _UNSAFE.search(text)
    return _escape(found) if found else ""


def columns(text: str) -> int:
    """How many terminal columns one line of `text` takes: wide characters take two, combining ones none."""
    return sum(_columns_of(char) for char in text)


def _columns_of(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def pad(text: str, width: int) -> str:
    """`text` followed by spaces up to `width` terminal columns; longer text stays as it is."""
    return text + " " * max(0, width - columns(text))


def fit(text: str, width: int) -> str:
    """One line of `text` in exactly `width` terminal columns: padded, or cut with an ellipsis."""
    flat = one_line(text, max(1, width))
    if columns(flat) > width:
        flat = flat.removesuffix("…")
        while flat and columns(flat) >= width:
            flat = flat[:-1]
        flat += "…" if width else ""
    return pad(flat, width)


def wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` terminal columns, broken at spaces where there are any."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _WORDS.findall(paragraph):
            if line and columns(line) + columns(word.rstrip()) > width:
                lines.append(line.rstrip())
                line, word = "", word.lstrip()
            while columns(word.rstrip()) > width:
                piece = _beginning(word, width)
                lines.append(piece)
                word = word[len(piece) :]
            line += word
        lines.append(line.rstrip())
    return lines


def _beginning(word: str, width: int) -> str:
    """As much of it as fits, one character at least."""
    taken = 0
    for number, char in enumerate(word):
        taken += _columns_of(char)
        if taken > width and number:
            return word[:number]
    return word


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[int] = ()) -> str:
    """Aligned columns; those numbered in `right` are flush right. Wide characters count for the columns they take."""
    cells = [list(headers), *([one_line(str(cell), 120) for cell in row] for row in rows)]
    widths = [max(columns(row[i]) for row in cells) for i in range(len(headers))]

    def line(row: Sequence[str]) -> str:
        done = (
            " " * (width - columns(cell)) + cell if i in right else pad(cell, width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(done).rstrip()

    return "\n".join([line(cells[0]), "  ".join("-" * width for width in widths), *map(line, cells[1:])])


def duration(seconds: float) -> str:
    """12 s, 3 min 5 s, 2 h 4 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def suggest(wrong: str, right: Iterable[str]) -> str:
    """How a message ends: with the nearest right name, or with all there are."""
    names = sorted(right)
    close = difflib.get_close_matches(wrong, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is {', '.join(map(repr, names))}" if names else "; there is none"
