"""The rewards that come with the program."""

import pytest

from dialog_rl.errors import ConfigError
from dialog_rl.plugins.loading import Plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.scoring import RewardSpec, score_episodes
from dialog_rl.testing.episodes import called, garbled, make_episode


def registry():
    import dialog_rl_rewards

    plugins = Plugins()
    plugins.add("rewards", dialog_rl_rewards)
    return plugins.registry


def value(use: str, episode, **options) -> float:
    (scored,) = score_episodes(build_rewards(registry(), [RewardSpec(use=use, options=options)]), [episode])
    return scored.reward


def test_every_turn_call_and_error_has_its_price() -> None:
    episode = make_episode(
        ("hi", called("find", "nothing", error=True), called("find"), garbled('find {"'), "found"), ("bye", "bye")
    )
    assert value("turn_cost", episode, turn=0.1, call=0.01, error=0.5) == pytest.approx(-0.2 - 0.02 - 1.0)


def test_fluent_varied_replies_cost_nothing() -> None:
    episode = make_episode(("where is it?", "It is on its way."), ("thanks", "You are welcome. Bye!"))
    assert value("fluency", episode) == 0.0


@pytest.mark.parametrize(
    "replies",
    [("Yes. Yes yes yes yes yes yes.", "Well."), ("Please wait.", "Please wait."), ('{"order": 7}', "So."),
     ("<|call|>find", "So."), ("it is [b", "So."), ("的的的的的的的的", "好。"), ("", "So.")],
    ids=repr,
)  # fmt: skip
def test_repetition_and_broken_markup_cost_something(replies: tuple[str, str]) -> None:
    episode = make_episode(("hi", replies[0]), ("and?", replies[1]))
    assert value("fluency", episode) < -0.05


def test_an_unlikely_reply_costs_more_the_less_likely_it_is() -> None:
    episode = make_episode(("hi", "Hello there."))

    def at(nats: float) -> float:
        spec = RewardSpec(use="fluency")
        built = build_rewards(registry(), [spec], resources={"reference": lambda episodes: [[nats] for _ in episodes]})
        return score_episodes(built, [episode])[0].reward

    assert [at(-0.5), at(-2.5), at(-9.0)] == pytest.approx([0.0, -0.125, -0.25])


def test_fluency_abstains_where_the_agent_never_acted() -> None:
    rewards = build_rewards(registry(), [RewardSpec(use="fluency")])
    assert score_episodes(rewards, [make_episode(("bye",))]) == []


def test_two_instances_of_one_reward_have_names_and_options_of_their_own() -> None:
    specs = [
        RewardSpec(use="turn_cost", name="long", options={"turn": 1.0}),
        RewardSpec(use="turn_cost", name="calls", weight=2.0, options={"turn": 0.0, "call": 1.0}),
    ]
    episode = make_episode(("hi", called("find"), "hello"))
    (scored,) = score_episodes(build_rewards(registry(), specs), [episode])
    assert {name: score.value for name, score in scored.components.items()} == {"long": -1.0, "calls": -1.0}
    assert scored.reward == -3.0


def test_two_instances_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two rewards are named 'turn_cost'"):
        build_rewards(registry(), [RewardSpec(use="turn_cost"), RewardSpec(use="turn_cost")])
