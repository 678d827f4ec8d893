"""`dialog-rl plugins`: what is installed, what is wrong with it, and what it may do. No broken one is imported."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli.options import as_json
from dialog_rl.cli.output import emit, emit_json, note
from dialog_rl.cli.plugin_deeds import LENT, checked, decide, find, loaded_alone, manifests, told, told_of_checks
from dialog_rl.cli.plugin_screen import browse
from dialog_rl.errors import ConfigError, PluginError
from dialog_rl.plugins.manifest import Manifest
from dialog_rl.text import one_line, table

if TYPE_CHECKING:
    from dialog_rl.plugins.isolation import Call


@click.group()
def plugins() -> None:
    """List and inspect plugins, check your own, and decide which may run.

    A plugin of somebody else runs in a process of its own, with a deadline and limits; one that you trust runs inside.
    """


plugins.add_command(browse)


@plugins.command(name="list")
@as_json
def list_(as_json: bool) -> None:
    """List every plugin that is installed, whether it works or not."""
    found = manifests()
    if as_json:
        emit_json("plugins", {"plugins": [_document(manifest) for manifest in found]})
        return
    rows = [[m.name, _state(m), f"{m.package} {m.version}".strip(), _offers(m) or m.problem] for m in found]
    emit(table(["plugin", "status", "package", "offers"], rows))
    for manifest in found:
        if manifest.problem:
            note(f"{manifest.name}: {manifest.problem}")


@plugins.command()
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Show a plugin, by name or file: what it offers and where it is, read without running it."""
    manifest = find(name)
    if as_json:
        emit_json("plugin", _document(manifest))
        return
    for line in told(manifest):
        emit(line)
    if manifest.problem:
        raise PluginError(f"{manifest.name}: {manifest.problem}")


@plugins.command()
@click.argument("name")
@click.option("--package", is_flag=True, help="A package with tests that can be published, not one file.")
@click.option("--in", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Where.")
def new(name: str, package: bool, folder: Path) -> None:
    """Write a first plugin to change: a reward that works."""
    from dialog_rl.plugins.authoring import new_plugin

    files = new_plugin(name, folder, package=package)
    for path in files:
        emit(str(path))
    if package:
        note(f"Install it: pip install -e {files[0].parent}")
        note(f"Check it: dialog-rl plugins check {name}")
    else:
        note(f"Check it: dialog-rl plugins check {files[0]}")
        note(f"Try it: dialog-rl reward try {name} --plugin {files[0]}")


@plugins.command()
@click.argument("name")
@as_json
def check(name: str, as_json: bool) -> None:
    """Check a plugin, by name or file: that it loads, and that each of its rewards keeps the contract."""
    offered, rows, unchecked = checked(name)
    if as_json:
        emit_json("checks", {"plugin": name, "offers": offered, "checks": rows})
    else:
        for line in told_of_checks(name, offered, rows):
            emit(line)
    for why in unchecked:
        note(why)
    wrong = sum(not row["passed"] for row in rows)
    if wrong:
        raise PluginError(f"{name}: {wrong} of {len(rows)} checks failed")


@plugins.command()
@click.argument("name")
def trace(name: str) -> None:
    """Run a plugin's rewards on sample episodes and show each call: how long it took, what it printed, what failed."""
    from dialog_rl.plugins.conformance import sample_episodes
    from dialog_rl.plugins.rewards import build_rewards
    from dialog_rl.scoring import OnFailure, RewardSpec, score_components

    calls: list[Call] = []
    with loaded_alone(name, calls.append) as loaded:
        for registration in loaded.registry.of(Path(name).stem):
            if registration.kind == "rewards":
                try:
                    spec = RewardSpec(use=registration.name, on_failure=OnFailure.ABSTAIN)
                    rewards = build_rewards(loaded.registry, [spec], resources=LENT)
                except (ConfigError, PluginError) as e:
                    note(f"{registration.name}: {e}")
                    continue
                for score in score_components(rewards, sample_episodes())[registration.name]:
                    emit(f"{registration.name}: {score.value} {one_line(score.reason, 80)}")
        if not loaded.workers:
            note("it runs inside the program, so there are no calls to show")
    for call in calls:
        outcome = one_line(call.error) if call.error else "ok"
        emit(f"{call.verb:<8} {1000 * call.seconds:7.1f} ms  {outcome}")
        if call.output:
            emit("         printed: " + one_line(call.output))


@plugins.command()
@click.argument("name")
def disable(name: str) -> None:
    """Load a plugin no more, until it is enabled again."""
    _decide(name, "disable")


@plugins.command()
@click.argument("name")
def enable(name: str) -> None:
    """Take back 'disable'."""
    _decide(name, "enable")


@plugins.command()
@click.argument("name")
def trust(name: str) -> None:
    """Let a plugin run inside the program: with algorithms, policies or commands it must. It can then do anything."""
    _decide(name, "trust")


@plugins.command()
@click.argument("name")
def distrust(name: str) -> None:
    """Take back 'trust': the plugin runs confined again."""
    _decide(name, "distrust")


def _decide(name: str, what: str) -> None:
    if name not in {manifest.name for manifest in manifests()}:
        note(f"warning: no plugin named {one_line(name, 60)} is installed; this holds if one comes")
    emit(decide(name, what))


def _state(manifest: Manifest) -> str:
    """Its status, unless it would be loaded and cannot be."""
    lives = manifest.status not in ("disabled", "not allowed")
    return "broken" if manifest.problem and lives else manifest.status


def _offers(manifest: Manifest) -> str:
    # A name that only running it would tell is shown by what it is the name of.
    names = [n.kind.replace("_", " ") if n.name == "?" else n.name for n in manifest.registrations]
    others = [hook for hook in manifest.hooks if not hook.startswith("register_")]
    return ", ".join([*names, *others])


def _document(manifest: Manifest) -> dict[str, Any]:
    document = asdict(manifest)
    document["source"] = str(manifest.source) if manifest.source else None
    return document
