"""A first plugin to change: one file, or a package that can be published."""

from __future__ import annotations

import keyword
from pathlib import Path

from dialog_rl.errors import ConfigError
from dialog_rl.hookspecs import API_VERSION

_MODULE = '''"""{title}: a reward for dialog_rl."""

from dialog_rl import hookimpl
from dialog_rl.scoring import Score

dialog_rl_api = {api}


class {cls}:
    def score(self, episodes):
        return [Score(value=self.judge(episode)) for episode in episodes]

    def judge(self, episode):
        """The share of replies that thank the customer; None (no opinion) where the agent never replied."""
        replies = [turn.reply for turn in episode.turns if turn.reply]
        return sum("thank" in reply.lower() for reply in replies) / len(replies) if replies else None


@hookimpl
def register_rewards(register):
    register("{name}", {cls}, bounds=(0.0, 1.0), description="replies that thank the customer")
'''

_PYPROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "dialog-rl-{dashed}"
version = "0.1.0"
description = "{title}: a reward for dialog_rl"
requires-python = ">=3.11"
dependencies = ["dialog_rl"]

[project.entry-points.dialog_rl]
{name} = "{module}"

[tool.hatch.build.targets.wheel]
packages = ["{module}"]
"""

_TEST = '''"""The reward keeps its contract; `check_reward` and `make_episode` come from dialog_rl's pytest plugin."""

from {module} import {cls}


def test_it_keeps_the_contract(check_reward):
    check_reward({cls}, bounds=(0.0, 1.0))


def test_thanks_are_counted(make_episode):
    episode = make_episode(("hello", "Thank you for calling."), ("bye", "Bye."))
    assert {cls}().score([episode])[0].value == 0.5
'''

_README = """# {title}

A reward for dialog_rl. Try it on episodes you have, then train with it:

    pip install -e .
    dialog-rl plugins check {name}
    dialog-rl reward try {name}
    pytest
"""


def new_plugin(name: str, folder: Path, *, package: bool = False) -> list[Path]:
    """Write a plugin that works: `name`.py in `folder`, or a package in a folder of its own. Returns the files.

    Raises ConfigError if the name is not an identifier or something is in the way.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
        raise ConfigError(f"{name!r} is not a plugin's name; use lower-case letters, digits and '_'")
    module = f"dialog_rl_{name}"
    words = {
        "name": name,
        "module": module if package else name,
        "dashed": name.replace("_", "-"),
        "title": name.replace("_", " ").capitalize(),
        "cls": "".join(part.capitalize() for part in name.split("_") if part) or "Reward",
        "api": API_VERSION,
    }
    if package:
        root = folder / f"dialog-rl-{words['dashed']}"
        contents = {
            root / "pyproject.toml": _PYPROJECT,
            root / "README.md": _README,
            root / module / "__init__.py": _MODULE,
            root / "tests" / f"test_{name}.py": _TEST,
        }
    else:
        contents = {folder / f"{name}.py": _MODULE}
    for path in contents:
        if path.exists():
            raise ConfigError(f"{path} is there already; choose another name or folder")
    for path, text in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(**words), encoding="utf-8")
    return list(contents)
