"""Versions that machines share through an fsspec path: there whole or not at all, with one history for all of them."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pytest

from dialog_rl.errors import CheckpointError, ConfigError
from dialog_rl.lm import journal, promotions, shared, versions


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"memory://{uuid.uuid4().hex}" if request.param == "memory" else f"file://{tmp_path}/shared"


@pytest.fixture
def machines(url: str, tmp_path: Path) -> tuple[Path, Path]:
    """The stores of two machines that share one."""
    for name in "ab":
        promotions.share(tmp_path / name, url)
    return tmp_path / "a", tmp_path / "b"


def make(root: Path, content: str) -> str:
    def fill(folder: Path) -> None:
        (folder / "parts").mkdir()
        (folder / "parts" / "w.bin").write_text(content)

    return versions.publish(root, fill).id


def files(url: str) -> tuple[Any, str]:
    found: tuple[Any, str] = fsspec.core.url_to_fs(url)
    return found


def test_what_is_promoted_on_one_machine_is_found_on_the_other(machines: tuple[Path, Path]) -> None:
    here, there = machines
    promotions.promote(here, "champion", first := make(here, "1"), reason="better", evidence={"pairs": 9})
    assert journal.standing(there) == {}
    promotions.refresh(there)
    assert versions.find([there], "champion").id == first and journal.read(there) == journal.read(here)
    assert (there / first / "parts" / "w.bin").read_text() == "1"


def test_a_version_that_no_alias_means_is_not_fetched(machines: tuple[Path, Path]) -> None:
    here, there = machines
    make(here, "1")
    promotions.refresh(there)
    assert versions.list_versions(there) == ()


def test_who_records_knows_what_the_others_have_recorded(machines: tuple[Path, Path]) -> None:
    here, there = machines
    first, second = make(here, "1"), make(there, "2")
    promotions.promote(here, "champion", first, reason="r")
    promotions.promote(there, "champion", second, reason="r")
    promotions.refresh(here)
    assert [p.version for p in journal.read(here)] == [first, second] and promotions.previous(here, "champion") == first


def test_what_is_vetoed_on_one_machine_cannot_be_promoted_on_another(machines: tuple[Path, Path]) -> None:
    here, there = machines
    first = make(here, "1")
    make(there, "1")
    promotions.veto(here, first, reason="rude")
    with pytest.raises(CheckpointError, match="vetoed: rude"):
        promotions.promote(there, "champion", first, reason="r")


def test_of_two_who_record_at_once_the_second_takes_the_next_number(
    machines: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = machines
    first, second = make(here, "1"), make(there, "2")
    add = shared.Shared.add_line
    others = [lambda: promotions.promote(there, "anchor", second, reason="quicker")]

    def late(self: shared.Shared, number: int, line: bytes) -> bool:
        if others:
            others.pop()()
        return add(self, number, line)

    monkeypatch.setattr(shared.Shared, "add_line", late)
    assert promotions.promote(here, "champion", first, reason="r").number == 2
    assert journal.standing(here) == {"anchor": second, "champion": first}


def test_a_version_whose_last_file_is_missing_is_not_there_and_is_put_again(
    machines: tuple[Path, Path], url: str
) -> None:
    here, there = machines
    first = make(here, "1")
    where, root = files(url)
    where.rm(f"{root}/{first}/{versions.MANIFEST}")
    origin = shared.Shared(url)
    assert not origin.has(first, versions.MANIFEST)
    origin.put(here / first, versions.MANIFEST)
    promotions.promote(here, "champion", first, reason="r")
    promotions.refresh(there)
    assert versions.find([there], "champion").id == first


def test_what_was_altered_where_it_is_shared_is_not_taken_over(machines: tuple[Path, Path], url: str) -> None:
    here, there = machines
    promotions.promote(here, "champion", first := make(here, "1"), reason="r")
    where, root = files(url)
    where.pipe_file(f"{root}/{first}/parts/w.bin", b"2")
    with pytest.raises(CheckpointError, match="altered"):
        promotions.refresh(there)
    assert not (there / first).exists() and journal.standing(there) == {}


def test_what_is_removed_for_good_goes_everywhere(machines: tuple[Path, Path], url: str) -> None:
    here, there = machines
    first, second = make(here, "1"), make(here, "2")
    for version in (first, second):
        promotions.promote(here, "champion", version, reason="r")
        promotions.refresh(there)
    assert promotions.remove(here, first)
    promotions.refresh(there)
    where, root = files(url)
    assert not (there / first).exists() and not where.exists(f"{root}/{first}") and (there / second).exists()


def test_a_store_with_another_history_is_not_shared(machines: tuple[Path, Path], url: str, tmp_path: Path) -> None:
    promotions.promote(machines[0], "champion", make(machines[0], "1"), reason="r")
    own = tmp_path / "own"
    promotions.promote(own, "champion", make(own, "3"), reason="r")
    with pytest.raises(CheckpointError, match="another history"):
        promotions.share(own, url)
    assert not (own / shared.ORIGIN).exists()


def test_what_a_store_has_is_handed_on_when_it_is_shared(url: str, tmp_path: Path) -> None:
    own = tmp_path / "own"
    promotions.promote(own, "champion", first := make(own, "3"), reason="r")
    promotions.share(own, url)
    promotions.share(tmp_path / "other", url)
    assert versions.find([tmp_path / "other"], "champion").id == first


def test_a_place_that_nobody_can_read_is_said_with_the_setting(tmp_path: Path) -> None:
    for url in ("nope://bucket/x", "s3://bucket/x"):
        with pytest.raises(ConfigError, match="paths.versions"):
            promotions.share(tmp_path / "v", url)


def record(url: str, root: Path, times: int) -> None:
    promotions.share(root, url)
    version = make(root, root.name)
    for _ in range(times):
        promotions.promote(root, "champion", version, reason=root.name)


def test_two_who_record_again_and_again_lose_and_overwrite_nothing(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/shared"
    with ThreadPoolExecutor(2) as racing:
        list(racing.map(lambda name: record(url, tmp_path / name, 8), "ab"))
    promotions.share(tmp_path / "c", url)
    found = journal.read(tmp_path / "c")
    assert [p.number for p in found] == list(range(1, 17)) and [p.reason for p in found].count("a") == 8
