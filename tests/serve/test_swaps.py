"""Many clients, one decoder, and a champion that changes under them: no request is refused, no turn is mixed."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

import torch

from dialog_rl.bench.rehearsal import babbler
from dialog_rl.episode import Episode
from dialog_rl.lm import promotions, versions
from dialog_rl.lm.choir import Choirs
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.online.following import FollowingVoices, VersionFollower
from dialog_rl.online.provenance import differences
from dialog_rl.serve.keys import LOCAL
from tests.lm.held import first_step_held
from tests.serve.service import CONFIG, Answer, opened

CLIENTS, TURNS = 12, 3


def publish(store: Path, number: int) -> str:
    """A version that speaks a little otherwise than others, in replies short enough for several turns."""
    model = babbler()
    with torch.no_grad():
        for parameter in model.policy.model.parameters():
            parameter.mul_(10 + number if parameter.dim() > 1 else 1)
        table_VD = model.policy.model.get_parameter("model.embed_tokens.weight")
        table_VD[:, 0] = 1.0  # a coordinate large in every hidden state makes a token's share of it a bias
        table_VD[model.renderer.end_id, 0] += 2.5
    return versions.publish(store, model.save).id


def test_a_swap_under_load_refuses_nobody_and_mixes_no_turn(tmp_path: Path) -> None:
    store = tmp_path / "versions"
    ids = [publish(store, number) for number in range(3)]
    promotions.promote(store, "champion", ids[0], reason="test")
    choirs = Choirs(slots=6)
    voices = FollowingVoices(VersionFollower([store]), speaks=choirs)
    answers: list[Answer] = []
    swapping, swaps = threading.Lock(), itertools.cycle(ids[1:] + ids[:1])

    def swap() -> None:
        with swapping:
            promotions.promote(store, "champion", next(swaps), reason="test")

    with opened(tmp_path, voices, replace(CONFIG, at_once=8)) as (client, service):

        def chat(who: int) -> None:
            name = ""
            for turn in range(TURNS):
                told = {"conversation": name} if name else {}
                stream = bool((who + turn) % 2)
                answer = client.complete(f"hello {who}", metadata=told, user=str(who), temperature=1.0, stream=stream)
                answers.append(answer)
                swap()  # while others speak
                about = answer.events[-2]["dialog_rl"] if stream else answer.about
                if about["ended"]:
                    return
                name = about["conversation"]

        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(chat, range(CLIENTS)))
        told = {a.headers["x-dialog-rl-conversation"] + a.headers["x-dialog-rl-turn"]: a for a in answers}
        for name in service.conversations.open_of(LOCAL):
            client.post(f"/v1/episodes/{name}/end", {})
        episodes = [logged.episode for logged in service.room.log.episodes()]
    assert [a.status for a in answers] == [200] * len(answers) and len(episodes) == CLIENTS
    for episode in episodes:
        for number, turn in enumerate(t for t in episode.turns if t.steps):
            (version,) = {step.policy_version for step in turn.steps}
            answer = told[f"{episode.episode_id}{number}"]
            assert answer.headers["x-dialog-rl-version"] == version, "who spoke is told rightly"
    assert any(len(episode.policy_versions) > 1 for episode in episodes) and _versions(episodes) == set(ids)
    # every token is what the version that is named for it would say, having read the conversation's ids itself
    found = differences(episodes, lambda v: SpeakingModel.load(store / v).policy, babbler().renderer.pad_id)
    assert max(found.values()) <= 1e-4
    assert choirs.figures()[1] == 0, "somebody still speaks"


def test_who_speaks_at_the_same_time_shares_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    widths = first_step_held(monkeypatch, until=CLIENTS)
    store = tmp_path / "versions"
    promotions.promote(store, "champion", publish(store, 0), reason="test")
    choirs = Choirs(slots=CLIENTS)
    voices = FollowingVoices(VersionFollower([store]), speaks=choirs)
    with (
        opened(tmp_path, voices, replace(CONFIG, at_once=CLIENTS)) as (client, _),
        ThreadPoolExecutor(CLIENTS) as clients,
    ):
        answers = list(clients.map(lambda n: client.complete("hello", user=str(n), temperature=1.0), range(CLIENTS)))
    assert [answer.status for answer in answers] == [200] * CLIENTS
    assert sum(widths[:2]) >= CLIENTS, "they did not share their steps"
    done, speaking, _ = choirs.figures()
    assert (done.steps, done.tokens, speaking) == (len(widths), sum(widths), 0)


def _versions(episodes: list[Episode]) -> set[str]:
    return {version for episode in episodes for version in episode.policy_versions}
