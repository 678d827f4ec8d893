"""The folder that an import writes: what is in it, for whom, what was refused; and files that others have published,
read with care.

A folder has its manifest in `imported.json`, the pack in `pack.yaml` and `phrasing.yaml`, and whatever else its source
needs.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialog_rl.errors import ScenarioError
from dialog_rl.safe_yaml import MAX_DEPTH
from dialog_rl.scenario import Document, validate

MANIFEST = "imported.json"
LARGEST_FILE = 256_000_000
"""Bytes of a published file, unpacked, beyond which it is refused unread."""


class Manifest(Document):
    format: int = 1
    source: str
    splits: Mapping[str, tuple[str, ...]]
    """Split → ids of what can be played."""
    refused: Mapping[str, str] = {}
    """Id → why nobody can play it."""


def prepare(out: Path) -> None:
    """Make the folder. Raises ScenarioError where something else is in it."""
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise ScenarioError(f"{out}: is there already and was not imported; name another folder with --out")
    out.mkdir(parents=True, exist_ok=True)


def read_manifest(folder: Path, source: str) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        raise ScenarioError(f"{path}: no such file; `dialog-rl scenarios import {source} DIR` writes such a folder")
    found = validate(Manifest, read_json(path), source=str(path))
    if found.source != source or found.format != 1:
        raise ScenarioError(f"{path}: of {found.source!r}, format {found.format}; {source!r}, format 1 is read here")
    return found


def leave_out(folder: Path, source: str, why: Mapping[str, str]) -> None:
    """Take what turned out not to be playable out of a folder's splits."""
    found = read_manifest(folder, source)
    splits = {name: [one for one in ids if one not in why] for name, ids in found.splits.items()}
    write_json(folder / MANIFEST, {**found.model_dump(), "splits": splits, "refused": {**found.refused, **why}})


def count_of(manifest: Manifest, folder: Path, split: str) -> int:
    """How many customers a split has. Raises ScenarioError naming the splits that have some."""
    found = len(manifest.splits.get(split, ()))
    if not found:
        there = ", ".join(f"{name} {len(ids)}" for name, ids in manifest.splits.items() if ids) or "none"
        raise ScenarioError(f"{folder}: there are no {split} customers; there are: {there}")
    return found


def read_json(path: Path) -> Any:
    """A JSON file, or the one within a zip archive. Raises ScenarioError naming it."""
    try:
        found = json.loads(_text(path))
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as e:
        raise ScenarioError(f"{path}: cannot be read: {e}") from None
    except (ValueError, RecursionError) as e:
        raise ScenarioError(f"{path}: no JSON: {e}") from None
    if _is_deeper(found, MAX_DEPTH):
        raise ScenarioError(f"{path}: nested deeper than {MAX_DEPTH} levels")
    return found


def write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _text(path: Path) -> str:
    if path.suffix != ".zip":
        _refuse_large(path, path.stat().st_size)
        return path.read_text(encoding="utf-8")
    with zipfile.ZipFile(path) as archive:
        inside = [entry for entry in archive.infolist() if entry.filename.endswith(".json")]
        if len(inside) != 1:
            raise ScenarioError(f"{path}: one JSON file is expected in it, found {len(inside)}")
        _refuse_large(path, inside[0].file_size)
        return archive.read(inside[0]).decode("utf-8")


def _refuse_large(path: Path, size: int) -> None:
    if size > LARGEST_FILE:
        raise ScenarioError(f"{path}: more than {LARGEST_FILE // 1_000_000} MB")


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether maps and lists lie within each other deeper than `levels`."""
    layer: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        inner = (part for one in layer for part in (one.values() if isinstance(one, dict) else one))
        layer = [part for part in inner if isinstance(part, dict | list)]
    return bool(layer)
