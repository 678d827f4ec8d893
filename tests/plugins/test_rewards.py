"""The rewards that come with the program."""

from dataclasses import replace

import pytest

from dialog_rl.episode import Change, Message, Role, StopReason
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


ADDRESS = "orders/7/address"
GOAL = {"success": {"db": {"patch": [{"path": ADDRESS, "after": "here"}]}, "communicate": [{"any_of": ["54.04"]}]}}


def parcel(*, after: str | None = "here", says="It costs 54.04.", extra=(), **more):
    journal = () if after is None else (Change(path=ADDRESS, before="there", after=after),)
    return make_episode(("move it", says), scenario=GOAL, journal=journal + tuple(extra), **more)


def test_success_pays_once_state_and_words_are_right() -> None:
    assert value("task_success", parcel()) == 1.0
    assert value("task_success", parcel(), success=2.0) == 2.0
    for wrong in (
        parcel(after=None),
        parcel(after="elsewhere"),
        parcel(says="Done."),
        parcel(stop=StopReason.MAX_TURNS),
    ):
        assert value("task_success", wrong) == 0.0


def test_partial_credit_is_earned_by_what_is_right_and_lost_by_what_is_wrong() -> None:
    other = Change(path="orders/8/address", before="a", after="b")
    assert value("task_success", parcel(says="Done."), partial=0.4) == pytest.approx(0.2)
    assert value("task_success", parcel(after=None), partial=0.4) == pytest.approx(0.2)
    assert value("task_success", parcel(says="Done.", extra=[other]), partial=0.4) == 0.0
    assert value("task_success", parcel(after=None, says="Done."), partial=0.4) == 0.0
    assert value("task_success", parcel(says="Done.", stop=StopReason.MAX_TURNS), partial=0.4) == 0.0


def test_partial_credit_must_stay_below_success() -> None:
    with pytest.raises(ValueError, match="partial"):
        registry().rewards["task_success"].make({"partial": 1.0})


def test_each_violation_costs_and_the_cost_is_bounded() -> None:
    def lookups(count: int):
        step = replace(
            called("find", '{"name": "Ada"}'),
            result=Message(role=Role.TOOL, text='{"name": "Ada"}', facts={"kind": "read", "subject": "c1"}),
        )
        rules = {"success": {"policy": [{"id": "identify_before_reading"}]}}
        return make_episode(("hi", *[step] * count, "ok"), scenario=rules)

    assert [value("policy_rules", lookups(n)) for n in (0, 1, 2, 3)] == [0.0, -0.5, -1.0, -1.0]


def fluency_with(*likelihoods: float | None) -> float | None:
    """A sound episode's fluency where its steps are found so likely."""
    rewards = build_rewards(
        registry(), [RewardSpec(use="fluency")], resources={"reference": lambda episodes: [list(likelihoods)]}
    )
    steps = [f"Sentence number {n} says something new." for n in range(len(likelihoods))]
    (scored,) = score_episodes(rewards, [make_episode(*[("go on", step) for step in steps])])
    return scored.components["fluency"].value


def test_what_the_reference_finds_unlikely_is_a_fault_from_one_to_four_nats_a_token() -> None:
    assert fluency_with(-0.2, -1.0) == 0.0
    assert fluency_with(-4.0, -9.0) == pytest.approx(-1 / 4)
    assert fluency_with(-0.5, -2.5) == pytest.approx(-1 / 4 * (0 + 0.5) / 2)


def test_a_step_of_unknown_likelihood_is_no_fault_and_no_merit() -> None:
    assert fluency_with(-4.0, None) == fluency_with(-4.0)
    assert fluency_with(None, None) == 0.0
