"""Whole or not at all, under every power cut that the recorder can think of; and never silently less once returned."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dialog_rl import durable
from tests.power_cut import RecordingDisk, lay_out


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], RecordingDisk]]:
    def start(root: Path) -> RecordingDisk:
        disk = RecordingDisk(root)
        monkeypatch.setattr(durable, "DISK", disk)
        return disk

    yield start


def seen(root: Path, name: str) -> bytes | None:
    return (root / name).read_bytes() if (root / name).exists() else None


def test_a_file_is_old_or_new_after_a_power_cut_and_new_once_written(tmp_path: Path, record):
    root = tmp_path / "disk"
    root.mkdir()
    (root / "f").write_bytes(b"old")
    disk = record(root)
    durable.write_file(root / "f", b"new")
    found = [{seen(lay_out(state, tmp_path / "after"), "f") for state in moment} for moment in disk.moments]
    assert len(disk.moments) == 4
    assert set().union(*found) == {b"old", b"new"}
    assert found[-1] == {b"new"}


def publish(root: Path) -> None:
    with durable.filling(root) as aside:
        (aside / "weights").write_bytes(b"w" * 10)
        (aside / "sub").mkdir()
        (aside / "sub" / "tokenizer").write_bytes(b"t" * 10)
        durable.publish(aside, root / "v1")


def test_a_directory_is_whole_or_absent_after_a_power_cut_and_there_once_published(tmp_path: Path, record):
    root = tmp_path / "disk"
    root.mkdir()
    disk = record(root)
    publish(root)
    whole = {"/v1": None, "/v1/sub": None, "/v1/sub/tokenizer": b"t" * 10, "/v1/weights": b"w" * 10}
    for moment in disk.moments:
        for state in moment:
            published = {path: content for path, content in state.items() if path.startswith("/v1")}
            assert published in ({}, whole)
    assert all("/v1" in state for state in disk.moments[-1])
    assert len(disk.moments) >= 6


class Sloppy(RecordingDisk):
    """Forgets to sync one thing."""

    def __init__(self, root: Path, forget: Callable[[Path], bool]) -> None:
        super().__init__(root)
        self._forget = forget

    def sync(self, path: Path) -> None:
        if not self._forget(path):
            super().sync(path)


@pytest.mark.parametrize(
    "forget",
    [
        lambda path: path.name == "weights",
        lambda path: path.name == "sub",
        lambda path: path.name.startswith(durable.ASIDE),
        lambda path: path.name == "disk",
    ],
    ids=["a file", "a directory in it", "the directory itself", "the parent"],
)
def test_the_recorder_notices_every_sync_that_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget):
    root = tmp_path / "disk"
    root.mkdir()
    disk = Sloppy(root, forget)
    monkeypatch.setattr(durable, "DISK", disk)
    publish(root)
    whole = {"/v1": None, "/v1/sub": None, "/v1/sub/tokenizer": b"t" * 10, "/v1/weights": b"w" * 10}
    torn = [
        state
        for moment in disk.moments
        for state in moment
        if {path: content for path, content in state.items() if path.startswith("/v1")} not in ({}, whole)
    ]
    lost = [state for state in disk.moments[-1] if "/v1" not in state]
    assert torn or lost


def test_a_line_is_there_once_appended_and_never_a_part_of_it(tmp_path: Path, record):
    root = tmp_path / "disk"
    root.mkdir()
    (root / "j").write_bytes(b"one\nto")
    disk = record(root)
    durable.append_line(root / "j", b"two")
    for moment in disk.moments:
        for state in moment:
            assert durable.lines(lay_out(state, tmp_path / "after") / "j") in ([b"one"], [b"one", b"two"])
    assert all(durable.lines(lay_out(s, tmp_path / "after") / "j") == [b"one", b"two"] for s in disk.moments[-1])


def test_the_first_line_of_a_file_is_there_once_appended(tmp_path: Path, record):
    root = tmp_path / "disk"
    root.mkdir()
    disk = record(root)
    durable.append_line(root / "j", b"one")
    assert {durable.lines(lay_out(s, tmp_path / "after") / "j")[0] for s in disk.moments[-1]} == {b"one"}


def test_a_removed_directory_is_whole_or_gone(tmp_path: Path, record):
    root = tmp_path / "disk"
    root.mkdir()
    publish(root)
    disk = record(root)
    durable.remove_tree(root / "v1")
    for moment in disk.moments:
        for state in moment:
            assert sum(path.startswith("/v1") for path in state) in (0, 4)
    assert not any("/v1" in state for state in disk.moments[-1])


def test_nothing_is_left_of_what_failed_while_it_was_filled(tmp_path: Path):
    with pytest.raises(RuntimeError), durable.filling(tmp_path) as aside:
        (aside / "half").write_bytes(b"x")
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_taken_is_not_replaced(tmp_path: Path):
    publish(tmp_path)
    with pytest.raises(FileExistsError):
        publish(tmp_path)
    assert (tmp_path / "v1" / "weights").read_bytes() == b"w" * 10


def test_what_a_crash_left_is_swept_and_nothing_else(tmp_path: Path):
    publish(tmp_path)
    (tmp_path / f"{durable.ASIDE}filling-1").mkdir()
    (tmp_path / f"{durable.ASIDE}filling-1" / "half").write_bytes(b"x")
    (tmp_path / f"{durable.ASIDE}f-2").write_bytes(b"x")
    assert durable.sweep(tmp_path) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["v1"]
    assert durable.sweep(tmp_path / "absent") == 0


def test_a_line_with_a_line_break_is_a_programmers_error(tmp_path: Path):
    with pytest.raises(ValueError):
        durable.append_line(tmp_path / "j", b"a\nb")


def test_a_lock_is_exclusive_and_a_shared_one_is_shared(tmp_path: Path):
    lock = tmp_path / "deep" / "lock"
    with durable.locked(lock, shared=True), durable.locked(lock, shared=True, timeout=0):
        with pytest.raises(TimeoutError, match="locked by another"), durable.locked(lock, timeout=0.05):
            pass
    with durable.locked(lock, timeout=0):
        pass


def test_a_lock_is_waited_for(tmp_path: Path):
    lock = tmp_path / "lock"
    held = threading.Event()

    def hold() -> None:
        with durable.locked(lock):
            held.set()
            time.sleep(0.1)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with durable.locked(lock, timeout=10):
        pass
    thread.join()


def _hold_for_ever(lock: Path, held: multiprocessing.SimpleQueue[bool]) -> None:
    with durable.locked(lock):
        held.put(True)
        threading.Event().wait()


def test_a_lock_dies_with_its_holder(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    held = context.SimpleQueue()
    child = context.Process(target=_hold_for_ever, args=(tmp_path / "lock", held))
    child.start()
    held.get()
    child.kill()
    child.join()
    with durable.locked(tmp_path / "lock", timeout=5):
        pass
