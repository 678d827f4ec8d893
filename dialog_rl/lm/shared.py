"""Where several machines share their versions: any path that fsspec reads, such as a bucket. Files, and no models.

An object store renames nothing and appends to nothing, so a folder is there once its last file is, which is written
after all others; and a journal is a file a line, numbered, each created only where none is: whoever comes second learns
of it and tries with the next number. The machines have copies, which the rest of the program takes for the store.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dialog_rl import durable
from dialog_rl.errors import CheckpointError, ConfigError
from dialog_rl.text import one_line

ORIGIN = ".origin"
"""The file in a store that names what it is a copy of."""
_JOURNAL = "promotions"


class Shared:
    """One such place. Raises CheckpointError where it cannot be read or written."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError for an URL that nothing here can read."""
        import fsspec.core  # here, as most have no such place

        self.url = url
        try:
            found: tuple[Any, Any] = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as e:
            raise ConfigError(f"paths.versions: {one_line(url, 120)}: {one_line(str(e), 200)}") from None
        self._files, self._root = found[0], str(found[1]).rstrip("/")

    def has(self, name: str, last: str) -> bool:
        """Whether a folder is there, `last` being its last file."""
        with self._reached():
            return self._files.exists(self._path(name, last))

    def put(self, folder: Path, last: str) -> None:
        """Copy a folder there, unless it is there already. `last` makes it real."""
        if self.has(folder.name, last):
            return
        with self._reached():
            for path in sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / last):
                target = self._path(folder.name, path.relative_to(folder).as_posix())
                self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
                self._files.put_file(str(path), target)
            self._create(self._path(folder.name, last), (folder / last).read_bytes())

    def get(self, name: str, into: Path) -> None:
        """Copy a folder from there into one that is empty. What it holds is as unproved as the place is."""
        with self._reached():
            for path in self._files.find(self._path(name)):
                relative = str(path).rpartition(f"/{name}/")[2]
                target = into / relative
                if not target.resolve().is_relative_to(into.resolve()):
                    raise CheckpointError(f"{self.url}: {one_line(relative, 80)!r} leads out of its folder")
                target.parent.mkdir(parents=True, exist_ok=True)
                self._files.get_file(str(path), str(target))

    def remove(self, name: str, last: str) -> None:
        """The last file first, so that what is left is no folder for anybody."""
        with self._reached():
            for path in (self._path(name, last), self._path(name)):
                if self._files.exists(path):
                    self._files.rm(path, recursive=True)

    def lines(self, after: int) -> Iterator[bytes]:
        """The journal's lines behind the first so many."""
        number = after + 1
        while (line := self._line(number)) is not None:
            yield line
            number += 1

    def add_line(self, number: int, line: bytes) -> bool:
        """Whether this is now the journal's line of that number: False if another one was first."""
        with self._reached():
            return self._create(self._path(_JOURNAL, f"{number:08d}"), line)

    def _line(self, number: int) -> bytes | None:
        with self._reached():
            try:
                return self._files.cat_file(self._path(_JOURNAL, f"{number:08d}"))
            except FileNotFoundError:
                return None

    def _create(self, path: str, content: bytes) -> bool:
        """Whole or not at all, and only where nothing is."""
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        if "file" in self._protocols:
            return _link(Path(path), content)
        try:
            self._files.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        return True

    @property
    def _protocols(self) -> tuple[str, ...]:
        told: Any = self._files.protocol
        return (told,) if isinstance(told, str) else tuple(told)

    def _path(self, *names: str) -> str:
        return "/".join((self._root, *names))

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except CheckpointError:
            raise
        except Exception as e:  # marked border: each kind of place raises errors of its own
            raise CheckpointError(
                f"{self.url}: cannot be reached: {type(e).__name__}: {one_line(str(e), 200)}"
            ) from None


def of(store: Path) -> Shared | None:
    """What a store is a copy of, if it is one."""
    try:
        return Shared((store / ORIGIN).read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return None


def _link(path: Path, content: bytes) -> bool:
    """A file system has no conditional put, but a name is given once only."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=durable.ASIDE) as aside:
        aside.write(content)
        aside.flush()
        os.fsync(aside.fileno())
        try:
            os.link(aside.name, path)
        except FileExistsError:
            return False
    durable.DISK.sync(path.parent)
    return True
