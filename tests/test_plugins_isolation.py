"""Confined plugins: what crosses the pipe, what does not, and what happens after a failure."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from dialog_rl.episode import Message, Rating, Role
from dialog_rl.errors import ConfigError, PluginError, RewardError
from dialog_rl.plugins import wire
from dialog_rl.plugins.isolation import Call, Confinement
from dialog_rl.plugins.loading import Plugins, load_plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.scoring import RewardSpec, Score, score_episodes
from dialog_rl.testing.episodes import called, make_episode

HEAD = """
import os, sys
from dialog_rl import hookimpl
from dialog_rl.conversation import UserReply
from dialog_rl.episode import Message, Role
from dialog_rl.scoring import Score
"""
EPISODE = make_episode(("hello \ud800\u2028 你好", called("find", "{}", order="#7"), "hi"), episode_id="e0")


def load(folder: Path, body: str, **more) -> Plugins:
    file = folder / "stranger.py"
    file.write_text(HEAD + body)
    return load_plugins(files=[file], found=[], **more)


REWARD = """
class R:
    def __init__(self, *, scale=1.0): self.scale = scale
    def score(self, episodes):
        {body}
@hookimpl
def register_rewards(register): register("r", R, bounds=(0, 5), description="counts")
"""


def rewards(plugins: Plugins, **options):
    return build_rewards(plugins.registry, [RewardSpec(use="r", options=options)])


def test_a_confined_reward_scores_as_it_would_inside(tmp_path: Path) -> None:
    body = "return [Score(value=self.scale, per_step=(None, 2.0), reason=e.turns[0].user.text) for e in episodes]"
    with load(tmp_path, REWARD.format(body=body)) as plugins:
        (scored,) = score_episodes(rewards(plugins, scale=3), [EPISODE])
    expected = Score(value=3.0, per_step=(None, 2.0), reason=EPISODE.turns[0].user.text)
    assert scored.components["r"] == expected
    assert scored.step_rewards == (0.0, 2.0)


def test_bounds_and_description_come_from_the_plugin(tmp_path: Path) -> None:
    with load(tmp_path, REWARD.format(body="return [6.0 for e in episodes]")) as plugins:
        assert plugins.registry.rewards["r"].description == "counts"
        with pytest.raises(RewardError, match=r"6 is outside \[0, 5\]"):
            score_episodes(rewards(plugins), [EPISODE])


def test_a_wrong_option_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    with load(tmp_path, REWARD.format(body="return []")) as plugins:
        with pytest.raises(ConfigError, match="did you mean 'scale'"):
            rewards(plugins, scal=3)


def test_the_plugin_runs_in_another_process_and_cannot_touch_the_programs_facts(tmp_path: Path) -> None:
    body = "object.__setattr__(episodes[0], 'pack', 'hacked'); return [Score(value=0.0, reason=str(os.getpid()))]"
    with load(tmp_path, REWARD.format(body=body)) as plugins:
        (scored,) = score_episodes(rewards(plugins), [EPISODE])
    assert scored.components["r"].reason != str(os.getpid())
    assert EPISODE.pack == "retail"


def test_a_plugin_sees_no_secret_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    body = "return [Score(value=float('OPENAI_API_KEY' in os.environ or 'sk-secret' in str(os.environ)))]"
    with load(tmp_path, REWARD.format(body=body)) as plugins:
        (scored,) = score_episodes(rewards(plugins), [EPISODE])
    assert scored.reward == 0.0


def test_what_it_prints_is_captured_and_made_printable(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    calls: list[Call] = []
    body = "print('\\x1b[2Jcleared'); os.write(1, b'raw\\x9b'); return [0.0]"
    with load(tmp_path, REWARD.format(body=body), trace=calls.append) as plugins:
        score_episodes(rewards(plugins), [EPISODE])
    assert "\\x1b[2Jcleared" in calls[-1].output
    assert "\x1b" not in caplog.text
    assert "cleared" in caplog.text
    assert capfd.readouterr().out == ""


def test_after_five_failures_in_a_row_it_is_quarantined_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with load(tmp_path, REWARD.format(body="raise RuntimeError('boom')")) as plugins:
        made = rewards(plugins)
        for _ in range(5):
            with pytest.raises(RewardError, match="boom"):
                score_episodes(made, [EPISODE])
        with pytest.raises(RewardError, match=r"quarantined: 5 failures in a row.*boom"):
            score_episodes(made, [EPISODE])
        assert plugins.workers["stranger"].pid is None
    assert "quarantined" in caplog.text


def test_a_success_in_between_starts_the_count_again(tmp_path: Path) -> None:
    body = "\n        if episodes[0].seed: raise RuntimeError('boom')\n        return [1.0]"
    with load(tmp_path, REWARD.format(body=body)) as plugins:
        made = rewards(plugins)
        for seed in (1, 1, 1, 1, 0, 1, 1, 1, 1, 0):
            episode = make_episode(("hello", "hi"), seed=seed)
            if seed:
                with pytest.raises(RewardError, match="boom"):
                    score_episodes(made, [episode])
            else:
                assert score_episodes(made, [episode])[0].reward == 1.0


def test_a_worker_that_died_is_started_again_with_its_objects(tmp_path: Path) -> None:
    body = "\n        if episodes[0].seed: os._exit(3)\n        return [self.scale]"
    with load(tmp_path, REWARD.format(body=body)) as plugins:
        made = rewards(plugins, scale=4)
        with pytest.raises(RewardError, match="exit code 3"):
            score_episodes(made, [make_episode(("hello", "hi"), seed=1)])
        assert score_episodes(made, [EPISODE])[0].reward == 4.0


def test_a_reply_beyond_the_limit_is_cut_off(tmp_path: Path) -> None:
    body = "return ['x' * 3_000_000]"
    with load(tmp_path, REWARD.format(body=body.replace("['x' * 3_000_000]", "[0.0] * 500_000"))) as plugins:
        with pytest.raises(RewardError, match="longer than 1048576 bytes"):
            score_episodes(rewards(plugins), [EPISODE])


def test_no_process_is_left_behind(tmp_path: Path) -> None:
    body = "os.system('sleep 300 &'); return [float(os.getpid() > 0)]"
    plugins = load(tmp_path, REWARD.format(body=body))
    score_episodes(rewards(plugins), [EPISODE])
    group = plugins.workers["stranger"].pid
    assert group is not None
    os.killpg(group, 0)
    plugins.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("the plugin's children are still alive")


def test_an_algorithm_of_a_stranger_must_be_trusted_first(tmp_path: Path) -> None:
    body = "@hookimpl\ndef register_algorithms(register): register('a', dict)\n"
    with load(tmp_path, body) as plugins:
        assert "dialog-rl plugins trust stranger" in plugins.problems[0].message
        with pytest.raises(PluginError, match="must run inside"):
            plugins.registry.algorithms["a"].make({})
    with load(tmp_path, body, trusted=["stranger"]) as plugins:
        assert plugins.registry.algorithms["a"].make({}) == {}


CUSTOMER = """
class U:
    def start(self, scenario, seed):
        self.scenario, self.seed, self.n = scenario, seed, 0
        return self
    def open(self):
        return UserReply(message=Message(role=Role.USER, text=f"{self.scenario['id']} {self.seed}"))
    def reply(self, message):
        self.n += 1
        return UserReply(message=Message(role=Role.USER, text=f"{message.text}{self.n}"), leaves=self.n == 2)
@hookimpl
def register_user_simulators(register): register("u", U)
"""


def test_a_confined_customer_keeps_its_state_between_messages(tmp_path: Path) -> None:
    with load(tmp_path, CUSTOMER) as plugins:
        user = plugins.registry.user_simulators["u"].make({}).start({"id": "s1"}, 7)
        assert user.open().message.text == "s1 7"
        agent = Message(role=Role.ASSISTANT, text="hi")
        assert [(r.message.text, r.leaves) for r in (user.reply(agent), user.reply(agent))] == [
            ("hi1", False),
            ("hi2", True),
        ]


def test_a_customer_does_not_survive_their_process(tmp_path: Path) -> None:
    with load(tmp_path, CUSTOMER) as plugins:
        user = plugins.registry.user_simulators["u"].make({}).start({"id": "s1"}, 7)
        plugins.workers["stranger"].close()
        with pytest.raises(PluginError, match="the customer was lost"):
            user.open()


def test_an_observer_hears_what_happened(tmp_path: Path) -> None:
    told = tmp_path / "told"
    body = f"""
@hookimpl
def on_rating(rating):
    open({str(told)!r}, "a").write(f"{{rating.rater}} {{rating.value}}")
"""
    with load(tmp_path, body) as plugins:
        plugins.notify("on_rating", run={}, rating=Rating(episode_id="e", rater="me", value=1.0, tags=("kind",)))
    assert told.read_text() == "me 1.0"


def test_the_confined_combiner_is_asked_first(tmp_path: Path) -> None:
    body = REWARD.format(body="return [2.0]") + (
        "@hookimpl\ndef combine_rewards(scores, weights, episode):\n"
        "    return scores['r'].value * 10 + weights['r'] if not episode.seed else None\n"
    )
    with load(tmp_path, body) as plugins:
        made = rewards(plugins)
        assert score_episodes(made, [EPISODE], combine=plugins.combine)[0].reward == 21.0
        unseeded = make_episode(("hello", "hi"), seed=1)
        assert score_episodes(made, [unseeded], combine=plugins.combine)[0].reward == 2.0


def test_a_confined_pack_and_tool_are_reached(tmp_path: Path) -> None:
    body = """
class Tool:
    def call(self, arguments, records): return arguments["x"] + str(len(records))
@hookimpl
def register_tools(register): register("t", Tool)
@hookimpl
def register_scenario_packs(register): register("p", lambda: "/packs/p")
"""
    with load(tmp_path, body) as plugins:
        assert plugins.registry.tools["t"].make({}).call(arguments={"x": "n="}, records={"a": {}}) == "n=1"
        assert plugins.registry.scenario_packs["p"].load()() == "/packs/p"


def test_facts_cross_the_pipe_unchanged_but_for_their_token_ids() -> None:
    facts = {"episode": EPISODE, "rating": Rating(episode_id="e", rater="me"), "n": [1, None, "x", {"$mapping": 1}]}
    assert wire.decode(wire.encode(facts)) == facts
    message = Message(role=Role.USER, text="\ud800")
    assert wire.decode(wire.encode(message)) == message


def test_the_deadline_covers_a_worker_that_does_not_read(tmp_path: Path) -> None:
    body = (
        REWARD.format(body="return [0.0]").replace("@hookimpl", "import threading\n@hookimpl", 1)
        + "\nimport signal\nos.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    started = time.monotonic()
    with pytest.raises(PluginError, match="no answer within 0.5 s"):
        load(tmp_path, body, confinement=Confinement(load_deadline=0.5))
    assert time.monotonic() - started < 1.5


NEEDY = """
class R:
    def __init__(self, *, ratings, reference=None): self.ratings, self.reference = ratings, reference
    def score(self, episodes):
        given = self.ratings(episodes[::-1])[::-1]
        likely = self.reference(episodes) if self.reference else [[0.0]] * len(episodes)
        return [Score(value=len(r) + (l[0] or 0.0), reason=r[0].rater if r else "") for r, l in zip(given, likely)]
@hookimpl
def register_rewards(register): register("r", R, needs=("ratings", "reference"), bounds=(-9, 9))
"""


def test_what_is_lent_reaches_a_confined_reward_as_answers(tmp_path: Path) -> None:
    other = make_episode(("a", "b"), episode_id="e1")
    ann = Rating(episode_id="e1", rater="ann", turn=0, value=1.0, tags=("wrong",))
    lent = {
        "ratings": lambda episodes: [(ann, ann) if e.episode_id == "e1" else () for e in episodes],
        "reference": lambda episodes: [[-0.5, None] for _ in episodes],
    }
    with load(tmp_path, NEEDY) as plugins:
        (reward,) = build_rewards(plugins.registry, [RewardSpec(use="r")], resources=lent)
        scores = reward.function.score([EPISODE, other])
        assert [(s.value, s.reason) for s in scores] == [(-0.5, ""), (1.5, "ann")]
        (without,) = build_rewards(plugins.registry, [RewardSpec(use="r")], resources={"ratings": lent["ratings"]})
        assert [s.value for s in without.function.score([other])] == [2.0]
        with pytest.raises(ConfigError, match="needs 'ratings'"):
            build_rewards(plugins.registry, [RewardSpec(use="r")])


def test_what_cannot_travel_is_not_lent_to_a_confined_reward(tmp_path: Path) -> None:
    body = NEEDY.replace('needs=("ratings", "reference")', 'needs=("ratings", "log")')
    with load(tmp_path, body.replace("reference=None", "log, reference=None")) as plugins:
        with pytest.raises(ConfigError, match="'log'"):
            build_rewards(plugins.registry, [RewardSpec(use="r")], resources={"ratings": None, "log": object()})
