"""Packs as gymnasium environments: gymnasium's own checks, seeds, endings, and what is paid."""

from __future__ import annotations

from typing import Any

import pytest

gymnasium = pytest.importorskip("gymnasium", reason="environments need the extra gym")

from gymnasium.utils.env_checker import check_env  # noqa: E402

from dialog_rl.environments import registered  # noqa: E402
from dialog_rl.environments.envs import CALL, TextEnv, TokenEnv, message_of  # noqa: E402
from dialog_rl.environments.registered import REWARDS, make_text, make_tokens, register_all  # noqa: E402
from dialog_rl.expert import Expert  # noqa: E402
from dialog_rl.lm.renderer import call_text  # noqa: E402
from dialog_rl.online.apprentice import DEFAULT_REWARDS  # noqa: E402
from dialog_rl.seeds import generator  # noqa: E402


@pytest.fixture(scope="module")
def text_env() -> TextEnv:
    return make_text("retail")


@pytest.fixture(scope="module")
def token_env() -> TokenEnv:
    return make_tokens("retail")


@pytest.mark.parametrize("name", ["Doors-v0", "retail-v0", "retail-tokens-v0"])
def test_gymnasium_finds_nothing_wrong(name: str) -> None:
    check_env(gymnasium.make(f"dialog_rl/{name}").unwrapped)


def test_every_pack_has_its_ids() -> None:
    register_all()  # again, which changes nothing
    for pack in ("retail", "retail_zh", "telecom", "banking"):
        assert {f"dialog_rl/{pack}-v0", f"dialog_rl/{pack}-tokens-v0"} <= set(gymnasium.registry)
    assert registered.NAMESPACE == "dialog_rl"


def test_several_run_side_by_side() -> None:
    several = gymnasium.make_vec("dialog_rl/retail-v0", num_envs=2, vectorization_mode="sync")
    shown, _ = several.reset(seed=[1, 2])
    assert len(shown) == 2 and shown[0] != shown[1]
    shown, paid, terminated, truncated, _ = several.step(("hello", "good morning"))
    assert len(shown) == len(paid) == 2 and not terminated.any() and not truncated.any()


def test_a_seed_calls_the_same_customer(text_env: TextEnv) -> None:
    first, again, other = (text_env.reset(seed=seed)[0] for seed in (5, 5, 6))
    assert first == again != other


def test_without_a_seed_another_customer_calls(text_env: TextEnv) -> None:
    text_env.reset(seed=5)
    assert text_env.reset()[0] != text_env.reset()[0]


def serve(env: TextEnv, seed: int) -> tuple[float, bool, bool]:
    """The scripted expert through the environment's own door: texts in, texts out."""
    env.reset(seed=seed)
    agent, earned = Expert(env._stage.pack, generator(seed, "expert")), 0.0
    while True:
        message = agent.act(env.conversation.unobserved())
        call = message.tool_call
        _, paid, terminated, truncated, _ = env.step(CALL + call_text(call) if call is not None else message.text)
        earned += paid
        if terminated or truncated:
            return earned, terminated, truncated


def test_who_serves_the_customer_is_paid_for_it(text_env: TextEnv) -> None:
    earned, terminated, truncated = serve(text_env, 3)
    assert earned > 0.8 and terminated and not truncated


def test_talking_past_the_customer_pays_nothing(text_env: TextEnv) -> None:
    text_env.reset(seed=3)
    earned, over = 0.0, False
    while not over:
        _, paid, terminated, truncated, _ = text_env.step("what a lovely day")
        earned, over = earned + paid, terminated or truncated
    assert earned <= 0


def test_after_the_end_there_must_be_a_reset(text_env: TextEnv) -> None:
    serve(text_env, 3)
    with pytest.raises(gymnasium.error.ResetNeeded):
        text_env.step("and another thing")


@pytest.mark.parametrize(
    ("action", "words"), [("/call look {", "not JSON"), ("/call look [1]", "must be an object"), ("/call look", "")]
)
def test_a_call_is_read_from_text_or_says_why_it_cannot_be(action: str, words: str) -> None:
    message = message_of(action)
    assert words in message.malformed and (message.tool_call is None) == bool(words)


def test_tokens_until_the_end_of_a_message_are_one_reply(token_env: TokenEnv) -> None:
    shown, info = token_env.reset(seed=4)
    length = info["length"]
    ids = (*token_env._renderer.tokenizer.encode("hello there"), token_env._renderer.end_id)
    for number, token in enumerate(ids, start=1):
        assert not token_env.conversation.turns
        shown, _, _, _, info = token_env.step(token)
        assert shown[length + number - 1] == token
    assert token_env.conversation.turns[0].reply == "hello there"
    assert info["length"] > length + len(ids)  # the customer's answer came after it


def test_a_context_that_is_full_truncates() -> None:
    env = make_tokens("retail", max_length=64)
    _, info = env.reset(seed=4)
    over: tuple[bool, bool] = (False, False)
    for _ in range(64 - info["length"]):
        assert over == (False, False)
        _, _, terminated, truncated, _ = env.step(env._renderer.tokenizer.encode("a")[0])
        over = terminated, truncated
    assert over == (False, True)


def test_training_and_environments_pay_alike() -> None:
    assert REWARDS == DEFAULT_REWARDS


def test_a_loop_of_a_tabular_learner_runs_on_it() -> None:
    """Q-learning in the form of CleanRL's scripts: nothing of ours but the environment."""
    env: Any = gymnasium.make("dialog_rl/Doors-v0", doors=1)
    values: dict[tuple[str, str], float] = {}
    actions, rng = ("red", "blue"), generator(0, "loop")
    for episode in range(60):
        shown, _ = env.reset(seed=episode)
        over = False
        while not over:
            greedy = max(actions, key=lambda a: values.get((shown, a), 0.0))
            action = rng.choice(actions) if rng.random() < 0.3 else greedy
            after, paid, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
            best = 0.0 if over else max(values.get((after, a), 0.0) for a in actions)
            old = values.get((shown, action), 0.0)
            values[shown, action] = old + 0.5 * (paid + 0.9 * best - old)
            shown = after
    for colour in actions:
        assert max(actions, key=lambda a: values.get((f"The key is {colour}.", a), 0.0)) == colour
