"""Two answers side by side: each key is a vote."""

from __future__ import annotations

import pytest

from dialog_rl.chat.pairs import Pair, Vote
from dialog_rl.tui.house import House
from dialog_rl.tui.pair import PairScreen
from dialog_rl.tui.preferences import Preferences
from tests.browsing.made import said, turn
from tests.tui.desk import Pressed, run

KEYS = {
    Vote.FIRST: ("left", "a", "1"), Vote.SECOND: ("right", "b", "2"), Vote.TIE: ("equals_sign", "t"),
    Vote.BOTH_BAD: ("x",), None: ("escape",),
}  # fmt: skip


@pytest.mark.parametrize("size", [(50, 12), (120, 40)], ids=str)
def test_each_key_is_a_vote(size: tuple[int, int]) -> None:
    pair = Pair(number=0, said=turn("hi", said("one")), other=turn("hi", said("two")), said_is_first=True)

    async def scene() -> None:
        app = House(Preferences())
        async with app.run_test(size=size) as pilot:
            there, votes = Pressed(pilot), []
            for key in (key for keys in KEYS.values() for key in keys):
                app.push_screen(PairScreen(pair), votes.append)
                await there.until(lambda: isinstance(app.screen, PairScreen))
                await there.press(key)
                await there.until(lambda: not isinstance(app.screen, PairScreen))
            assert votes == [vote for vote, keys in KEYS.items() for _ in keys]

    run(scene)
