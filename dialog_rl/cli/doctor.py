"""`dialog-rl doctor`: is this installation sound? Looks, writes nothing but a probe, asks no network."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import click

from dialog_rl import __version__
from dialog_rl.cli import opening
from dialog_rl.cli.options import as_json
from dialog_rl.cli.output import emit, emit_json, style
from dialog_rl.config import Settings, resolve
from dialog_rl.errors import DialogRLError
from dialog_rl.text import one_line, pad

LIBRARIES = ("torch", "transformers", "sentencepiece", "safetensors", "pluggy", "click", "pydantic", "sqlalchemy")
EXTRAS = {"matplotlib": "plots", "psycopg": "postgres", "textual_serve": "web"}


class Unwell(DialogRLError):
    """At least one check failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    name: str
    ok: bool
    found: str
    needed: bool = True
    """A check that is not needed can fail without harm."""


@click.command()
@as_json
def doctor(as_json: bool) -> None:
    """Check versions, device, models, disk, plugins and terminal. Exits with 1 if something needed is broken."""
    checks = [_guarded(name, look) for name, look in LOOKS.items()]
    failed = [check for check in checks if check.needed and not check.ok]
    if as_json:
        emit_json("doctor", {"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            mark = style("ok  ", fg="green") if check.ok else style("FAIL" if check.needed else "–   ", fg="red")
            emit_line = f"{pad(check.name, 12)}  {one_line(check.found, 2000)}"
            click.echo(f"{mark}  {emit_line}")
    if failed:
        raise Unwell(f"{len(failed)} of {len(checks)} checks failed: {', '.join(check.name for check in failed)}")
    if not as_json:
        emit("all that is needed works")


def _guarded(name: str, look: Callable[[Settings], Check]) -> Check:
    try:
        return look(resolve().settings)
    except DialogRLError as e:
        return Check(name=name, ok=False, found=str(e))
    except Exception as e:  # marked border: whatever is broken here is what doctor is to tell
        return Check(name=name, ok=False, found=f"{type(e).__name__}: {e}")


def _versions(settings: Settings) -> Check:
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    found = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES if name not in missing)
    lacking = f"; missing: {', '.join(missing)}" if missing else ""
    return Check(
        name="versions",
        ok=not missing,
        found=f"dialog_rl {__version__}, Python {platform.python_version()}, {found}{lacking}",
    )


def _extras(settings: Settings) -> Check:
    missing = [
        f"{name} (pip install 'dialog_rl[{extra}]')" for name, extra in EXTRAS.items() if find_spec(name) is None
    ]
    return Check(
        name="extras",
        ok=not missing,
        needed=False,
        found=f"missing: {'; '.join(missing)}" if missing else "all installed",
    )


def _settings(settings: Settings) -> Check:
    origins = sorted(set(resolve().origins.values()))
    return Check(name="settings", ok=True, found=f"from {', '.join(origins)}" if origins else "all at their defaults")


def _device(settings: Settings) -> Check:
    opening.prepare_torch(settings)
    from dialog_rl.lm.threads import describe_device

    return Check(name="device", ok=True, found=f"{describe_device()}; {_memory()}")


def _memory() -> str:
    try:
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return "memory unknown"
    return f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB memory free"


def _models(settings: Settings) -> Check:
    """Every byte of the versions that ship, and of the user's own, against its manifest."""
    from dialog_rl.lm import versions

    sound: list[str] = []
    broken: list[str] = []
    for store in opening.stores(settings):
        for folder in sorted(path.parent for path in store.glob(f"*/{versions.MANIFEST}")):
            try:
                sound.append(f"{folder.name} {versions.verify(folder).id[:8]}")
            except DialogRLError as e:
                broken.append(str(e))
    if broken:
        return Check(name="models", ok=False, found="; ".join(broken))
    return Check(name="models", ok=bool(sound), found=", ".join(sound[:8]) or "none: there is nothing that could speak")


def _disk(settings: Settings) -> Check:
    """A log is made, written, read back and removed, where runs go."""
    from dialog_rl.episode_log.log import EpisodeLog

    runs = Path(settings.paths.runs)
    there = runs if runs.is_dir() else next(parent for parent in runs.absolute().parents if parent.is_dir())
    with tempfile.TemporaryDirectory(dir=there, prefix=".doctor-") as probe:
        with EpisodeLog.open(Path(probe) / opening.LOG) as log:
            log.last_seq()
    free = shutil.disk_usage(there).free
    return Check(name="disk", ok=free > 200 * 2**20, found=f"{there} can be written, {free / 2**30:.1f} GiB free")


def _packs(settings: Settings) -> Check:
    from dialog_rl.plugins.loading import load_plugins
    from dialog_rl.staging import find_pack

    with load_plugins(disabled=settings.plugins.disabled) as plugins:
        names = sorted(find_pack(plugins.registry, name).name for name in plugins.registry.scenario_packs)
    return Check(name="packs", ok=bool(names), found=", ".join(names) or "none")


def _plugins(settings: Settings) -> Check:
    from dialog_rl.plugins.loading import load_plugins

    with load_plugins(disabled=settings.plugins.disabled) as plugins:
        problems = [str(problem) for problem in plugins.problems]
        names = sorted(plugins.sources)
    return Check(name="plugins", ok=not problems, needed=False, found="; ".join(problems) or ", ".join(names))


def _terminal(settings: Settings) -> Check:
    size = shutil.get_terminal_size()
    colour = "no colour (NO_COLOR)" if os.environ.get("NO_COLOR") else f"TERM={os.environ.get('TERM', 'unset')}"
    kind = "terminal" if sys.stdout.isatty() else "no terminal"
    return Check(
        name="terminal", ok=True, found=f"{kind}, {size.columns} × {size.lines}, {colour}, {sys.stdout.encoding}"
    )


LOOKS: dict[str, Callable[[Settings], Check]] = {
    "versions": _versions,
    "extras": _extras,
    "settings": _settings,
    "device": _device,
    "models": _models,
    "disk": _disk,
    "packs": _packs,
    "plugins": _plugins,
    "terminal": _terminal,
}
