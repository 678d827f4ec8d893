"""MultiWOZ's dialogues as they are published, in any of the ways they are packed, and as they are kept: only what is
needed, in words as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dialog_rl.errors import ScenarioError
from dialog_rl.imported import read_json
from dialog_rl.scenario import Document, validate

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "dev": "validation", "test": "heldout"}
"""How a split is called in a file's name → how it is called here."""
LISTS = {"valListFile": "validation", "testListFile": "heldout"}
"""Beside one file with all dialogues: which of them are not to be trained on."""
_TAG = re.compile(r"<[^>]*>")
_CLITIC = re.compile(r"(\w) ('(?:s|d|m|ll|re|ve)|n't)\b")
_MARK = re.compile(r" +([.,?!;:])")


class Turn(Document):
    user: str
    system: str
    acts: Mapping[str, tuple[tuple[str, str], ...]] = {}
    """What the system's words do: "Hotel-Inform" → slots and values."""
    state: Mapping[str, Mapping[str, str]] = {}
    """Domain → what was wanted by then."""
    booked: tuple[str, ...] = ()
    """Domains in which something has been booked by then."""


class Dialogue(Document):
    id: str
    goal: Mapping[str, Any]
    turns: tuple[Turn, ...]


def spoken(text: str) -> str:
    """ "saint john 's ." → "saint john's." """
    return _MARK.sub(r"\1", _CLITIC.sub(r"\1\2", " ".join(text.split())))


def briefing(goal: Mapping[str, Any]) -> str:
    """What the customer was told, without its HTML."""
    message = goal.get("message") or ()
    return "\n".join(spoken(_TAG.sub("", part)) for part in ([message] if isinstance(message, str) else message))


def read_corpus(folder: Path) -> dict[str, dict[str, Dialogue]]:
    """Split → id → dialogue. Raises ScenarioError naming the file, or saying what was looked for."""
    files = [p for p in sorted(folder.glob("*")) if p.suffix in (".json", ".zip")]
    named = {split: path for path in files if (split := _split_of(path))}
    if named:
        return {split: dict(_dialogues(read_json(path), path)) for split, path in sorted(named.items())}
    everything = next((folder / name for name in ("data.json", "data.json.zip") if (folder / name).is_file()), None)
    if everything is None:
        raise ScenarioError(
            f"{folder}: no dialogues of MultiWOZ 2.1 were found in it: neither data.json with valListFile and "
            "testListFile, nor files with train, val or test in their names"
        )
    return _divided(dict(_dialogues(read_json(everything), everything)), folder)


def _split_of(path: Path) -> str:
    words = re.split(r"[^a-z]+", path.name.lower())
    return next((split for word, split in SPLITS.items() if word in words), "")


def _divided(dialogues: Mapping[str, Dialogue], folder: Path) -> dict[str, dict[str, Dialogue]]:
    aside: dict[str, str] = {}
    for name, split in LISTS.items():
        path = next((p for p in (folder / f"{name}.txt", folder / f"{name}.json") if p.is_file()), None)
        if path is None:
            raise ScenarioError(f"{folder}: {name}.txt is missing: it says which dialogues are not to be trained on")
        aside |= {line.strip().removesuffix(".json"): split for line in path.read_text(encoding="utf-8").splitlines()}
    divided: dict[str, dict[str, Dialogue]] = {"train": {}, "validation": {}, "heldout": {}}
    for name, dialogue in dialogues.items():
        divided[aside.get(name, "train")][name] = dialogue
    return divided


def _dialogues(document: Any, path: Path) -> Iterator[tuple[str, Dialogue]]:
    if not isinstance(document, dict):
        raise ScenarioError(f"{path}: dialogues by their ids are expected, found {type(document).__name__}")
    for name, raw in document.items():
        short = name.removesuffix(".json")
        try:
            log = raw["log"]
            turns = [_turn(user, system) for user, system in zip(log[::2], log[1::2], strict=False)]
            document = {"id": short, "goal": raw["goal"], "turns": turns}
        except (KeyError, TypeError, AttributeError) as e:
            raise ScenarioError(f"{path}: {name}: not a dialogue of MultiWOZ 2.1: {type(e).__name__}: {e}") from None
        yield short, validate(Dialogue, document, source=f"{path}: {name}")


def _turn(user: Mapping[str, Any], system: Mapping[str, Any]) -> dict[str, Any]:
    state = {
        domain: {slot: spoken(value) for slot, value in found["semi"].items() if isinstance(value, str) and value}
        for domain, found in system["metadata"].items()
    }
    acts = system.get("dialog_act")
    return {
        "user": spoken(user["text"]), "system": spoken(system["text"]),
        "acts": {act: [list(pair) for pair in pairs] for act, pairs in acts.items()}
        if isinstance(acts, dict)
        else {},
        "state": {domain: wanted for domain, wanted in state.items() if wanted},
        "booked": [domain for domain, found in system["metadata"].items() if found["book"].get("booked")],
    }  # fmt: skip
