"""`dialog-rl versions`: which weights there are, what became of them and why, and who may speak."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import opening
from dialog_rl.cli.difference import diff, document, find, plain
from dialog_rl.cli.options import as_json, environment_options
from dialog_rl.cli.output import counted, emit, emit_json, heading, note
from dialog_rl.config import Settings, resolve
from dialog_rl.errors import CheckpointError
from dialog_rl.text import one_line, table

if TYPE_CHECKING:
    from dialog_rl.lm.journal import Promotion
    from dialog_rl.lm.versions import Manifest

BY = "dialog-rl versions"
reason_option = click.option("--reason", required=True, help="Why; it stays in the journal.")
alias_option = click.option("--as", "alias", default="champion", show_default=True, help="Which alias.")


@click.group()
def versions() -> None:
    """List, compare, promote, veto and roll back versions.

    'champion' is the version that speaks, 'anchor' the one that no gate lets another fall below, 'candidate' the one
    that the gate has tested last.
    """


def own_store(settings: Settings) -> Path:
    return opening.stores(settings)[0]


# Looking


@versions.command(name="list")
@as_json
def list_(as_json: bool) -> None:
    """List your versions, oldest first, and those that came with the program."""
    settings = resolve().settings
    rows = version_rows(settings)
    if as_json:
        emit_json("versions", {"store": str(own_store(settings)), "versions": rows})
        return
    headers = ["version", "aliases", "made by", "from", "trained on", "state"]
    cells = [[r["id"], ", ".join(r["aliases"]), r["created_by"], r["parent"], r["learnt"], r["state"]] for r in rows]
    emit(table(headers, cells))


def version_rows(settings: Settings) -> list[dict[str, Any]]:
    """Every version there is, those shipped first, then one's own from the oldest on."""
    return [row for store in reversed(opening.stores(settings)) for row in _rows(store, settings)]


def _rows(store: Path, settings: Settings) -> Iterator[dict[str, Any]]:
    from dialog_rl.lm import journal

    shipped = store != own_store(settings)
    standing, lines = journal.standing(store), journal.read(store)
    own = journal.standing(own_store(settings))
    for folder, manifest in _manifests(store):
        aliases = [alias for alias, version in standing.items() if version == manifest.id]
        if shipped and folder.name not in own:
            aliases.append(folder.name)
        yield {
            **document(manifest),
            "path": str(folder),
            "shipped": shipped,
            "aliases": sorted(aliases),
            "learnt": _learnt(manifest.trained_on),
            "state": "shipped" if shipped else _state(lines, manifest.id),
        }


def _manifests(store: Path) -> list[tuple[Path, Manifest]]:
    """Every version of a store that can be read, oldest first; the others are told of."""
    from dialog_rl.lm import versions as found

    read: list[tuple[Path, Manifest]] = []
    for path in sorted(store.glob(f"*/{found.MANIFEST}")):
        try:
            read.append((path.parent, found.read_manifest(path.parent)))
        except CheckpointError as e:
            note(f"warning: {one_line(str(e))}")
    return sorted(read, key=lambda one: (one[1].created_at, one[1].id))


def _state(lines: tuple[Promotion, ...], version_id: str) -> str:
    """What was said of a version last, in a few words."""
    from dialog_rl.lm.journal import Event

    about = [line for line in lines if line.version == version_id]
    told = [line for line in about if line.alias != "candidate" or not line.event.moves]
    if not told:
        return ""
    last = told[-1]
    words = {Event.PROMOTED: f"became {last.alias}", Event.ROLLED_BACK: f"{last.alias} again"}
    return one_line(f"{words.get(last.event, str(last.event))}: {last.reason}", 60)


def _learnt(trained_on: Mapping[str, Any]) -> str:
    """2,816 dialogues, retail, telecom."""
    parts = [f"{trained_on[key]:,} {key}" for key in ("dialogues", "rated") if isinstance(trained_on.get(key), int)]
    packs = trained_on.get("packs", ())
    return one_line(", ".join([*parts, *map(str, packs if isinstance(packs, list | tuple) else ())]), 60)


@versions.command()
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Show where a version came from, and all that was decided about it, with the evidence."""
    settings = resolve().settings
    from dialog_rl.lm import journal

    version = find(settings, name)
    lines = [line for line in journal.read(version.path.parent) if line.version == version.id]
    if as_json:
        manifest = {**document(version.manifest), "files": asdict(version.manifest)["files"]}
        emit_json("version", {"manifest": manifest, "journal": [asdict(line) for line in lines]})
        return
    heading(f"{version.id}  {version.path}")
    for key, value in document(version.manifest).items():
        if key not in ("id", "format") and value:
            emit(f"{key.replace('_', ' ')}: {_when(value) if key == 'created_at' else plain(value)}")
    for line in lines:
        emit()
        emit(f"{line.number}. {_told(line)}")
        for text in evidence_lines(line.evidence):
            emit(f"   {text}")
    if not lines:
        emit("nothing was decided about it")


def _told(line: Promotion) -> str:
    alias = f" {line.alias}" if line.alias else ""
    by = f" by {one_line(line.by, 60)}" if line.by else ""
    return f"{line.event}{alias}, {_when(line.at)}{by}: {one_line(line.reason, 1000)}"


def evidence_lines(evidence: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """Evidence for people: single figures together on a line, what is made of parts below its name."""
    single = {key: value for key, value in evidence.items() if not isinstance(value, Mapping)}
    if single:
        yield "  " * depth + ", ".join(f"{key} {plain(value)}" for key, value in single.items())
    for key, value in evidence.items():
        if isinstance(value, Mapping):
            yield "  " * depth + f"{key}:"
            yield from evidence_lines(value, depth + 1)


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


versions.add_command(diff)


# Deciding


@versions.command()
@click.argument("name")
@alias_option
@reason_option
@click.option("--gate", is_flag=True, help="Only if it passes the gate beside the champion and the anchor.")
@click.option("--pack", "packs", multiple=True, metavar="NAME|DIR", help="Packs of the gate. Default: those of train.")
@environment_options
@as_json
def promote(
    name: str, alias: str, reason: str, gate: bool, packs: tuple[str, ...], as_json: bool, **environment: Any
) -> None:
    """Let an alias mean a version: by your own decision, or by the gate's."""
    from dialog_rl.cli.gating import promote_version

    line = promote_version(name, alias, reason, gate=gate, packs=packs, **environment)
    _report([line], as_json)


@versions.command()
@click.argument("name")
@reason_option
@click.option("--lift", is_flag=True, help="Lift the veto instead.")
@as_json
def veto(name: str, reason: str, lift: bool, as_json: bool) -> None:
    """Forbid that a version speaks, or is ever promoted. If it speaks now, the one before it does from here on."""
    settings = resolve().settings
    from dialog_rl.lm import promotions

    store, version = own_store(settings), find(settings, name)
    if lift:
        _report([promotions.allow(store, version.id, reason=reason, by=BY)], as_json)
        return
    _report(promotions.veto(store, version.id, reason=reason, by=BY), as_json)
    if version.path.parent != store:
        note("it came with the program, and speaks as long as no other is promoted")


@versions.command()
@alias_option
@reason_option
@as_json
def rollback(alias: str, reason: str, as_json: bool) -> None:
    """Let an alias mean what it meant before."""
    from dialog_rl.lm import promotions

    _report([promotions.rollback(own_store(resolve().settings), alias, reason=reason, by=BY)], as_json)


def _report(lines: list[Promotion] | tuple[Promotion, ...], as_json: bool) -> None:
    if as_json:
        emit_json("decisions", {"decisions": [asdict(line) for line in lines]})
        return
    for line in lines:
        version = line.version or "what came with the program"
        emit(f"{line.event.replace('_', ' ')}{f' {line.alias}:' if line.alias else ':'} {version}")


@versions.command()
@click.option("--keep-last", type=click.IntRange(min=0), default=3, show_default=True, help="The newest so many stay.")
@click.option("--dry-run", is_flag=True, help="Only say which would go.")
@as_json
def gc(keep_last: int, dry_run: bool, as_json: bool) -> None:
    """Clear away versions that nothing needs: never one that an alias means, a rollback goes to, or someone uses."""
    from dialog_rl.lm import promotions

    store = own_store(resolve().settings)
    if not store.is_dir():
        raise CheckpointError(f"{store}: there is no store of versions yet")
    remove = promotions.unneeded if dry_run else promotions.clear
    gone = remove(store, keep_last=keep_last)
    if as_json:
        emit_json("cleared", {"versions": list(gone), "dry_run": dry_run})
        return
    for version_id in gone:
        emit(version_id)
    note(f"{counted(len(gone), 'version')} {'would be ' if dry_run else ''}cleared away")
