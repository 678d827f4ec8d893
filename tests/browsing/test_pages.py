"""Pages of a log: newest first, each episode once, nothing read that was not asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from dialog_rl.browsing import pages
from dialog_rl.browsing.pages import Rated, asking, page
from dialog_rl.episode_log.log import EpisodeLog, Query
from tests.browsing.made import log, rated


def ids(found: pages.Page) -> list[str]:
    return [row.id for row in found.rows]


def test_pages_follow_each_other_from_the_newest_to_the_oldest(tmp_path: Path) -> None:
    with log(tmp_path / "log.db", 120) as there:
        seen: list[str] = []
        before, cursors = None, 0
        while cursors == 0 or before is not None:
            found = page(there, asking(Query()), before=before, most=50)
            seen, before, cursors = seen + ids(found), found.next, cursors + 1
        assert seen == [f"e{n}" for n in range(120, 0, -1)] and cursors == 3


def test_a_row_tells_what_was_wanted_and_how_it_went(tmp_path: Path) -> None:
    with log(tmp_path / "log.db", 2) as there:
        there.rate(rated("e1", 1.0))
        there.rate(rated("e1", -0.5, None))
        worse, better = page(there, asking(Query())).rows
        assert (better.goal, better.success, better.rating, better.versions) == ("cancel_order", True, 0.25, ("v1",))
        assert (worse.success, worse.rating, worse.turns, worse.stop) == (False, None, 2, "user_left")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (asking(Query(), success=True), ["e5", "e3", "e1"]), (asking(Query(), success=False), ["e4", "e2"]),
        (asking(Query(), rated=Rated.GOOD), ["e2"]), (asking(Query(), rated=Rated.BAD), ["e3"]),
        (asking(Query(), rated=Rated.ANY), ["e3", "e2"]), (asking(Query(), rated=Rated.NONE), ["e5", "e4", "e1"]),
        (asking(Query(policy="v2")), ["e4", "e2"]), (asking(Query(text="CUSTOMER-4")), ["e4"]),
        (asking(Query(text="100%_")), []), (asking(Query(policy="v2"), success=True), []),
    ],
)  # fmt: skip
def test_filters_leave_what_fits(tmp_path: Path, wanted: pages.Wanted, found: list[str]) -> None:
    with log(tmp_path / "log.db") as there:
        there.rate(rated("e2", 1.0))
        there.rate(rated("e3", -1.0))
        assert ids(page(there, wanted)) == found


def test_what_is_rare_is_looked_for_a_bit_at_a_time(tmp_path: Path) -> None:
    with log(tmp_path / "log.db", 6) as there:
        first = page(there, asking(Query(), success=True), look=3)
        assert (ids(first), first.looked) == (["e5"], 3) and first.next is not None
        assert ids(page(there, asking(Query(), success=True), before=first.next, look=9)) == ["e3", "e1"]


def test_a_page_reads_no_more_of_the_log_than_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with log(tmp_path / "log.db", 400) as there:
        read: list[str] = []
        row_of = pages.row_of
        monkeypatch.setattr(pages, "row_of", lambda logged, ratings: read.append("") or row_of(logged, ratings))
        assert len(page(there, asking(Query()), most=20).rows) == 20 == len(read)


def test_an_empty_log_is_one_empty_page(tmp_path: Path) -> None:
    with EpisodeLog.open(tmp_path / "log.db") as there:
        assert page(there, asking(Query())) == pages.Page(rows=(), next=None, looked=0)
