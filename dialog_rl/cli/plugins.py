"""`dialog-rl plugins`: what is installed, what is wrong with it, and what it may do. No broken one is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli.options import as_json
from dialog_rl.cli.output import emit, emit_json, note
from dialog_rl.config import resolve, user_file
from dialog_rl.errors import ConfigError, PluginError
from dialog_rl.plugins.consent import FILE, Consent, read_consent, write_consent
from dialog_rl.plugins.manifest import Manifest, read_manifests
from dialog_rl.plugins.registry import suggest
from dialog_rl.text import one_line, table

if TYPE_CHECKING:
    from dialog_rl.plugins.isolation import Call
    from dialog_rl.plugins.loading import Plugins


@click.group()
def plugins() -> None:
    """List and inspect plugins, check your own, and decide which may run.

    A plugin of somebody else runs in a process of its own, with a deadline and limits; one that you trust runs inside.
    """


def consent_file() -> Path:
    return user_file().parent / FILE


def manifests(files: tuple[Path, ...] = ()) -> list[Manifest]:
    """Every plugin with its status by configuration, environment and the user's decisions."""
    import os

    consent = read_consent(consent_file())
    disabled = {*resolve().settings.plugins.disabled, *consent.disabled}
    return read_manifests(files=files, disabled=disabled, trusted=consent.trusted, environ=os.environ)


def find(name: str) -> Manifest:
    """The plugin of a name, or the file of a path. Raises PluginError naming what there is."""
    if name.endswith(".py"):
        return manifests((Path(name),))[-1]
    found = {manifest.name: manifest for manifest in manifests()}
    if name not in found:
        raise PluginError(f"no plugin is named {one_line(name, 60)!r}{suggest(name, found)}")
    return found[name]


@plugins.command(name="list")
@as_json
def list_(as_json: bool) -> None:
    """List every plugin that is installed, whether it works or not."""
    found = manifests()
    if as_json:
        emit_json("plugins", {"plugins": [_document(manifest) for manifest in found]})
        return
    rows = [
        [m.name, m.status, f"{m.package} {m.version}".strip(), _offers(m) or m.problem, "!" if m.problem else ""]
        for m in found
    ]
    emit(table(["plugin", "status", "package", "offers", ""], rows))
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
    emit(f"{manifest.name}: {manifest.summary or 'no description'}")
    emit(f"  status   {manifest.status}")
    if manifest.package:
        emit(f"  package  {manifest.package} {manifest.version}")
    emit(f"  from     {manifest.value}  {manifest.source or ''}")
    emit(f"  hooks    {', '.join(manifest.hooks) or 'none found'}")
    for named in manifest.registrations:
        emit(f"  {named.kind.removesuffix('s').replace('_', ' ')}: {named.name}  {named.description}")
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
    rows: list[dict[str, Any]] = []
    with _loaded(name) as loaded:
        for registration in loaded.registry.of(Path(name).stem if name.endswith(".py") else name):
            if registration.kind == "rewards":
                rows += _check(loaded, registration.name)
        offered = [f"{r.kind} {r.name}" for r in loaded.registry.of(Path(name).stem)]
    if as_json:
        emit_json("checks", {"plugin": name, "offers": offered, "checks": rows})
    else:
        emit(f"{name} loads" + (f" and offers: {', '.join(offered)}" if offered else ""))
        for row in rows:
            emit(f"  {'ok  ' if row['passed'] else 'FAIL'}  {row['reward']}: {row['name']}")
            if not row["passed"]:
                emit(f"        {one_line(row['detail'])}")
    wrong = sum(not row["passed"] for row in rows)
    if wrong:
        raise PluginError(f"{name}: {wrong} of {len(rows)} checks failed")


LENT: Mapping[str, Any] = {
    "ratings": lambda episodes: [()] * len(episodes),
    "reference": lambda episodes: [[-0.5 for _ in episode.steps] for episode in episodes],
}
"""What rewards that need something are lent for a check: nobody has rated, and everything is likely."""


def _check(loaded: Plugins, reward: str) -> list[dict[str, Any]]:
    from dialog_rl.plugins.conformance import check_reward
    from dialog_rl.plugins.rewards import build_rewards
    from dialog_rl.scoring import RewardSpec

    spec = RewardSpec(use=reward)
    try:
        answers = check_reward(lambda: build_rewards(loaded.registry, [spec], resources=LENT)[0])
    except ConfigError as e:
        note(f"{reward}: not checked: {e}")
        return []
    return [{"reward": reward, **asdict(answer)} for answer in answers]


def _loaded(name: str, trace: Callable[[Call], None] | None = None) -> Plugins:
    """Just this plugin, as it would run in a training."""
    from importlib.metadata import EntryPoint

    from dialog_rl.plugins.loading import load_plugins

    manifest = find(name)
    trusted = read_consent(consent_file()).trusted
    if name.endswith(".py"):
        return load_plugins(files=[Path(name)], found=[], trusted=trusted, trace=trace)
    if manifest.status == "built in":
        trusted = (*trusted, manifest.name)
    entry = EntryPoint(manifest.name, manifest.value, "dialog_rl")
    loaded = load_plugins(found=[entry], environ={}, trusted=trusted, trace=trace)
    if manifest.name not in loaded.sources:
        raise PluginError("; ".join(map(str, loaded.problems)) or f"{manifest.name} does not load")
    return loaded


@plugins.command()
@click.argument("name")
def trace(name: str) -> None:
    """Run a plugin's rewards on sample episodes and show each call: how long it took, what it printed, what failed."""
    from dialog_rl.plugins.conformance import sample_episodes
    from dialog_rl.plugins.rewards import build_rewards
    from dialog_rl.scoring import OnFailure, RewardSpec, score_components

    calls: list[Call] = []
    with _loaded(name, calls.append) as loaded:
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
    _decide(name, Consent.disable, f"{name} will not be loaded; 'dialog-rl plugins enable {name}' takes that back")


@plugins.command()
@click.argument("name")
def enable(name: str) -> None:
    """Take back 'disable'."""
    _decide(name, Consent.enable, f"{name} will be loaded")


@plugins.command()
@click.argument("name")
def trust(name: str) -> None:
    """Let a plugin run inside the program: with algorithms, policies or commands it must. It can then do anything."""
    _decide(name, Consent.trust, f"{name} will run inside; 'dialog-rl plugins distrust {name}' takes that back")


@plugins.command()
@click.argument("name")
def distrust(name: str) -> None:
    """Take back 'trust': the plugin runs confined again."""
    _decide(name, Consent.distrust, f"{name} will run in a process of its own")


def _decide(name: str, change: Callable[[Consent, str], Consent], said: str) -> None:
    if name not in {manifest.name for manifest in manifests()}:
        note(f"warning: no plugin named {one_line(name, 60)} is installed; this holds if one comes")
    file = consent_file()
    write_consent(file, change(read_consent(file), name))
    emit(said)


def _offers(manifest: Manifest) -> str:
    names = [named.name for named in manifest.registrations]
    others = [hook for hook in manifest.hooks if not hook.startswith("register_")]
    return ", ".join([*names, *others])


def _document(manifest: Manifest) -> dict[str, Any]:
    document = asdict(manifest)
    document["source"] = str(manifest.source) if manifest.source else None
    return document
