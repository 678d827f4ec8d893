"""`dialog-rl versions diff`: what differs between two versions, from where they come from to single tensors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import opening
from dialog_rl.cli.options import as_json
from dialog_rl.cli.output import emit, emit_json
from dialog_rl.config import Settings, resolve
from dialog_rl.text import one_line, table

if TYPE_CHECKING:
    from dialog_rl.lm.versions import Manifest, Version


def find(settings: Settings, name: str) -> Version:
    """A version by alias, name, beginning of its id, or folder, verified. Raises CheckpointError."""
    from dialog_rl.lm import versions

    return versions.verify(opening.version_folder(settings, name))


def document(manifest: Manifest) -> dict[str, Any]:
    """A manifest as plain values, with the size of all files instead of their list."""
    document = asdict(manifest)
    return {**{key: document[key] for key in document if key != "files"}, "size": manifest.size}


@click.command()
@click.argument("first")
@click.argument("second")
@click.option("--all", "show_all", is_flag=True, help="Every tensor, not only the ten farthest.")
@as_json
def diff(first: str, second: str, show_all: bool, as_json: bool) -> None:
    """Show what differs between two versions: origin, configuration, training, and weights tensor by tensor."""
    settings = resolve().settings
    one, other = find(settings, first), find(settings, second)
    facts = differing(_facts(one), _facts(other))
    opening.prepare_torch(settings)
    from dialog_rl.lm.weight_distance import weight_distance

    weights = weight_distance(one.path, other.path)
    if as_json:
        emit_json("difference", {"first": one.id, "second": other.id, "facts": facts, "weights": asdict(weights)})
        return
    if facts:
        emit(table(["", one.id, other.id], [[key, plain(a), plain(b)] for key, (a, b) in facts.items()]))
        emit()
    emit(f"weights: {weights.relative:.3g} of the first's norm apart")
    for who, names in ((one, weights.only_first), (other, weights.only_second)):
        if names:
            emit(f"only in {who.id}: {', '.join(names)}")
    shown = [t for t in weights.tensors if t.distance][: None if show_all else 10]
    if shown:
        cells = [
            [t.name, "×".join(map(str, t.shape)), f"{t.relative:.3g}", f"{t.distance:.3g}", f"{t.largest:.3g}"]
            for t in shown
        ]
        emit(table(["tensor", "shape", "relative", "distance", "largest"], cells, right=[2, 3, 4]))


def _facts(version: Version) -> dict[str, Any]:
    """Manifest and configuration as one flat mapping of dotted names."""
    config = version.path / "config.json"
    documents = {
        "": {k: v for k, v in document(version.manifest).items() if k not in ("id", "created_at")},
        "config.": json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {},
    }
    return {prefix + key: value for prefix, document in documents.items() for key, value in _flat(document)}


def _flat(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{name}", item) for name, item in _flat(value))
        else:
            yield str(key), value


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Entries that are not the same in both; None where one has it not."""
    return {
        key: (first.get(key), second.get(key))
        for key in dict.fromkeys([*first, *second])
        if first.get(key) != second.get(key)
    }


def plain(value: Any) -> str:
    """A value of JSON for people, on one line."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "none"
    return one_line(str(value), 300) or "none"
