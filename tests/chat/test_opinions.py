"""What somebody thinks of a conversation: every change is an event, and every change can be taken back."""

from __future__ import annotations

import pytest

from dialog_rl.chat.opinions import Opinions, likert
from dialog_rl.episode import Rating
from dialog_rl.errors import EpisodeLogError


class Kept:
    def __init__(self) -> None:
        self.ratings: list[Rating] = []
        self.ids: list[str] = []
        self.full = False

    def rate(self, rating: Rating, *, event_id: str = "") -> int:
        if self.full:
            raise EpisodeLogError("disk full")
        self.ratings.append(rating)
        self.ids.append(event_id)
        return len(self.ratings)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def opinions(kept: Kept) -> Opinions:
    return Opinions(kept, "c1", "ann", clock=lambda: 5.0)


def test_what_is_not_named_stays(kept: Kept, opinions: Opinions) -> None:
    opinions.change(2, value=-1.0)
    opinions.change(2, tags=("rude",))
    assert (
        kept.ratings[-1]
        == Rating(episode_id="c1", rater="ann", turn=2, value=-1.0, tags=("rude",), rated_at=5.0)
        == opinions.of(2)
    )


def test_every_change_has_an_id_of_its_own_for_its_receipt(kept: Kept, opinions: Opinions) -> None:
    given = [opinions.change(0, value=1.0), opinions.change(0, value=-1.0)]
    assert [g.event_id for g in given] == kept.ids and len({*kept.ids}) == 2
    assert opinions.given[0] is given[1]


def test_undo_goes_back_step_by_step_and_ends_with_a_withdrawal(kept: Kept, opinions: Opinions) -> None:
    opinions.change(0, value=1.0)
    opinions.change(1, value=1.0)
    opinions.change(1, value=-1.0, comment="no")
    undone = [opinions.undo() for _ in range(4)]
    assert [(u.rating.turn, u.rating.value) if u else None for u in undone] == [(1, 1.0), (1, None), (0, None), None]
    assert not opinions.given and kept.ratings[-1].says_nothing


def test_a_change_that_was_not_logged_does_not_hold(kept: Kept, opinions: Opinions) -> None:
    opinions.change(0, value=1.0)
    kept.full = True
    with pytest.raises(EpisodeLogError):
        opinions.change(0, value=-1.0)
    with pytest.raises(EpisodeLogError):
        opinions.undo()
    kept.full = False
    assert opinions.of(0).value == 1.0
    undone = opinions.undo()
    assert undone is not None and undone.rating.value is None


def test_what_somebody_else_thought_is_not_ones_own(opinions: Opinions) -> None:
    opinions.remember(
        (Rating(episode_id="c1", rater="bob", turn=0, value=1.0), Rating(episode_id="c1", rater="ann", value=0.5))
    )
    assert [*opinions.given] == [None] and opinions.of(None).value == 0.5


def test_stars_go_from_minus_one_to_one() -> None:
    assert [likert(n) for n in range(1, 6)] == [-1, -0.5, 0, 0.5, 1]
