"""What a reference model makes of episodes, against a token-by-token oracle, and that it is asked no more than once."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from dialog_rl.episode import Episode, Message, Step, Turn
from dialog_rl.evaluation.likelihood import Likelihoods
from dialog_rl.evaluation.remembering import RememberingPolicy
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.plugins.rewards import build_rewards
from dialog_rl.rl.algorithms.ppo import PPO
from dialog_rl.rl.batch import EpisodeBatch
from dialog_rl.rl.learner import Learner
from dialog_rl.scoring import RewardSpec, ScoredEpisode
from dialog_rl.testing.episodes import called, garbled, make_episode


def sampled(episode: Episode, model: SpeakingModel) -> Episode:
    """The episode with token ids as if the model had sampled them."""
    unobserved: list[Message] = [episode.system]
    turns: list[Turn] = []
    for turn in episode.turns:
        steps: list[Step] = []
        unobserved.append(turn.user)
        for step in turn.steps:
            if step.message.malformed:
                acted = (*model.renderer.tokenizer.encode(step.message.text), model.renderer.end_id)
            else:
                acted = model.renderer.action(step.message)
            steps.append(
                replace(
                    step,
                    observation_ids=model.renderer.observe(unobserved),
                    action_ids=acted,
                    logprobs=(-1.0,) * len(acted),
                )
            )
            unobserved = [step.result] if step.result is not None else []
        turns.append(Turn(user=turn.user, steps=tuple(steps)))
    return replace(episode, turns=tuple(turns), tokenizer=model.renderer.fingerprint)


SHORT = make_episode(("Hello!", "It is on its way."), episode_id="short")
LONG = make_episode(
    ("where is my parcel?", called("track", "on its way", order="4471"), "It is on its way."),
    ("Hello!", garbled("track {", "not JSON"), "Hello!"),
    ("my order 4471",),
    episode_id="long",
)  # fmt: skip
SILENT = make_episode(("Hello!",), episode_id="silent")


def by_hand(episode: Episode, model: SpeakingModel) -> list[float | None]:
    """Every action token by itself, each with a forward over nothing but its own prefix."""
    ids: list[int] = []
    means: list[float | None] = []
    for step in episode.steps:
        ids += step.observation_ids
        logprobs = []
        for token in step.action_ids:
            with torch.no_grad():
                logits_V = model.policy.model(input_ids=torch.tensor([ids])).logits[0, -1]
            logprobs.append(float(logits_V[token] - logits_V.logsumexp(0)))
            ids.append(token)
        means.append(sum(logprobs) / len(logprobs))
    return means


def test_a_steps_likelihood_is_the_mean_over_its_own_action_tokens(model: SpeakingModel) -> None:
    episodes = [sampled(one, model) for one in (SHORT, LONG, SILENT)]
    found = Likelihoods(model, token_budget=100)(episodes)
    for episode, means in zip(episodes, found, strict=True):
        assert means == pytest.approx(by_hand(episode, model), abs=1e-4)
    assert len(set(found[1])) > 2


def test_text_without_ids_is_spelled_and_what_cannot_be_read_is_left_out(model: SpeakingModel) -> None:
    with_ids, without = Likelihoods(model)([sampled(LONG, model)]), Likelihoods(model)([LONG])
    malformed = [bool(step.message.malformed) for step in LONG.steps]
    assert malformed.count(True) == 1
    assert [None if bad else v for v, bad in zip(with_ids[0], malformed, strict=True)] == pytest.approx(
        without[0], abs=1e-5
    )


def test_ids_of_another_tokenizer_are_not_taken_for_this_ones(model: SpeakingModel) -> None:
    foreign = replace(sampled(SHORT, model), tokenizer="another")
    ((step,),) = (turn.steps for turn in foreign.turns)
    wrong = replace(
        foreign, turns=(replace(foreign.turns[0], steps=(replace(step, action_ids=(5,) * len(step.action_ids)),)),)
    )
    assert Likelihoods(model)([wrong]) == Likelihoods(model)([SHORT])


@pytest.mark.parametrize("words", range(0, 12, 2))
def test_steps_beyond_the_context_are_left_out_whole(model: SpeakingModel, words: int) -> None:
    endless = make_episode(*[("Hello!", "It is on its way.")] * 40, system="way " * words)
    (means,) = Likelihoods(model)([endless])
    known = [value is not None for value in means]
    assert known[0] and not known[-1] and known == sorted(known, reverse=True)
    model.policy.model.config.max_position_embeddings = 2048
    (whole,) = Likelihoods(model)([endless])
    assert whole[: known.count(True)] == pytest.approx(means[: known.count(True)], abs=1e-4)


def test_an_empty_batch_has_no_likelihoods(model: SpeakingModel) -> None:
    assert Likelihoods(model)([]) == []


class Counting(RememberingPolicy):
    """Counts the rows that go through the trunk."""

    rows = 0

    def hidden(self, ids_BT: torch.Tensor) -> torch.Tensor:
        self.rows += len(ids_BT)
        return super().hidden(ids_BT)


def test_two_rewards_and_the_learner_ask_the_model_once(model: SpeakingModel) -> None:
    episodes = [sampled(one, model) for one in (SHORT, LONG)]
    counting = Counting(model.policy)
    likelihoods = Likelihoods(replace(model, policy=counting))
    specs = [RewardSpec(use="fluency"), RewardSpec(use="fluency", name="strict", options={"fluent": -0.1})]
    for reward in build_rewards(load_plugins().registry, specs, resources={"reference": likelihoods}):
        reward.function.score(episodes)
    assert counting.rows == 2
    scored = [ScoredEpisode(episode=e, components={}, reward=1.0, step_rewards=(0.0,) * 4) for e in episodes]
    scored = [replace(one, step_rewards=(0.0,) * sum(1 for _ in one.episode.steps)) for one in scored]
    batch = EpisodeBatch.from_scored(scored, model.renderer.pad_id)
    remembered = counting.evaluate(batch.ids_BT, batch.lengths_B, batch.action_mask_BT)
    assert counting.rows == 2
    plain = model.policy.evaluate(batch.ids_BT, batch.lengths_B, batch.action_mask_BT)
    for ours, theirs in zip(remembered, plain, strict=True):
        torch.testing.assert_close(ours, theirs.detach(), atol=1e-4, rtol=1e-4)


def test_rows_that_were_not_noted_are_evaluated_among_those_that_were(model: SpeakingModel) -> None:
    episodes = [sampled(one, model) for one in (SHORT, LONG)]
    counting = Counting(model.policy)
    Likelihoods(replace(model, policy=counting))(episodes[:1])
    scored = [ScoredEpisode(episode=e, components={}, reward=0.0, step_rewards=()) for e in episodes]
    batch = EpisodeBatch.from_scored(scored, model.renderer.pad_id)
    both = counting.evaluate(batch.ids_BT, batch.lengths_B, batch.action_mask_BT)
    assert counting.rows == 2
    plain = model.policy.evaluate(batch.ids_BT, batch.lengths_B, batch.action_mask_BT)
    torch.testing.assert_close(both.logprobs_BT, plain.logprobs_BT.detach(), atol=1e-4, rtol=1e-4)
    counting.evaluate(batch.ids_BT, batch.lengths_B, batch.action_mask_BT)
    assert counting.rows == 3  # what the learner alone asked about is not kept


def test_another_temperature_is_another_question(model: SpeakingModel) -> None:
    counting = Counting(model.policy)
    episodes = [sampled(SHORT, model)]
    Likelihoods(replace(model, policy=counting))(episodes)
    scored = [ScoredEpisode(episode=e, components={}, reward=0.0, step_rewards=()) for e in episodes]
    batch = EpisodeBatch.from_scored(scored, model.renderer.pad_id)
    warm = counting.evaluate(batch.ids_BT, batch.lengths_B, batch.action_mask_BT, temperature=2.0)
    plain = model.policy.evaluate(batch.ids_BT, batch.lengths_B, batch.action_mask_BT, temperature=2.0)
    torch.testing.assert_close(warm.logprobs_BT, plain.logprobs_BT.detach(), atol=1e-5, rtol=1e-5)


def test_a_learner_learns_the_same_beside_a_remembering_reference(model: SpeakingModel) -> None:
    def figures(reference) -> tuple[float | None, float]:
        episodes = [sampled(one, model) for one in (SHORT, LONG)]
        Likelihoods(replace(model, policy=reference))(episodes)
        policy = copy.deepcopy(model.policy)
        with torch.no_grad():
            policy.model.get_parameter("model.norm.weight").mul_(0.9)
        scored = [ScoredEpisode(episode=e, components={}, reward=1.0, step_rewards=()) for e in episodes]
        batch = EpisodeBatch.from_scored(scored, model.renderer.pad_id)
        old = policy.evaluate(batch.ids_BT, batch.lengths_B, batch.action_mask_BT)
        batch = replace(batch, sampler_logprobs_BT=old.logprobs_BT.detach())
        stats = Learner(policy, reference, PPO()).update(batch)
        return stats.kl_reference, float(policy.value_head.weight.detach().sum())

    plain, remembering = figures(model.policy), figures(RememberingPolicy(model.policy))
    assert remembering == pytest.approx(plain, rel=1e-4)
    assert plain[0] is not None and plain[0] > 0
