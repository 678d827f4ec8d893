"""Two ways that one conversation went, side by side."""

from __future__ import annotations

from dialog_rl.browsing.comparison import Replay
from tests.browsing.made import TROUBLED, episode, said, turn


def test_turns_stand_side_by_side_and_the_first_that_differs_is_known() -> None:
    other = (TROUBLED[0], turn("what?", said("Say your name."), act="confused"))
    done = Replay(logged=episode(1, *TROUBLED), again=episode(1, *other, done=False), spoken_by="v2")
    assert [turn.same for turn in done.turns] == [True, False, False, False] and done.first_difference == 1
    assert done.turns[1].again[-1].text == "Say your name." and done.turns[2].again == ()
    assert done.verdicts[0][1].startswith("success: yes") and done.verdicts[1][1].startswith("success: no")


def test_other_ids_for_the_same_words_are_no_difference_in_words() -> None:
    again = episode(1, turn("cancel order 7", said("Done.", version="v2")), turn("thanks"))
    done = Replay(logged=episode(), again=again, spoken_by="v2")
    assert done.first_difference is None and not done.identical


def test_the_same_again_is_identical() -> None:
    assert Replay(logged=episode(), again=episode(), spoken_by="v1").identical
