"""What can be done with plugins, by command or on the screen: read, loaded alone and checked, decided upon."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialog_rl.config import resolve, user_file
from dialog_rl.errors import ConfigError, PluginError
from dialog_rl.plugins.consent import FILE, Consent, read_consent, write_consent
from dialog_rl.plugins.manifest import Manifest, read_manifests
from dialog_rl.text import one_line, suggest

if TYPE_CHECKING:
    from dialog_rl.plugins.isolation import Call
    from dialog_rl.plugins.loading import Plugins


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


def told(manifest: Manifest) -> Iterator[str]:
    """What a plugin says of itself, a line each."""
    yield f"{manifest.name}: {manifest.summary or 'no description'}"
    yield f"  status   {manifest.status}"
    if manifest.package:
        yield f"  package  {manifest.package} {manifest.version}"
    yield f"  from     {manifest.value}  {manifest.source or ''}"
    yield f"  hooks    {', '.join(manifest.hooks) or 'none found'}"
    for named in manifest.registrations:
        yield f"  {named.kind.removesuffix('s').replace('_', ' ')}: {named.name}  {named.description}"


def checked(name: str) -> tuple[list[str], list[dict[str, Any]], list[str]]:
    """What a plugin offers once it is loaded, what came of each check, and what could not be checked, with the reason.

    Raises PluginError if it does not load.
    """
    rows: list[dict[str, Any]] = []
    unchecked: list[str] = []
    with loaded_alone(name) as there:
        for registration in there.registry.of(Path(name).stem if name.endswith(".py") else name):
            if registration.kind == "rewards":
                try:
                    rows += _check(there, registration.name)
                except ConfigError as e:
                    unchecked.append(f"{registration.name}: not checked: {e}")
        offered = [f"{r.kind} {r.name}" for r in there.registry.of(Path(name).stem)]
    return offered, rows, unchecked


def told_of_checks(name: str, offered: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield f"{name} loads" + (f" and offers: {', '.join(offered)}" if offered else "")
    for row in rows:
        yield f"  {'ok  ' if row['passed'] else 'FAIL'}  {row['reward']}: {row['name']}"
        if not row["passed"]:
            yield f"        {one_line(row['detail'])}"


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
    answers = check_reward(lambda: build_rewards(loaded.registry, [spec], resources=LENT)[0])
    return [{"reward": reward, **asdict(answer)} for answer in answers]


def loaded_alone(name: str, trace: Callable[[Call], None] | None = None) -> Plugins:
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


DECISIONS: Mapping[str, tuple[Callable[[Consent, str], Consent], str]] = {
    "disable": (Consent.disable, "{0} will not be loaded; 'dialog-rl plugins enable {0}' takes that back"),
    "enable": (Consent.enable, "{0} will be loaded"),
    "trust": (Consent.trust, "{0} will run inside; 'dialog-rl plugins distrust {0}' takes that back"),
    "distrust": (Consent.distrust, "{0} will run in a process of its own"),
}


def decide(name: str, what: str) -> str:
    """Keep one of the DECISIONS; what follows from it."""
    change, said = DECISIONS[what]
    file = consent_file()
    write_consent(file, change(read_consent(file), name))
    return said.format(name)
