from __future__ import annotations

import itertools

import pytest
import torch

from dialog_rl.conversation import Conversation
from dialog_rl.episode import Episode, Message, Role, StopReason
from dialog_rl.lm.policy import Policy
from dialog_rl.lm.rollouts import rollouts
from tests.lm.speech import END, ByteRenderer, conversation, row, talkative_policy

POLICY = talkative_policy()
RENDERER = ByteRenderer()


def run(conversations: list[Conversation], *, policy: Policy = POLICY, **options: object) -> dict[str, Episode]:
    settings = {"slots": 4, "max_length": 512, "max_action": 30, "version": "v1"} | options
    return {e.episode_id: e for e in rollouts(policy, RENDERER, conversations, **settings)}  # type: ignore[arg-type]


def many(count: int = 12) -> list[Conversation]:
    return [conversation(n, turns=1 + n % 4) for n in range(count)]


def test_every_conversation_is_spoken_to_its_end() -> None:
    episodes = run(many())
    assert sorted(episodes) == sorted(f"e{n}" for n in range(12))
    assert {e.stop for e in episodes.values()} <= {StopReason.USER_LEFT, StopReason.MAX_TURNS}
    steps = [s for e in episodes.values() for s in e.steps]
    assert {s.policy_version for s in steps} == {"v1"}
    # the tests below mean something only if all kinds of actions occur
    assert any(s.message.tool_call for s in steps) and any(s.message.malformed for s in steps)
    assert any(s.result is None and len(s.action_ids) > 3 for s in steps)


@pytest.mark.parametrize("slots", [1, 3, 16])
def test_an_episode_does_not_depend_on_its_neighbours_to_the_last_bit(slots: int) -> None:
    assert run(many(), slots=slots) == run(many())


def test_rows_are_the_transcript_and_their_logprobs_are_the_policys_own() -> None:
    for episode in run(many()).values():
        ids, mask, logprobs = row(episode)
        expected: list[int] = []
        unseen = [episode.system]
        for turn in episode.turns:
            unseen.append(turn.user)
            for step in turn.steps:
                expected += [*RENDERER.observe(unseen), *step.action_ids]
                unseen = [step.result] if step.result else []
        assert ids == expected
        mask_BT = torch.tensor([mask])
        out = POLICY.evaluate(torch.tensor([ids]), torch.tensor([len(ids)]), mask_BT)
        assert (out.logprobs_BT[mask_BT] - torch.tensor(logprobs)).abs().max() <= 1e-4


def test_temperature_changes_the_distribution_that_is_sampled_and_reported() -> None:
    for episode in run(many(3), temperature=0.5).values():
        ids, mask, logprobs = row(episode)
        mask_BT = torch.tensor([mask])
        out = POLICY.evaluate(torch.tensor([ids]), torch.tensor([len(ids)]), mask_BT, temperature=0.5)
        assert (out.logprobs_BT[mask_BT] - torch.tensor(logprobs)).abs().max() <= 1e-4


def test_greedy_rollouts_do_not_depend_on_the_seed() -> None:
    a, b = conversation(1), conversation(1)
    b.seed = 99
    (one,), (other,) = (run([c], temperature=0).values() for c in (a, b))
    assert row(one) == row(other)


def test_an_overlong_action_is_cut_and_answered_with_an_error() -> None:
    episodes = run(many(), max_action=3).values()
    cut = [s for e in episodes for s in e.steps if s.action_ids[-1] != END]
    assert cut
    for step in cut:
        assert len(step.action_ids) == 3 and step.message.malformed == "longer than 3 tokens"
        assert step.message.tool_call is None
        assert step.result is not None and step.result.error


def test_a_full_context_ends_the_episode_and_keeps_what_was_sampled() -> None:
    episodes = run([conversation(n, turns=9) for n in range(12)], max_length=60, max_action=60)
    full = [e for e in episodes.values() if e.stop is StopReason.CONTEXT_FULL]
    assert len(full) > 6
    cut = [step for e in full if (step := list(e.steps)[-1]).action_ids[-1] != END]
    assert cut and all(step.message.malformed == "cut off by the full context" for step in cut)
    assert max(len(row(e)[0]) for e in full) == 60


def test_a_brief_that_does_not_fit_makes_an_episode_without_actions() -> None:
    (episode,) = run([conversation(0, brief="x" * 600)]).values()
    assert episode.stop is StopReason.CONTEXT_FULL and not list(episode.steps)


def test_a_caller_who_leaves_at_once_takes_no_slot() -> None:
    episodes = run([conversation(0, turns=0), conversation(1)], slots=1)
    assert list(episodes) == ["e0", "e1"] and not list(episodes["e0"].steps)


def test_conversations_are_taken_only_when_a_slot_is_free() -> None:
    taken: list[int] = []

    def source() -> itertools.chain[Conversation]:
        return itertools.chain.from_iterable([taken.append(n) or conversation(n)] for n in itertools.count())

    drawn = rollouts(POLICY, RENDERER, source(), slots=3, max_length=512, max_action=30)
    for done in range(10):
        next(drawn)
        assert len(taken) <= 3 + done
    assert len(taken) > 10


def test_cancelling_drops_what_is_unfinished_and_starts_nothing_more() -> None:
    asked = itertools.count()
    drawn = rollouts(POLICY, RENDERER, many(), slots=2, max_length=512, cancelled=lambda: next(asked) >= 80)
    assert 0 < len(list(drawn)) < 12
    assert next(asked) == 81


def test_training_during_rollouts_does_not_change_them() -> None:
    policy, wanted = talkative_policy(), run(many())
    episodes: dict[str, Episode] = {}
    for episode in rollouts(policy, RENDERER, many(), slots=4, max_length=512, max_action=30, version="v1"):
        episodes[episode.episode_id] = episode
        with torch.no_grad():
            for parameter in policy.parameters():
                parameter.add_(0.1)
    assert episodes == wanted


def test_a_user_that_breaks_ends_its_own_episode_only() -> None:
    class Broken:
        def open(self):  # type: ignore[no-untyped-def]  # noqa: ANN201
            return conversation(0)._user.open()  # noqa: SLF001

        def reply(self, message: Message):  # type: ignore[no-untyped-def]  # noqa: ANN201
            raise RuntimeError(f"no answer to {message.role}")

    broken = conversation(50)
    broken._user = Broken()  # noqa: SLF001
    episodes = run([broken, conversation(1)])
    assert episodes["e50"].stop in (StopReason.USER_ERROR, StopReason.MAX_TURNS)
    assert episodes["e1"] == run([conversation(1)])["e1"]
    assert Role.ASSISTANT in {m.role for m in episodes["e50"].messages()}
