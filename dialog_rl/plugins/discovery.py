"""Which plugins there are, and bringing one in: installed entry points, loose files, a folder of files."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Collection, Iterable, Mapping
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from dialog_rl.errors import PluginError
from dialog_rl.hookspecs import PROJECT

LOAD_VARIABLE = "DIALOG_RL_LOAD_PLUGINS"
"""Environment: the only third-party entry points to load, separated by commas; empty loads none of them."""


def wanted_entry_points(
    *, disabled: Collection[str], environ: Mapping[str, str], found: Iterable[EntryPoint] | None = None
) -> list[EntryPoint]:
    """The entry points to load, our own first, then by name. Two of one name both stay: the second is refused aloud."""
    allowed = environ.get(LOAD_VARIABLE)
    allow = None if allowed is None else {name.strip() for name in allowed.split(",") if name.strip()}
    wanted = [
        entry
        for entry in all_entry_points(found)
        if entry.name not in disabled and (allow is None or entry.name in allow or is_built_in(entry))
    ]
    return sorted(wanted, key=lambda entry: (not is_built_in(entry), entry.name, entry.value))


def all_entry_points(found: Iterable[EntryPoint] | None = None) -> list[EntryPoint]:
    """Every installed entry point, without the copies that an editable install and a wheel on one path give."""
    every = entry_points(group=PROJECT) if found is None else found
    return list({(entry.name, entry.value): entry for entry in every}.values())


def is_built_in(entry: EntryPoint) -> bool:
    return entry.dist is not None and entry.dist.name.replace("-", "_").lower() == PROJECT


def describe(entry: EntryPoint) -> str:
    where = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "entry point"
    return f"{where}: {entry.value}"


def import_entry(entry: EntryPoint) -> object:
    try:
        return entry.load()
    except (Exception, SystemExit) as e:  # marked border: a stranger's module may raise anything
        raise PluginError(f"cannot be imported: {type(e).__name__}: {e}") from e


class _FreshLoader(SourceFileLoader):
    """Compiles what is in the file: a cached .pyc seems fresh to edits within a second that keep the size."""

    def path_stats(self, path: str) -> Mapping[str, Any]:
        raise OSError("no cache")


def import_file(path: Path) -> object:
    """A loose file as a module of its own, which no other file of the same name can shadow."""
    if not path.is_file():
        raise PluginError("there is no such file")
    name = f"dialog_rl_plugin_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_FreshLoader(name, str(path)))
    if spec is None or spec.loader is None or path.suffix != ".py":
        raise PluginError("is not a Python file; a loose plugin ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up by name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as e:  # marked border: a stranger's module may raise anything
        del sys.modules[name]
        raise PluginError(f"cannot be imported: {type(e).__name__}: {e}") from e
    return module


def content(path: Path) -> str:
    """A hash of what is in a file; empty if it is not there. Some editors keep the size, some disks whole seconds."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def files_in(folder: Path) -> list[Path]:
    """The plugins of a folder: its .py files, but for those whose names begin with an underscore."""
    if not folder.is_dir():
        raise PluginError(f"{folder}: there is no such folder")
    return sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
