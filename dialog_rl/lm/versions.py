"""Immutable weights on disk: directories named by their content, with a manifest that holds a sha256 of every file.

A version becomes real by one rename and is never altered after. safetensors has no checksum and loads a flipped bit
without a word, so nothing may be loaded that `verify` has not read. This module knows files, not models: a callable
fills the directory, and whoever wants the weights reads them from the verified path.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from dialog_rl import durable
from dialog_rl.errors import CheckpointError
from dialog_rl.faults import fp
from dialog_rl.lm import journal, shared
from dialog_rl.text import suggest

logger = logging.getLogger(__name__)

EMBEDDED = Path(__file__).parent / "embedded"
"""The store that comes with the program; nothing in it is ever published, moved or cleared away."""
MANIFEST = "manifest.json"
LOCK = ".lock"
FORMAT = 1
ID_LENGTH = 16
_LIBRARIES = ("torch", "transformers", "sentencepiece", "safetensors", "dialog_rl")

Fill = Callable[[Path], None]
"""Writes a version's files into the empty directory it is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFact:
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a directory holds and where it came from. Stored in one canonical form, so that any altered byte shows."""

    id: str
    """The first hex digits of the hash of all files' hashes: equal weights have equal ids, whoever made them."""
    files: Mapping[str, FileFact]
    """By path relative to the directory, with forward slashes; the manifest itself is not among them."""
    parent: str = ""
    """The version these weights were trained from; empty if from nothing."""
    fingerprint: str = ""
    """Hash of tokenizer and conversation format: token ids of another one mean nothing to these weights."""
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    """Packs, episodes, log range, seed, update: whatever tells what went in."""
    created_by: str = ""
    """The command that made it."""
    created_at: float = 0.0
    """Seconds since the epoch; for people, never for ordering."""
    libraries: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def size(self) -> int:
        return sum(fact.size for fact in self.files.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A directory that was verified when this object was made."""

    path: Path
    manifest: Manifest

    @property
    def id(self) -> str:
        return self.manifest.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The part of a manifest that its maker tells."""

    parent: str = ""
    fingerprint: str = ""
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    created_by: str = ""


UNTOLD = Origin()


def publish(root: Path, fill: Fill, origin: Origin = UNTOLD, *, expected_bytes: int = 0) -> Version:
    """Make an immutable version `root/<id>` of what `fill` writes. Content that is there already stays as it is.

    expected_bytes: refuse beforehand unless twice as much is free. Raises CheckpointError, and leaves nothing half.
    """
    return publish_as(root, fill, origin, name=lambda version_id: version_id, expected_bytes=expected_bytes)


def publish_as(root: Path, fill: Fill, origin: Origin, *, name: Callable[[str], str], expected_bytes: int) -> Version:
    """`publish` for directories whose name is made from the id by `name`."""
    with durable.failing_as(CheckpointError, f"{root}: cannot write a version"), durable.locked(root / LOCK):
        durable.sweep(root)
        _require_room(root, expected_bytes)
        with durable.filling(root) as aside:
            fill(aside)
            fp("versions.filled")
            manifest = seal(aside, origin)
            target = root / name(manifest.id)
            if not _is_valid(target):
                durable.publish(aside, target)
        if (home := shared.of(root)) is not None:
            home.put(target, MANIFEST)
    return verify(target)


def take_over(root: Path, version_id: str, origin: shared.Shared) -> Version:
    """A version from where it is shared, as one of this store once every byte of it has been verified.

    Raises CheckpointError, and keeps nothing, if it is another one or altered.
    """
    with durable.failing_as(CheckpointError, f"{root}: cannot write a version"), durable.filling(root) as aside:
        folder = aside / version_id
        folder.mkdir()
        origin.get(version_id, folder)
        if verify(folder).id != version_id:
            raise CheckpointError(f"{origin.url}: version {version_id} is another one there")
        durable.publish(folder, root / version_id)
    return verify(root / version_id)


def seal(folder: Path, origin: Origin = UNTOLD) -> Manifest:
    """Write the manifest of a directory's present content into it: the last step of publishing, or of packaging."""
    (folder / MANIFEST).unlink(missing_ok=True)
    files = _file_facts(folder)
    if not files:
        raise CheckpointError(f"{folder}: nothing was written, so there is no version to publish")
    manifest = Manifest(
        id=content_id(files), files=files, parent=origin.parent, fingerprint=origin.fingerprint,
        trained_on=origin.trained_on, created_by=origin.created_by, created_at=time.time(), libraries=_libraries(),
    )  # fmt: skip
    durable.write_file(folder / MANIFEST, _canonical(manifest))
    fp("versions.sealed")
    return manifest


def verify(folder: Path) -> Version:
    """Read every byte of a version and compare. Raises CheckpointError that names the file and what is wrong."""
    manifest = read_manifest(folder)
    with durable.failing_as(CheckpointError, f"{folder}: cannot be read"):
        found = _file_facts(folder)
    found.pop(MANIFEST, None)
    for path in sorted(manifest.files.keys() | found.keys()):
        fault = _difference(manifest.files.get(path), found.get(path))
        if fault:
            raise CheckpointError(f"{folder / path}: {fault}")
    if content_id(manifest.files) != manifest.id:
        raise CheckpointError(f"{folder / MANIFEST}: the id {manifest.id} is not that of the files it lists")
    return Version(path=folder, manifest=manifest)


def read_manifest(folder: Path) -> Manifest:
    """The manifest alone, without reading the files: for listing versions, never for loading weights."""
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
        document = json.loads(content)
        files = {name: FileFact(**fact) for name, fact in document.pop("files").items()}
        seal_found = document.pop("seal")
        manifest = Manifest(files=files, **document)
    except FileNotFoundError:
        raise CheckpointError(f"{folder}: not a version: there is no {MANIFEST} in it") from None
    except OSError as e:
        raise CheckpointError(f"{path}: cannot be read: {e.strerror or e}") from e
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise CheckpointError(f"{path}: altered or not a manifest of format {FORMAT}") from None
    if manifest.format != FORMAT:
        raise CheckpointError(f"{path}: a manifest of format {manifest.format}; this program reads {FORMAT}")
    if _canonical(manifest) != content:
        raise CheckpointError(f"{path}: altered: its seal {str(seal_found)[:12]!r} does not fit its content")
    return manifest


def list_versions(root: Path) -> tuple[Manifest, ...]:
    """The manifests of all versions in a store, oldest first; directories that are not versions are passed over."""
    return tuple(sorted((read_manifest(f) for f in _folders(root)), key=lambda m: (m.created_at, m.id)))


def _folders(root: Path) -> Iterator[Path]:
    """Of the versions in a store: named by their ids, or as those that come with the program are."""
    yield from (p.parent for p in root.glob(f"*/{MANIFEST}") if not p.parent.name.startswith("."))


def find(roots: Iterable[Path], name: str) -> Version:
    """Verify the version that a name means: an alias, a directory's name, or the beginning of an id.

    The stores are looked through in order, so a user's own come before those shipped. Raises CheckpointError.
    """
    stores = tuple(roots)
    if not re.fullmatch(r"[\w.-]{1,128}", name) or name.startswith("."):
        raise CheckpointError(f"{name!r} is not a version's name: letters, digits, '-', '_' and '.'")
    for store in stores:
        folder = store / journal.standing(store).get(name, name)
        if (folder / MANIFEST).exists() or folder.name != name:
            return verify(folder)
    known = [(read_manifest(folder).id, folder) for store in stores for folder in _folders(store)]
    folders = {version_id: folder for version_id, folder in reversed(known) if version_id.startswith(name)}
    if len(folders) == 1:
        return verify(next(iter(folders.values())))
    problem = f"more than one: {', '.join(sorted(folders))}" if folders else "none"
    named = {alias for store in stores for alias in journal.standing(store)} | {folder.name for _, folder in known}
    hint = "" if folders else suggest(name, named - {version_id for version_id, _ in known})
    raise CheckpointError(f"version {name!r}: {problem} in {', '.join(map(str, stores)) or 'no store'}{hint}")


def content_id(files: Mapping[str, FileFact]) -> str:
    lines = "".join(f"{fact.sha256} {path}\n" for path, fact in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:ID_LENGTH]


def _is_valid(target: Path) -> bool:
    """Whether the content is there already. What bears its name and is not it is removed, to be published anew."""
    if not target.exists():
        return False
    try:
        verify(target)
    except CheckpointError as e:
        logger.warning("%s; replaced", e)
        durable.remove_tree(target)
        return False
    return True


def _file_facts(folder: Path) -> dict[str, FileFact]:
    facts: dict[str, FileFact] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise CheckpointError(f"{path}: a version holds plain files only, no links")
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            facts[path.relative_to(folder).as_posix()] = FileFact(size=path.stat().st_size, sha256=digest)
    return facts


def _difference(told: FileFact | None, found: FileFact | None) -> str:
    if found is None:
        return "missing, though the manifest lists it"
    if told is None:
        return "not in the manifest"
    if told.size != found.size:
        return f"altered: {found.size} bytes where the manifest says {told.size}"
    return "" if told.sha256 == found.sha256 else "altered: its sha256 is not the one in the manifest"


def _canonical(manifest: Manifest) -> bytes:
    document = asdict(manifest)
    body = json.dumps(document, sort_keys=True, allow_nan=False)
    document["seal"] = hashlib.sha256(body.encode()).hexdigest()
    return json.dumps(document, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"


def _require_room(root: Path, expected_bytes: int) -> None:
    free = shutil.disk_usage(root).free
    if free < 2 * expected_bytes:
        raise CheckpointError(f"{root}: {free} bytes free where {2 * expected_bytes} are needed to write a version")


def _libraries() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
