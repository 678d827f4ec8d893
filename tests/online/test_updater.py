"""From rated conversations to a version that speaks, once each, whatever happens in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dialog_rl.bench.rehearsal import Decides, World, chats, log_chat
from dialog_rl.episode import Rating
from dialog_rl.episode_log import learning
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.episode_log.records import Kind
from dialog_rl.errors import CheckpointError
from dialog_rl.lm import journal, promotions, versions
from dialog_rl.online.course import read_state
from dialog_rl.online.learn_config import LearnConfig
from dialog_rl.online.updater import Halted, Updater
from dialog_rl.rl.learner import Learner


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def log(world: World) -> Iterator[EpisodeLog]:
    with world.open_log() as opened:
        yield opened


def weights(updater: Updater, root: Path) -> str:
    return versions.publish(root / "compared", updater.study.material.model.save).id


def used_by(log: EpisodeLog) -> dict[str, int]:
    return {e.episode_id: e.document["update"] for e in log.events(kinds=(Kind.USED,))}


def test_rated_conversations_become_a_promoted_version(world: World, log: EpisodeLog):
    world.chat(log, 1, 2, 3)
    (report,) = world.learn(log)
    assert report.verdict.promoted and report.verdict.version == world.store.standing("champion") != world.first
    assert report.record.ratings == 3 and report.record.simulated == 3
    assert report.record.stats["action_tokens"] > 0 and report.record.signs["kl_anchor"] > 0


def test_every_step_of_it_is_told_in_the_log(world: World, log: EpisodeLog):
    world.chat(log, 1, 2, 3)
    world.learn(log)
    plan, verdict = learning.plan_of(log, "learn", 1), learning.verdict_of(log, "learn", 1)
    assert plan is not None and [c.episode_id for c in plan.episodes] == ["chat-1", "chat-2", "chat-3"]
    assert [c.ratings for c in plan.episodes] == [(f"rating:chat-{n}:ann:0",) for n in (1, 2, 3)]
    assert verdict is not None and verdict.version == world.store.standing("champion")
    assert used_by(log) == {"chat-1": 1, "chat-2": 1, "chat-3": 1}


def test_the_gate_meets_candidate_champion_and_anchor(world: World, log: EpisodeLog):
    world.chat(log, 1, 2, 3)
    (report,) = world.learn(log)
    assert world.gate.asked == [1]
    assert report.verdict.evidence == {"candidate": report.verdict.version, "champion": world.first}
    assert world.store.standing("anchor") == world.first


def test_a_refused_candidate_does_not_speak(world: World, log: EpisodeLog):
    world.gate = Decides(lambda number: False)
    world.chat(log, 1, 2, 3)
    (report,) = world.learn(log)
    assert not report.verdict.promoted and world.store.standing("champion") == world.first
    assert world.store.standing("candidate") == report.verdict.version != world.first


def test_in_shadow_nothing_is_ever_promoted(world: World, log: EpisodeLog):
    world.chat(log, 1, 2, 3)
    (report,) = world.learn(log, shadow=True)
    assert report.verdict.passed and not report.verdict.promoted and world.store.standing("champion") == world.first


def test_a_conversation_is_learnt_from_once(world: World, log: EpisodeLog):
    world.chat(log, 1, 2, 3)
    assert len(world.learn(log)) == 1
    assert world.learn(log) == []
    log.rate(Rating(episode_id="chat-1", rater="bob", turn=0, value=1.0))  # too late
    assert world.learn(log) == []


def test_full_batches_are_made_one_after_the_other(world: World, log: EpisodeLog):
    world.chat(log, *range(7))
    reports = world.learn(log)
    assert [len(r.record.episodes) for r in reports] == [3, 3, 1]
    assert sorted(used_by(log).values()) == [1, 1, 1, 2, 2, 2, 3]


def test_without_consent_nothing_is_learnt(world: World, log: EpisodeLog):
    world.chat(log, 1, 2, 3, consent=None)
    world.chat(log, 4, consent=False)
    assert world.learn(log) == []
    summary = world.updater(log).follow()
    assert {str(why): count for why, count in summary.refused.items()} == {
        "nobody was asked for consent": 3,
        "consent refused": 1,
    }


@pytest.mark.parametrize(("foreign", "certain"), [(0, set[int]()), (1, {1, 2, 3, 4, 5, 6}), (3, {3, 6})])
def test_each_so_manieth_simulated_customer_asks_about_what_is_anothers(
    world: World, log: EpisodeLog, foreign: int, certain: set[int]
):
    world.chat(log, 1, 2, 3)
    world.learn(log, simulated=2.0, foreign=foreign)
    spoken = [logged.episode for logged in log.episodes() if logged.episode.simulator != "person"]
    wishes = [episode.scenario["user"]["goal"]["items"][0] for episode in spoken]
    refused = {number for number, wish in enumerate(wishes, start=1) if wish.get("refusal") == "not_yours"}
    assert len(wishes) == 6 and refused >= certain and len(refused - certain) < 2


def test_a_plan_of_before_has_no_customers_who_ask_about_what_is_anothers():
    document = LearnConfig().to_json()
    del document["foreign"]
    assert LearnConfig.from_json(document).foreign == 0


def test_ratings_that_are_all_alike_change_nothing(world: World, log: EpisodeLog):
    """Neither is the critic taught, as no simulated customers take part."""
    before = weights(world.updater(log), world.root)
    world.chat(log, 1, 2, 3, rated={0: 1.0})
    (report,) = world.learn(log, simulated=0.0)
    assert report.record.outcome.startswith("nothing to learn")
    assert not report.verdict.promoted and not report.verdict.version and world.gate.asked == []
    policy = world.updater(log).study.material.model.policy
    first = world.store.open(world.first).policy
    for (name, now), was in zip(policy.named_parameters(), first.parameters(), strict=True):
        assert name.startswith("value_head") or torch.equal(now, was), name
    assert before


def test_good_ratings_make_what_was_said_likelier_and_bad_ones_less_likely(world: World, log: EpisodeLog):
    episodes = world.chat(log, 1, 2, 3, 4)
    world.learn(log, simulated=0.0, batch=4)
    model = world.champion()

    def likelihood(policy: Any, episode: Any) -> float:
        """Of the first turn, which was rated."""
        ids = [i for s in episode.turns[0].steps for i in (*s.observation_ids, *s.action_ids)]
        acted = [
            a for s in episode.turns[0].steps for a in (*[False] * len(s.observation_ids), *[True] * len(s.action_ids))
        ]
        with torch.no_grad():
            got = policy.evaluate(torch.tensor([ids]), torch.tensor([len(ids)]), torch.tensor([acted]))
        return float(got.logprobs_BT.sum() / sum(acted))

    first = world.store.open(world.first)
    moved = {e.seed: likelihood(model.policy, e) - likelihood(first.policy, e) for e in episodes}
    liked, disliked = (sum(moved[n] for n in moved if n % 2 == odd) for odd in (1, 0))
    assert liked > disliked


def test_logged_simulated_conversations_take_part_before_new_ones_are_spoken(world: World, log: EpisodeLog):
    world.chat(log, 1, 2, 3)
    model = world.champion()
    for number, episode in enumerate(chats(model, [11, 12], version=model.version)):
        scenario = {**episode.scenario, "split": "train"}
        log.append(
            replace(episode, episode_id=f"sim-{number}", simulator="agenda", scenario=scenario), run="simulate-1"
        )
    (report,) = world.learn(log)
    assert report.record.simulated == 1
    assert [c.episode_id for c in report.record.episodes][3:] == ["sim-0", "sim-1"]


def test_what_its_version_cannot_have_said_is_quarantined(world: World, log: EpisodeLog):
    model = world.champion()
    true, *others = chats(model, [1, 2, 3], version=model.version)
    step = true.turns[0].steps[0]
    false_step = replace(step, logprobs=(step.logprobs[0] - 0.3, *step.logprobs[1:]))
    false_turn = replace(true.turns[0], steps=(false_step, *true.turns[0].steps[1:]))
    for episode in (replace(true, turns=(false_turn, *true.turns[1:])), *others):
        log_chat(log, episode)
    (report,) = world.learn(log)
    assert [c.episode_id for c in report.record.episodes] == ["chat-2", "chat-3"]
    summary = world.updater(log).follow()
    assert "differ by 0.3 nats" in next(iter(summary.examples.values()))


def test_what_an_earlier_champion_said_is_learnt_from_until_it_is_stale(world: World, log: EpisodeLog):
    old = world.champion()
    world.chat(log, 1, 2, 3)
    world.learn(log, max_lag=1)
    for episode in chats(old, [4], version=old.version):
        log_chat(log, episode)
    (report,) = world.learn(log, max_lag=1)
    assert report.record.stats["mismatch_max"] > 1e-4  # off-policy, and not taken for a fault
    for episode in chats(old, [5], version=old.version):
        log_chat(log, episode)
    assert world.learn(log, max_lag=1) == []


# Killed and taken up again


def test_a_run_taken_up_after_each_update_equals_one_that_never_stopped(tmp_path: Path):
    ids = []
    for name in ("whole", "halting"):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name)
        with world.open_log() as log:
            world.chat(log, *range(9))
            if name == "whole":
                world.learn(log)
            else:
                for _ in range(3):
                    next(iter(world.updater(log).run_on(once=True)))
            ids.append(weights(world.updater(log), tmp_path))
    assert ids[0] == ids[1]


def test_a_plan_that_was_not_carried_out_is_carried_out_as_it_was(world: World, log: EpisodeLog):
    world.chat(log, 1, 2)
    plan = world.updater(log)._plan(now=True)
    assert plan is not None and len(plan.episodes) == 2
    world.chat(log, 3, 4, 5)  # they wait for the next one
    reports = world.learn(log)
    assert [len(r.record.episodes) for r in reports] == [2, 3]


def test_a_broken_checkpoint_is_passed_over_and_the_update_made_again(world: World, log: EpisodeLog):
    world.chat(log, *range(6))
    world.learn(log)
    whole = weights(world.updater(log), world.root)
    latest = sorted((world.root / "learn" / "checkpoints").glob("0*"))[-1]
    (latest / "model.safetensors").write_bytes(b"\0" * 100)
    one = world.updater(log)
    assert one.course.update == 1
    assert len(list(one.run_on(once=True))) == 1
    assert weights(one, world.root) == whole


def test_only_broken_checkpoints_are_an_error_not_a_new_beginning(world: World, log: EpisodeLog):
    world.updater(log)
    for path in (world.root / "learn" / "checkpoints").glob("0*/updater.json"):
        path.write_text("{}")
    with pytest.raises(CheckpointError, match="no earlier checkpoint"):
        world.updater(log)


def test_the_checkpoint_holds_cursor_fence_and_what_was_used(world: World, log: EpisodeLog):
    world.chat(log, 1, 2, 3)
    world.learn(log)
    state = read_state(sorted((world.root / "learn" / "checkpoints").glob("0*"))[-1])
    plan = learning.plan_of(log, "learn", 1)
    assert plan is not None and state["ledger"]["cursor"] == plan.horizon and state["fence"] == 1
    assert state["ledger"]["used"] == {"chat-1": 1, "chat-2": 1, "chat-3": 1}


# Guards and going back


def test_a_policy_beyond_its_budget_is_withheld_and_learning_goes_back(world: World, log: EpisodeLog):
    world.chat(log, 1, 2, 3)
    (report,) = world.learn(log, kl_budget=1e-9)
    assert report.record.outcome.startswith("withheld: KL from the anchor")
    assert world.gate.asked == [] and not report.verdict.version
    assert weights(world.updater(log), world.root) == world.first


def test_steps_that_are_never_finite_are_abandoned_and_then_halt(
    world: World, log: EpisodeLog, monkeypatch: pytest.MonkeyPatch
):
    broken = Learner._loss
    monkeypatch.setattr(Learner, "_loss", lambda self, *a, **how: broken(self, *a, **how) * float("nan"))
    world.chat(log, *range(9))
    one = world.updater(log, patience=2)
    first, second = one.step(now=True), one.step(now=True)
    assert first is not None and second is not None
    assert first.record.outcome == second.record.outcome == "abandoned: no optimizer step was finite"
    assert weights(one, world.root) == world.first
    with pytest.raises(Halted, match="2 updates in a row came to nothing"):
        one.step(now=True)
    assert world.store.standing("champion") == world.first


def test_after_so_many_refusals_learning_goes_back_to_the_champion(world: World, log: EpisodeLog):
    world.gate = Decides(lambda number: number == 1)
    world.chat(log, *range(3))
    world.learn(log)
    champion = world.store.standing("champion")
    world.chat(log, *range(3, 9))
    world.learn(log, patience=2)
    one = world.updater(log, patience=2)
    assert one.course.start == "update:1" and one.course.refused == 0
    assert weights(one, world.root) == champion


def test_after_a_rollback_learning_goes_on_from_the_champion_without_what_misled_it(world: World, log: EpisodeLog):
    world.chat(log, *range(3))
    world.learn(log)
    good = world.store.standing("champion")
    world.chat(log, *range(3, 6))
    world.learn(log)
    promotions.rollback(world.versions, "champion", reason="replies are empty", by="chat")
    world.chat(log, *range(6, 9))
    (report,) = world.learn(log)
    assert report.record.start == "update:1"
    quarantined = {e.episode_id for e in log.events(kinds=(Kind.QUARANTINE,))}
    assert quarantined == {"chat-3", "chat-4", "chat-5"}
    parent = versions.read_manifest(world.versions / report.verdict.version).parent
    assert parent == good


def test_a_rollback_to_the_first_version_is_a_beginning_anew(world: World, log: EpisodeLog):
    world.chat(log, *range(3))
    world.learn(log)
    promotions.promote(world.versions, "champion", world.first, reason="no good", by="chat")
    one = world.updater(log)
    one.follow()
    assert one.course.start == "update:0" and weights(one, world.root) == world.first


def test_a_champion_from_elsewhere_is_followed(world: World, log: EpisodeLog):
    other = world.make()
    with torch.no_grad():
        other.policy.value_head.bias.add_(1.0)
    version = versions.publish(world.versions, other.save)
    world.updater(log)
    promotions.promote(world.versions, "champion", version.id, reason="by hand", by="ann")
    one = world.updater(log)
    one.follow()
    assert one.course.start == f"version:{version.id}" and weights(one, world.root) == version.id


def test_a_champion_that_changes_during_the_gate_is_not_overwritten(world: World, log: EpisodeLog):
    def meddle(number: int) -> bool:
        other = world.make()
        with torch.no_grad():
            other.policy.value_head.bias.add_(1.0)
        version = versions.publish(world.versions, other.save)
        promotions.promote(world.versions, "champion", version.id, reason="by hand", by="ann")
        return True

    world.gate = Decides(meddle)
    world.chat(log, 1, 2, 3)
    (report,) = world.learn(log)
    assert not report.verdict.promoted and "changed while the gate" in report.verdict.reason
    assert [p.by for p in journal.read(world.versions) if p.alias == "champion"][-1] == "ann"


def test_versions_that_nobody_needs_are_cleared_away(world: World, log: EpisodeLog):
    world.gate = Decides(lambda number: False)
    for first in range(0, 18, 3):
        world.chat(log, *range(first, first + 3))
        world.learn(log)
    kept = {m.id for m in versions.list_versions(world.versions)}
    assert world.first in kept and len(kept) <= 4


def test_a_reward_that_fails_stops_the_update_and_loses_nothing(world: World, log: EpisodeLog):
    world.chat(log, 1, 2, 3)
    one = world.updater(log)

    class Broken:
        def score(self, episodes: Any) -> Any:
            raise RuntimeError("no connection")

    reward = one.study._live.rewards[0]
    one.study._live.rewards = (replace(reward, function=Broken()),)
    with pytest.raises(Exception, match="no connection"):
        one.step(now=True)
    (report,) = world.learn(log)
    assert len(report.record.episodes) == 3 and json.dumps(report.record.stats)


def test_a_version_that_people_think_less_of_is_rolled_back(world: World, log: EpisodeLog):
    world.chat(log, *range(3))
    world.learn(log)
    second = world.store.standing("champion")
    one = world.updater(log)
    one.ledger.opinions = {world.first: [1.0] * 30, second: [-1.0, 1.0] * 2}
    one.follow()
    assert world.store.standing("champion") == second
    one.ledger.opinions[second] = [-1.0] * 30
    one.follow()
    assert world.store.standing("champion") == world.first
    assert "people think less of it" in journal.read(world.versions)[-1].reason


def test_gates_are_counted_from_one_for_each_anchor(world: World, log: EpisodeLog):
    world.gate = Decides(lambda number: False)
    world.chat(log, *range(6))
    world.learn(log)
    world.chat(log, 6, 7, 8, rated={0: 1.0})
    world.learn(log, kl_budget=1e-9)  # withheld: no gate is spent on it
    other = versions.publish(world.versions, lambda folder: _nudged(world).save(folder))
    promotions.promote(world.versions, "anchor", other.id, reason="a new start", by="ann")
    world.chat(log, 10, 11, 12)
    world.learn(log)
    assert world.gate.asked == [1, 2, 1]


def _nudged(world: World) -> Any:
    model = world.make()
    with torch.no_grad():
        model.policy.value_head.bias.add_(1.0)
    return model
