"""What commands print: JSON and tables on stdout, progress on stderr; never a character that steers a terminal."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

import click

from dialog_rl.errors import ConfigError
from dialog_rl.text import columns, duration, one_line, pad, printable

SCHEMA_VERSION = 1


def emit_json(kind: str, content: Mapping[str, Any]) -> None:
    """One JSON document on stdout. `kind` says what it is; non-finite numbers become null."""
    document = {"schema_version": SCHEMA_VERSION, "kind": kind, **content}
    click.echo(json.dumps(_finite(document), ensure_ascii=True, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


def emit(text: str = "") -> None:
    """Text for people on stdout."""
    click.echo(printable(text))


def note(text: str) -> None:
    """A remark on stderr, beside the results."""
    click.echo(printable(text), err=True)


def heading(text: str) -> None:
    click.echo(style(printable(text), bold=True))


def style(text: str, **how: Any) -> str:
    """Colour or weight, unless NO_COLOR is set; click takes it out again where stdout is no terminal."""
    return text if os.environ.get("NO_COLOR") else click.style(text, **how)


def has_a_screen() -> bool:
    """Whether there is a terminal to draw on and to type at."""
    return (
        all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
        and os.environ.get("TERM", "dumb") != "dumb"
    )


def require_a_screen(instead: str) -> None:
    """Raises ConfigError if there is none, naming what to do instead."""
    if not has_a_screen():
        raise ConfigError(f"there is no terminal to draw on; {instead}")


def leave(ended: tuple[int, str]) -> None:
    """What a screen leaves behind: its exit code, and a last word for the person."""
    code, last_word = ended
    if last_word:
        note(last_word)
    if code:
        raise SystemExit(code)


class Progress:
    """One line on stderr that is rewritten on a terminal; elsewhere a line now and then, so that logs stay readable."""

    def __init__(self, title: str, total: int | None = None, *, every: float = 10.0) -> None:
        self._title, self._total, self._every = title, total, every
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._started = self._shown = time.monotonic()
        self._width = 0
        self._last = ""

    def __enter__(self) -> Progress:
        self._show("", 0, force=self._terminal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal:
            self._write("\r" + " " * self._width + "\r")
        seconds = time.monotonic() - self._started
        if kind is None:
            note(f"{self._title}: {self._last or 'done'}, {duration(seconds)}")

    def at(self, done: int, remark: str = "") -> None:
        self._show(remark, done, force=done == self._total)

    def counted(self, items: Iterable[Any], remark: Callable[[Any], str] = lambda item: "") -> Iterable[Any]:
        for done, item in enumerate(items, start=1):
            self.at(done, remark(item))
            yield item

    def _show(self, remark: str, done: int, *, force: bool) -> None:
        now = time.monotonic()
        of = f"{done:,}/{self._total:,}" if self._total else (f"{done:,}" if done else "")
        self._last = "  ".join(part for part in (of, one_line(remark, 100)) if part)
        if not force and now - self._shown < (0.1 if self._terminal else self._every):
            return
        self._shown = now
        left = ""
        if self._total and 0 < done < self._total:
            left = f"  {duration((now - self._started) * (self._total - done) / done)} left"
        if self._terminal:
            line = one_line(f"{self._title}: {self._last}{left}", click_columns() - 1)
            self._write("\r" + pad(line, self._width))
            self._width = columns(line)
        elif done and done != self._total:
            note(f"{self._title}: {self._last}{left}")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def click_columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def counted(number: int, what: str) -> str:
    """1 error, 2 errors."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")
