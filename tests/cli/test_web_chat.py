"""`chat --web` from the command line: what it needs, and what the processes in it are told."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest

import dialog_rl.tui
from dialog_rl.cli import web_chat
from dialog_rl.cli.chat import chat
from tests.cli.conftest import Run


def test_without_the_extra_one_line_names_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "dialog_rl.tui.web", raising=False)
    monkeypatch.delattr(dialog_rl.tui, "web", raising=False)
    for module in ("textual_serve", "textual_serve.app_service", "textual_serve.server"):
        monkeypatch.setitem(sys.modules, module, None)
    outcome = run("chat", "--web")
    assert outcome.code == 2 and "pip install 'dialog_rl[web]'" in outcome.error()


def test_a_browser_and_plain_lines_cannot_both_be_had(run: Run) -> None:
    outcome = run("chat", "--web", "--plain")
    assert outcome.code == 2 and "choose one" in outcome.error()


def test_what_is_wrong_is_said_before_anything_is_served(run: Run) -> None:
    assert run("chat", "--web", "--pack", "nowhere").code == 2


def context(*given: str) -> click.Context:
    return chat.make_context("chat", list(given))


def test_a_process_is_given_what_the_command_was_but_its_own(tmp_path: Path) -> None:
    given = ("--web", "--port", "81", "--sessions", "2", "--pack", "telecom", "--customer", "3", "--free", "--no-learn")
    more = ("--temperature", "0.5", "--plugin", "a b.py", "--plugin", "c.py", "--plugins-dir", str(tmp_path))
    handed = web_chat.as_given(context(*given, *more), without=("web", "port", "sessions"))
    again = context(*handed)
    first = context(*given, *more)
    own = {"web": False, "port": 0, "sessions": web_chat.SESSIONS}
    assert again.params == {**first.params, **own} and again.meta == first.meta


def test_a_process_of_a_plain_call_is_given_nothing() -> None:
    assert web_chat.as_given(context("--web"), without=("web",)) == []
