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


def champions(root: Path, *contents: str) -> list[str]:
    """Versions that were champion one after another."""
    made = [make(root, content) for content in contents]
    for version in made:
        promotions.promote(root, "champion", version, reason="r")
    return made


def test_a_rollback_goes_to_the_version_before_and_a_second_one_further_back(tmp_path: Path):
    first, second, third = champions(tmp_path, "1", "2", "3")
    told = promotions.rollback(tmp_path, "champion", reason="repeats itself", evidence={"duplicates": 0.4}, by="chat")
    assert (told.event, told.version, told.reason) == (journal.Event.ROLLED_BACK, second, "repeats itself")
    assert promotions.previous(tmp_path, "champion") == first
    promotions.rollback(tmp_path, "champion", reason="again")
    assert journal.standing(tmp_path) == {"champion": first} and third not in journal.standing(tmp_path).values()


def test_a_rollback_passes_over_what_was_altered_or_vetoed(tmp_path: Path):
    first, second, third, _ = champions(tmp_path, "1", "2", "3", "4")
    (tmp_path / third / "w.bin").write_text("5")
    promotions.veto(tmp_path, second, reason="rude")
    assert promotions.rollback(tmp_path, "champion", reason="r").version == first


def test_a_rollback_from_the_first_version_leaves_the_shipped_one(tmp_path: Path):
    shipped = tmp_path / "shipped"
    (shipped / "champion").mkdir(parents=True)
    (shipped / "champion" / "w.bin").write_text("shipped")
    versions.seal(shipped / "champion")
    champions(tmp_path / "mine", "1")
    promotions.rollback(tmp_path / "mine", "champion", reason="r")
    assert versions.find([tmp_path / "mine", shipped], "champion").path == shipped / "champion"
    with pytest.raises(CheckpointError, match="nothing to roll back"):
        promotions.rollback(tmp_path / "mine", "champion", reason="r")


def test_a_vetoed_version_is_not_promoted_until_the_veto_is_lifted(tmp_path: Path):
    version = make(tmp_path, "1")
    promotions.veto(tmp_path, version, reason="rude", by="ann")
    assert journal.vetoed(tmp_path) == {version: "rude"}
    with pytest.raises(CheckpointError, match="vetoed: rude"):
        promotions.promote(tmp_path, "champion", version, reason="r")
    promotions.allow(tmp_path, version, reason="it was a joke", by="ann")
    promotions.promote(tmp_path, "champion", version, reason="r")
    assert journal.standing(tmp_path) == {"champion": version} and journal.vetoed(tmp_path) == {}


def test_a_veto_of_the_champion_rolls_it_back(tmp_path: Path):
    first, second = champions(tmp_path, "1", "2")
    told = promotions.veto(tmp_path, second, reason="rude", by="ann")
    assert [line.event for line in told] == [journal.Event.VETOED, journal.Event.ROLLED_BACK]
    assert journal.standing(tmp_path) == {"champion": first}


def test_a_rejection_is_recorded_and_moves_nothing(tmp_path: Path):
    champion, candidate = make(tmp_path, "1"), make(tmp_path, "2")
    promotions.promote(tmp_path, "champion", champion, reason="r")
    promotions.submit(tmp_path, candidate, by="learn")
    promotions.reject(tmp_path, candidate, reason="worse", evidence={"pairs": 40}, by="gate")
    assert journal.standing(tmp_path) == {"champion": champion, "candidate": candidate}
    last = journal.read(tmp_path)[-1]
    assert (last.event, last.version, last.evidence) == (journal.Event.REJECTED, candidate, {"pairs": 40})


def test_gates_are_counted_from_the_moment_the_anchor_was_last_moved(tmp_path: Path):
    first, second = make(tmp_path, "1"), make(tmp_path, "2")
    assert [promotions.submit(tmp_path, v) for v in (first, second, first)] == [1, 2, 3]
    promotions.reject(tmp_path, first, reason="worse")
    assert promotions.submit(tmp_path, second) == 4
    promotions.promote(tmp_path, "anchor", first, reason="a new beginning")
    assert promotions.submit(tmp_path, second) == 1


def test_a_line_of_a_plain_promotion_is_written_as_it_always_was(tmp_path: Path):
    champions(tmp_path, "1")
    assert b'"event"' not in (tmp_path / journal.JOURNAL).read_bytes()


def test_a_rejected_version_may_be_cleared_away(tmp_path: Path):
    for number in range(3):
        make(tmp_path, str(number))
    oldest, *_, newest = (manifest.id for manifest in versions.list_versions(tmp_path))
    promotions.reject(tmp_path, oldest, reason="worse")
    assert oldest in promotions.unneeded(tmp_path, keep_last=1)
    promotions.clear(tmp_path, keep_last=1)
    assert [manifest.id for manifest in versions.list_versions(tmp_path)] == [newest]
