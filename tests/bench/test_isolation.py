"""What the border of a plugin's process costs."""

from __future__ import annotations

from dialog_rl.bench.isolation import INSIDE, ONE_BY_ONE, TOGETHER, bench_isolation, conversations, lines


def test_the_same_reward_is_timed_inside_and_confined() -> None:
    result = bench_isolation(dialogues=3, repeats=1)
    assert list(result["ways"]) == [INSIDE, TOGETHER, ONE_BY_ONE]
    assert all(way["seconds"] > 0 for way in result["ways"].values())
    assert "3 dialogues of 8 turns" in lines(result)[0] and len(lines(result)) == 4


def test_its_conversations_are_whole_and_different() -> None:
    made = conversations(4)
    assert len({episode.episode_id for episode in made}) == 4
    assert {len(episode.turns) for episode in made} == {8}
