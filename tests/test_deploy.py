"""What is written for containers and clusters is read by what it is written for: YAML, and the command line itself."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from dialog_rl.cli.main import cli
from dialog_rl.config import environment_name, keys

DEPLOY = Path(__file__).parent.parent / ".deploy"
FILES = ("compose.yaml", "kubernetes.yaml", "kuberay.yaml")


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


def told(node: Any) -> list[list[str]]:
    """Every command that the program is started with."""
    if isinstance(node, list):
        return [words for one in node for words in told(one)]
    if not isinstance(node, dict):
        return []
    image, words = node.get("image", ""), node.get("args") or node.get("command") or node.get("entrypoint")
    found = [words if isinstance(words, list) else shlex.split(words)] if words and "dialog-rl" in str(image) else []
    if isinstance(node.get("entrypoint"), str):
        found.append(shlex.split(node["entrypoint"])[1:])
    return found + [words for key, one in node.items() if not key.startswith("x-") for words in told(one)]


def variables(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for one in node for name in variables(one)}
    if not isinstance(node, dict):
        return set()
    named = {node["name"]} if "name" in node and ("value" in node or "valueFrom" in node) else set()
    return {*named, *map(str, node), *(name for one in node.values() for name in variables(one))}


@pytest.mark.parametrize("name", FILES)
def test_every_command_is_one_that_the_program_knows(name: str) -> None:
    commands = [words for document in documents(name) for words in told(document)]
    assert commands
    for words in commands:
        command = cli.get_command(cli.make_context("dialog-rl", ["--help"], resilient_parsing=True), words[0])
        assert command is not None, words
        command.make_context(words[0], words[1:])


@pytest.mark.parametrize("name", FILES)
def test_every_setting_is_one_that_the_program_knows(name: str) -> None:
    known = {environment_name(section, key) for section, key in keys()}
    wanted = {variable for document in documents(name) for variable in variables(document)}
    assert {variable for variable in wanted if variable.startswith("DIALOG_RL_")} <= known


def test_the_image_installs_extras_that_there_are() -> None:
    import tomllib

    extras = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    line = next(line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if "'.[" in line)
    wanted = line.partition("'.[")[2].partition("]")[0].split(",")
    assert set(wanted) <= set(extras)


def test_rays_version_is_the_one_that_is_tested() -> None:
    constraints = (DEPLOY.parent / ".ci" / "constraints.txt").read_text().splitlines()
    (job,) = documents("kuberay.yaml")
    assert f"ray=={job['spec']['rayClusterSpec']['rayVersion']}" in constraints
