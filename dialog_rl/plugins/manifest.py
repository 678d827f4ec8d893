"""What a plugin says of itself, read without importing it: packaging metadata and the syntax tree of its source.

So the commands that list, show and disable plugins work when one of them is broken, and cost no start-up.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint
from pathlib import Path

from dialog_rl.hookspecs import API_VERSION, HOOKS, KINDS
from dialog_rl.plugins import discovery
from dialog_rl.text import suggest

_SOURCE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One registration as the source spells it."""

    kind: str
    name: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One plugin, unimported."""

    name: str
    status: str
    """built in, trusted, confined, disabled or not allowed"""
    value: str
    """The entry point "module:attribute", or the file."""
    package: str = ""
    version: str = ""
    summary: str = ""
    source: Path | None = None
    hooks: tuple[str, ...] = ()
    registrations: tuple[Named, ...] = ()
    problem: str = ""
    """What is wrong, as far as can be told without running it."""


def read_manifests(
    *,
    files: Iterable[Path] = (),
    disabled: Collection[str] = (),
    trusted: Collection[str] = (),
    environ: Mapping[str, str] | None = None,
    found: Iterable[EntryPoint] | None = None,
) -> list[Manifest]:
    """Every installed plugin and the given files, whether they load or not; later ones of a taken name say so."""
    entries = discovery.all_entry_points(found)
    allowed = {entry.name for entry in discovery.wanted_entry_points(disabled=(), environ=environ or {}, found=entries)}
    manifests = [
        _of_entry(entry, _status(entry.name, discovery.is_built_in(entry), disabled, trusted, allowed))
        for entry in sorted(entries, key=lambda e: (not discovery.is_built_in(e), e.name, e.value))
    ]
    for path in files:
        status = _status(path.stem, False, disabled, trusted, {path.stem})
        manifests.append(_read(Manifest(name=path.stem, status=status, value=str(path), source=path)))
    return list(_with_clashes(manifests))


def _status(name: str, built_in: bool, disabled: Collection[str], trusted: Collection[str], allowed: set[str]) -> str:
    if name in disabled:
        return "disabled"
    if built_in:
        return "built in"
    if name not in allowed:
        return "not allowed"
    return "trusted" if name in trusted else "confined"


def _of_entry(entry: EntryPoint, status: str) -> Manifest:
    dist = entry.dist
    manifest = Manifest(
        name=entry.name,
        status=status,
        value=entry.value,
        package=dist.name if dist else "",
        version=dist.version if dist else "",
        summary=str(dist.metadata.json.get("summary", "")) if dist else "",
        source=find_source(entry.module),
    )
    return _read(manifest)


def find_source(module: str) -> Path | None:
    """The file of a module, found without importing it or its packages."""
    first, *rest = module.split(".")
    spec = PathFinder.find_spec(first, sys.path)
    if spec is None:
        return None
    for part in rest:
        spec = PathFinder.find_spec(part, spec.submodule_search_locations)
        if spec is None:
            return None
    return Path(spec.origin) if spec.origin else None


def _read(manifest: Manifest) -> Manifest:
    """The manifest with what its source says."""
    path, problem = manifest.source, ""
    tree = ast.Module(body=[], type_ignores=[])
    if path is None or not path.is_file():
        problem = f"{manifest.value!r} cannot be found"
    else:
        try:
            tree = ast.parse(path.read_bytes()[:_SOURCE_LIMIT], str(path))
        except (SyntaxError, ValueError, RecursionError, OSError) as e:
            problem = f"{path.name} cannot be read: {type(e).__name__}: {e}"
    hooks = tuple(function.name for function in _marked(tree))
    version = _constant(tree, "dialog_rl_api")
    if not problem and version is not None and version != API_VERSION:
        problem = f"it is made for dialog_rl_api = {version!r}; this program has {API_VERSION}"
    misspelt = next((hook for hook in hooks if hook not in HOOKS), None)
    if not problem and misspelt:
        problem = f"{misspelt!r} is not a hook{suggest(misspelt, HOOKS)}"
    if not problem and (absent := _absent(tree)):
        problem = f"it imports {absent!r}, which is not installed"
    return replace(
        manifest,
        summary=(ast.get_docstring(tree) or "").partition("\n")[0] or manifest.summary,  # its own before its package's
        hooks=hooks,
        registrations=tuple(_registrations(tree)),
        problem=problem,
    )


def _absent(tree: ast.Module) -> str:
    """The first package imported when the module is, that cannot be found; empty if there is none."""
    for node in tree.body:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        for name in names:
            package = name.partition(".")[0]
            if package not in sys.stdlib_module_names and PathFinder.find_spec(package, sys.path) is None:
                return package
    return ""


def _marked(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """The functions of the module that carry @hookimpl."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                target = decorator.func if isinstance(decorator, ast.Call) else decorator
                if isinstance(target, ast.Name | ast.Attribute) and _spelt(target) == "hookimpl":
                    yield node


def _registrations(tree: ast.Module) -> Iterator[Named]:
    for function in _marked(tree):
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "register":
                keywords = {k.arg: k.value for k in node.keywords if k.arg}
                name = node.args[0] if node.args else keywords.get("name")
                kind = KINDS.get(function.name, function.name)
                yield Named(kind=kind, name=_text(name) or "?", description=_text(keywords.get("description")))


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _spelt(node: ast.Name | ast.Attribute) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr


def _constant(tree: ast.Module, name: str) -> object:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            if any(isinstance(target, ast.Name) and target.id == name for target in node.targets):
                return node.value.value
    return None


def _with_clashes(manifests: list[Manifest]) -> Iterator[Manifest]:
    """Names and registrations that an earlier plugin has taken become the later one's problem."""
    plugins: dict[str, Manifest] = {}
    taken: dict[tuple[str, str], str] = {}
    for manifest in manifests:
        problem = manifest.problem
        live = manifest.status not in ("disabled", "not allowed")
        if live and not problem:
            if manifest.name in plugins:
                problem = f"another plugin is named {manifest.name!r}: {plugins[manifest.name].value}"
            for named in manifest.registrations:
                other = taken.setdefault((named.kind, named.name), manifest.name)
                if other != manifest.name and named.name != "?":
                    problem = problem or f"{named.kind} {named.name!r} is registered by {other!r} too"
            plugins.setdefault(manifest.name, manifest)
        yield replace(manifest, problem=problem)
