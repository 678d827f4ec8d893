"""What an imported folder says of itself: its domain and files, which tasks are for whom, and which were refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialog_rl.errors import ScenarioError
from dialog_rl.scenario import Document, validate
from dialog_rl_tau2.domains import DOMAINS, Domain, read_file

MANIFEST = "tau2.json"


class Manifest(Document):
    format: int = 1
    domain: str
    solo: bool = False
    files: Mapping[str, str]
    """Name → sha256 of what was copied."""
    splits: Mapping[str, tuple[str, ...]]
    refused: Mapping[str, str] = {}
    """Task → why nobody can play it."""

    @property
    def kind(self) -> Domain:
        domain = DOMAINS[self.domain]
        return domain.alone() if self.solo else domain


def read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        raise ScenarioError(f"{path}: no such file; `dialog-rl scenarios import tau2 DIR` writes such a folder")
    found = validate(Manifest, read_file(path), source=str(path))
    if found.domain not in DOMAINS:
        raise ScenarioError(f"{path}: 'domain': {found.domain!r} is none of {', '.join(DOMAINS)}")
    if found.format != 1:
        raise ScenarioError(f"{path}: 'format' {found.format}; this program reads 1, import the data again")
    return found


def write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
