"""Aliases mean what the journal says last, and what is needed is never cleared away."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from dialog_rl.errors import CheckpointError
from dialog_rl.lm import journal, promotions, versions


def make(root: Path, content: str) -> str:
    def fill(folder: Path) -> None:
        (folder / "w.bin").write_text(content)

    return versions.publish(root, fill).id


def test_an_alias_means_the_version_promoted_last(tmp_path: Path):
    first, second = make(tmp_path, "1"), make(tmp_path, "2")
    promotions.promote(tmp_path, "champion", first, reason="first")
    promotions.promote(tmp_path, "anchor", first, reason="first")
    promotions.promote(tmp_path, "champion", second, reason="better", evidence={"pairs": 120, "p": 0.01}, by="gate")
    assert journal.standing(tmp_path) == {"champion": second, "anchor": first}
    assert versions.find([tmp_path], "champion").id == second
    assert promotions.previous(tmp_path, "champion") == first and promotions.previous(tmp_path, "anchor") == ""
    last = journal.read(tmp_path)[-1]
    assert (last.number, last.evidence, last.by) == (3, {"pairs": 120, "p": 0.01}, "gate")


def test_a_rollback_of_a_rollback_goes_forward_again(tmp_path: Path):
    first, second = make(tmp_path, "1"), make(tmp_path, "2")
    for version in (first, second, first):
        promotions.promote(tmp_path, "champion", version, reason="r")
    assert promotions.previous(tmp_path, "champion") == second


def test_a_withdrawn_alias_means_nothing(tmp_path: Path):
    promotions.promote(tmp_path, "candidate", make(tmp_path, "1"), reason="r")
    promotions.withdraw(tmp_path, "candidate", reason="rejected")
    assert journal.standing(tmp_path) == {}
    with pytest.raises(CheckpointError, match="none in"):
        versions.find([tmp_path], "candidate")


def test_an_own_alias_comes_before_a_shipped_version_of_that_name(tmp_path: Path):
    shipped = tmp_path / "shipped"
    (shipped / "champion").mkdir(parents=True)
    (shipped / "champion" / "w.bin").write_text("shipped")
    versions.seal(shipped / "champion")
    mine = tmp_path / "mine"
    assert versions.find([mine, shipped], "champion").path == shipped / "champion"
    own = make(mine, "own")
    promotions.promote(mine, "champion", own, reason="r")
    assert versions.find([mine, shipped], "champion").id == own


def test_what_does_not_verify_is_not_promoted(tmp_path: Path):
    version = make(tmp_path, "1")
    (tmp_path / version / "w.bin").write_text("2")
    for wrong in (version, "0" * 16):
        with pytest.raises(CheckpointError):
            promotions.promote(tmp_path, "champion", wrong, reason="r")
    with pytest.raises(CheckpointError, match="not an alias"):
        promotions.promote(tmp_path, "../champion", version, reason="r")
    assert journal.read(tmp_path) == ()


def test_an_alias_of_a_version_that_is_gone_is_an_error_and_not_another_version(tmp_path: Path):
    version = make(tmp_path, "1")
    promotions.promote(tmp_path, "champion", version, reason="r")
    (tmp_path / version / versions.MANIFEST).unlink()
    with pytest.raises(CheckpointError, match="not a version"):
        versions.find([tmp_path], "champion")


def test_a_torn_last_line_is_as_if_it_had_never_been(tmp_path: Path):
    first, second = make(tmp_path, "1"), make(tmp_path, "2")
    promotions.promote(tmp_path, "champion", first, reason="r")
    whole = (tmp_path / journal.JOURNAL).read_bytes()
    promotions.promote(tmp_path, "champion", second, reason="r")
    both = (tmp_path / journal.JOURNAL).read_bytes()
    for cut in range(len(whole), len(both)):
        (tmp_path / journal.JOURNAL).write_bytes(both[:cut])
        assert journal.standing(tmp_path) == {"champion": first}
    promotions.promote(tmp_path, "champion", second, reason="again")
    assert [p.reason for p in journal.read(tmp_path)] == ["r", "again"]


def test_an_altered_or_lost_line_is_refused_by_number(tmp_path: Path):
    for content in "abc":
        promotions.promote(tmp_path, "champion", make(tmp_path, content), reason="r")
    path = tmp_path / journal.JOURNAL
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for altered in (whole.replace(b'"reason": "r"', b'"reason": "s"', 1), lines[1] + lines[2]):
        path.write_bytes(altered)
        with pytest.raises(CheckpointError, match="line 1 is altered or missing"):
            journal.standing(tmp_path)


def test_clearing_leaves_whatever_is_named_pinned_or_recent(tmp_path: Path):
    made = [make(tmp_path, str(n)) for n in range(8)]
    order = [manifest.id for manifest in versions.list_versions(tmp_path)]
    assert set(order) == set(made)
    anchor, champion, pin, kept, *rest = order
    promotions.promote(tmp_path, "anchor", anchor, reason="r")
    promotions.promote(tmp_path, "champion", champion, reason="r")
    with promotions.pinned(versions.find([tmp_path], pin)):
        removed = promotions.clear(tmp_path, keep=[kept], keep_last=1)
    assert set(removed) == set(rest[:-1])
    assert {m.id for m in versions.list_versions(tmp_path)} == {anchor, champion, pin, kept, rest[-1]}


def test_the_versions_a_rollback_goes_to_are_left(tmp_path: Path):
    made = [make(tmp_path, str(n)) for n in range(6)]
    for version in made:
        promotions.promote(tmp_path, "champion", version, reason="r")
    promotions.clear(tmp_path, keep_last=2)
    assert set(made[-2:]) <= {m.id for m in versions.list_versions(tmp_path)}
    assert len(versions.list_versions(tmp_path)) <= 4


def _hold(root: Path, version: str, ready: multiprocessing.SimpleQueue[bool]) -> None:
    with promotions.pinned(versions.find([root], version)):
        ready.put(True)
        multiprocessing.Event().wait()


def test_a_pin_ends_with_the_process_that_held_it(tmp_path: Path):
    version = make(tmp_path, "1")
    context = multiprocessing.get_context("fork")
    ready = context.SimpleQueue()
    child = context.Process(target=_hold, args=(tmp_path, version, ready))
    child.start()
    ready.get()
    assert promotions.clear(tmp_path, keep_last=0) == ()
    child.kill()
    child.join()
    assert promotions.clear(tmp_path, keep_last=0) == (version,)


def test_a_version_cleared_away_before_the_pin_is_a_typed_error(tmp_path: Path):
    found = versions.find([tmp_path], make(tmp_path, "1"))
    promotions.clear(tmp_path, keep_last=0)
    with pytest.raises(CheckpointError, match="look the name up again"), promotions.pinned(found):
        pass
