"""Rewards beside a running conversation: the last turn's opinions, and loose files that are edited meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dialog_rl.episode import Episode
from dialog_rl.plugins.isolation import Confinement
from dialog_rl.plugins.live import LiveRewards
from dialog_rl.plugins.loading import Plugins, load_plugins
from dialog_rl.scoring import RewardSpec
from dialog_rl.testing.episodes import make_episode

CODE = """
from dialog_rl import hookimpl
from dialog_rl.scoring import Score


class Mine:
    def score(self, episodes):
        return [Score(value={value}, reason="because") for e in episodes]


@hookimpl
def register_rewards(register):
    register("{name}", Mine)
"""
TALK = make_episode(("hello", "Good day, dear customer."), ("and?", "Yes."), episode_id="talk")
QUICK = Confinement(deadline=2.0)


def write(path: Path, value: str = "len(e.turns)", name: str = "mine") -> Path:
    path.write_text(CODE.format(value=value, name=name))
    return path


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Callable[..., LiveRewards]]:
    opened: list[Plugins | LiveRewards] = []

    def make(*files: Path, specs: tuple[RewardSpec, ...] = (), **more) -> LiveRewards:
        plugins = load_plugins(files=files, confinement=QUICK)
        rewards = LiveRewards(plugins, files, specs, confinement=QUICK, **more)
        opened.extend((plugins, rewards))
        return rewards

    yield make
    for one in opened:
        one.close()


def said(rewards: LiveRewards, episode: Episode = TALK) -> dict[str, str]:
    return {opinion.reward: str(opinion) for opinion in rewards.of_last_turn(episode)}


def test_the_last_turn_is_paid_what_it_added(live, tmp_path: Path) -> None:
    rewards = live(write(tmp_path / "mine.py", "len(e.turns) ** 2"))
    assert said(rewards) == {"mine": "mine: +3 for this turn, +4 so far (because)"}


def test_configured_rewards_and_those_of_files_speak_with_their_options(live, tmp_path: Path) -> None:
    specs = (RewardSpec(use="turn_cost", options={"turn": 0.5}), RewardSpec(use="task_success"))
    rewards = live(write(tmp_path / "mine.py"), specs=specs)
    assert list(said(rewards)) == ["turn_cost", "task_success", "mine"]
    assert said(rewards)["turn_cost"].startswith("turn_cost: -0.5 for this turn, -1 so far")


def test_what_is_lent_reaches_configured_rewards_and_what_is_not_is_told(live) -> None:
    needy = (RewardSpec(use="human_rating"),)
    assert live(specs=needy).remarks[0].startswith("left out: rewards 'human_rating' needs 'ratings'")
    rewards = live(specs=needy, lent={"ratings": lambda episodes: [()] * len(episodes)})
    assert said(rewards) == {"human_rating": "human_rating: nothing to say (nobody rated it)"}


def test_a_file_that_has_changed_is_taken_up_before_the_next_turn(live, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", "1")
    rewards = live(path)
    assert rewards.refresh() == []
    write(path, "2")
    assert rewards.refresh() == [f"{path}: taken up anew: mine"]
    assert "+2 so far" in said(rewards)["mine"] and rewards.refresh() == []


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("def (", "SyntaxError"),
        ("import nowhere_to_be_found", "nowhere_to_be_found"),
        ("raise SystemExit(3)", "SystemExit"),
        ("import os; os._exit(3)", "exit code 3"),
        (CODE.format(value="1", name="fluency"), "registered by another plugin"),
        ("x = 1", "no hook"),
    ],
    ids=["syntax", "import", "leaves", "dies", "takes a name", "no hook"],
)
def test_a_broken_file_is_named_once_and_the_old_one_goes_on(live, tmp_path: Path, broken: str, why: str) -> None:
    path = write(tmp_path / "mine.py", "1")
    rewards = live(path)
    path.write_text(broken)
    (remark,) = rewards.refresh()
    assert "mine.py" in remark and why in remark and remark.endswith("what was loaded before goes on")
    assert rewards.refresh() == [] and "+1 so far" in said(rewards)["mine"]
    assert why in rewards.reload()[0]
    write(path, "5")
    assert "taken up anew" in rewards.refresh()[0] and "+5 so far" in said(rewards)["mine"]


def test_a_file_that_is_gone_is_named_and_the_old_one_goes_on(live, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", "1")
    rewards = live(path)
    path.unlink()
    assert "there is no such file" in rewards.refresh()[0] and rewards.refresh() == []
    assert "+1 so far" in said(rewards)["mine"]


def test_a_reward_that_fails_says_so_and_the_others_speak(live, tmp_path: Path) -> None:
    rewards = live(write(tmp_path / "mine.py", "1 / 0"), specs=(RewardSpec(use="turn_cost"),))
    opinions = said(rewards)
    assert "mine: failed" in opinions["mine"] and "ZeroDivisionError" in opinions["mine"]
    assert "so far" in opinions["turn_cost"]


def test_reload_takes_a_quarantined_file_up_again(live, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", "1 / 0")
    rewards = live(path)
    for _ in range(6):
        said(rewards)
    assert "quarantined" in said(rewards)["mine"]
    write(path, "1")
    rewards.reload()
    assert "+1 so far" in said(rewards)["mine"]


def test_only_the_worker_in_use_is_left_running(live, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", "1")
    rewards = live(path)
    write(path, "2")
    rewards.refresh()
    (first,) = rewards._loose[0].plugins.workers.values()
    write(path, "3")
    rewards.refresh()
    (second,) = rewards._loose[0].plugins.workers.values()
    assert first.pid is None and second.pid is not None
    rewards.close()
    assert second.pid is None


def test_two_files_can_be_edited_and_one_may_not_take_the_others_name(live, tmp_path: Path) -> None:
    one, two = write(tmp_path / "one.py", "1", "one"), write(tmp_path / "two.py", "2", "two")
    rewards = live(one, two)
    write(two, "3", "one")
    assert "registered by another plugin" in rewards.refresh()[0]
    assert list(said(rewards)) == ["one", "two"]


def test_what_changes_between_loading_and_the_first_turn_is_taken_up_too(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", "1")
    with load_plugins(files=[path], confinement=QUICK) as plugins:
        write(path, "2")  # while the model was being loaded
        rewards = LiveRewards(plugins, [path], confinement=QUICK)
        assert "taken up anew" in rewards.refresh()[0] and "+2 so far" in said(rewards)["mine"]
        rewards.close()
