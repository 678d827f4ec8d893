"""Files and directories that are there whole or not at all, also after a power cut: write aside, fsync, rename, fsync
the directory. And locks that die with their holder.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dialog_rl.faults import fp

logger = logging.getLogger(__name__)

ASIDE = ".aside-"
"""Prefix of what is not published yet, or no longer: never read, swept at the next publishing."""


class Disk:
    """The calls whose order durability rests on. A test puts another in place of `DISK` to record or refuse them."""

    def write(self, path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content)

    def append(self, path: Path, content: bytes) -> None:
        with path.open("ab") as file:
            file.write(content)

    def truncate(self, path: Path, size: int) -> None:
        os.truncate(path, size)

    def sync(self, path: Path) -> None:
        """fsync a file or a directory. A failure is final: the kernel may have dropped the pages, so never retry."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, source: Path, target: Path) -> None:
        source.rename(target)


DISK = Disk()


def write_file(path: Path, content: bytes) -> None:
    """Replace a file: readers and a crash see the old content or the new, never a mixture."""
    aside = _aside(path)
    try:
        DISK.write(aside, content)
        fp("durable.file.written")
        DISK.sync(aside)
        fp("durable.file.synced")
        DISK.rename(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    fp("durable.file.renamed")
    DISK.sync(path.parent)


def append_line(path: Path, line: bytes) -> None:
    """Add one line, real once it has returned. What a crash left of a line without its newline is cut off first.

    The caller holds a lock if others append there too.
    """
    if b"\n" in line:
        raise ValueError("a line must not contain a newline")
    is_new = not path.exists()
    if not is_new and (size := path.stat().st_size) != (whole := _whole_lines(path)):
        logger.warning("%s: cut off %d bytes of a line that was never completed", path, size - whole)
        DISK.truncate(path, whole)
        DISK.sync(path)
    fp("durable.line.before")
    DISK.append(path, line + b"\n")
    fp("durable.line.written")
    DISK.sync(path)
    fp("durable.line.synced")
    if is_new:
        DISK.sync(path.parent)


def lines(path: Path) -> list[bytes]:
    """The complete lines of a file that `append_line` made; none if it does not exist. A torn last line is left out."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    return content.split(b"\n")[:-1]


@contextmanager
def filling(parent: Path) -> Iterator[Path]:
    """A new empty directory to fill beside its future place, for `publish`; gone when the block ends unpublished."""
    _make_folder(parent)
    aside = _aside(parent / "filling")
    aside.mkdir()
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def publish(aside: Path, target: Path) -> None:
    """Give a filled directory, or a file in one, its name: one rename, after everything is synced.

    Raises FileExistsError if the name is taken.
    """
    if aside.is_dir():
        sync_tree(aside)
    else:
        DISK.sync(aside)
    fp("durable.dir.synced")
    if target.exists():
        raise FileExistsError(f"{target} exists already")
    DISK.rename(aside, target)
    fp("durable.dir.renamed")
    DISK.sync(target.parent)
    fp("durable.dir.published")


def sync_tree(folder: Path) -> None:
    """fsync every file below a folder, then every directory, innermost first."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in sorted(names):
            DISK.sync(Path(root, name))
        DISK.sync(Path(root))


def remove_tree(folder: Path) -> None:
    """Remove a directory such that it is there whole or not at all: renamed aside first, then emptied."""
    aside = _aside(folder)
    DISK.rename(folder, aside)
    fp("durable.remove.renamed")
    DISK.sync(folder.parent)
    shutil.rmtree(aside)
    fp("durable.remove.removed")


def sweep(parent: Path) -> int:
    """Remove what a crash left half-written in a directory; call it under the lock of those who write there."""
    left = list(parent.glob(f"{ASIDE}*"))
    for path in left:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return len(left)


@contextmanager
def failing_as(error: type[Exception], what: str) -> Iterator[None]:
    """Turn a refusal of the operating system into one of our errors: `what` and the system's reason."""
    try:
        yield
    except OSError as e:
        raise error(f"{what}: {e.strerror or e}") from e


@contextmanager
def locked(path: Path, *, shared: bool = False, timeout: float | None = None) -> Iterator[None]:
    """Hold an flock on a file, made if need be. The kernel drops it when the holder dies, so there are no stale locks.

    timeout: seconds to wait; None waits for ever, 0 tries once. Raises TimeoutError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, timeout, path)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, mode: int, timeout: float | None, path: Path) -> None:
    if timeout is None:
        fcntl.flock(handle, mode)
        return
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(handle, mode | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{path} is locked by another process") from None
            time.sleep(0.02)


def _aside(path: Path) -> Path:
    return path.with_name(f"{ASIDE}{path.name}-{uuid.uuid4().hex[:8]}")


def _make_folder(path: Path) -> None:
    """Make a folder and its parents, each durably entered in the one above."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(exist_ok=True)
        DISK.sync(path.parent)


def _whole_lines(path: Path) -> int:
    return path.read_bytes().rfind(b"\n") + 1
