"""What people said is read from the log as pairs, thumbs, corrections and hints, and only where they allow it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dialog_rl.episode import Rating, to_json
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.offline.judgements import read


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EpisodeLog]:
    with EpisodeLog.open(tmp_path / "episodes.db") as opened:
        yield opened


def test_a_pair_has_the_better_reply_first_whichever_was_given(log: EpisodeLog, said: Any) -> None:
    other = said(("is it done", "thanks, gladly")).turns[0]
    for name, chosen in (("a", "said"), ("b", "other"), ("c", "tie")):
        log.append(said(("is it done", "no"), name=name))
        extra = {"pair": {"chosen": chosen, "other": to_json(other)}}
        log.rate(Rating(episode_id=name, rater="r", turn=0, extra=extra))
    pairs = read(log).pairs
    assert [(p.chosen.reply, p.rejected.reply) for p in pairs] == [("no", "thanks, gladly"), ("thanks, gladly", "no")]


def test_thumbs_corrections_and_hints_are_read(log: EpisodeLog, said: Any) -> None:
    log.append(said(("is it done", "no")))
    log.rate(Rating(episode_id="e", rater="r", turn=0, value=-1.0, comment="why", correction="thanks, gladly"))
    found = read(log)
    assert [t.value for t in found.thumbs] == [-1.0]
    assert [c.text for c in found.corrections] == ["thanks, gladly"]
    assert [h.text for h in found.hints] == ["why thanks, gladly"]


def test_a_persons_conversation_counts_only_if_they_allow_it(log: EpisodeLog, said: Any) -> None:
    for name in ("silent", "willing", "unwilling"):
        log.append(said(("is it done", "no"), name=name, simulator="person"))
        log.rate(Rating(episode_id=name, rater="r", turn=0, value=1.0))
    log.consent("willing", train=True)
    log.consent("unwilling", train=False)
    found = read(log)
    assert [t.episode.episode_id for t in found.thumbs] == ["willing"]
    assert found.refused == 2


def test_what_is_held_out_is_never_learnt_from(log: EpisodeLog, said: Any) -> None:
    log.append(said(("is it done", "no")), split="heldout")
    log.rate(Rating(episode_id="e", rater="r", turn=0, value=1.0))
    assert read(log).thumbs == []
