"""A lease in the log's database: one holder, and what a former holder does is refused."""

from __future__ import annotations

import threading

import pytest

from dialog_rl.episode_log import leases
from dialog_rl.episode_log.leases import Held, LeaseLost
from dialog_rl.episode_log.log import EpisodeLog

from .conftest import Opener


def test_the_token_rises_with_every_holder(log: EpisodeLog):
    assert leases.look(log, "updater") == Held()
    first = leases.take(log, "updater", "ann", seen=Held())
    second = leases.take(log, "updater", "bob", seen=leases.look(log, "updater"))
    assert (first, second) == (1, 2)
    assert leases.look(log, "updater") == Held(token=2, holder="bob")


def test_of_many_who_saw_the_same_one_takes_it(open_log: Opener):
    logs = [open_log() for _ in range(4)]
    seen = leases.look(logs[0], "updater")
    taken: list[int] = []
    lost: list[str] = []

    def take(number: int) -> None:
        try:
            taken.append(leases.take(logs[number], "updater", f"h{number}", seen=seen))
        except LeaseLost as e:
            lost.append(str(e))

    threads = [threading.Thread(target=take, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == [1] and len(lost) == 3


def test_who_has_shown_life_in_the_meantime_keeps_it(log: EpisodeLog):
    token = leases.take(log, "updater", "ann", seen=Held())
    seen = leases.look(log, "updater")
    assert leases.beat(log, "updater", token)
    with pytest.raises(LeaseLost, match="taken by ann"):
        leases.take(log, "updater", "bob", seen=seen)


def test_a_former_holder_can_neither_beat_nor_commit(log: EpisodeLog):
    token = leases.take(log, "updater", "ann", seen=Held())
    leases.take(log, "updater", "bob", seen=leases.look(log, "updater"))
    assert not leases.beat(log, "updater", token)
    with pytest.raises(LeaseLost), leases.guarded(log, "updater", token):
        pytest.fail("the block of a former holder ran")
    with leases.guarded(log, "updater", token + 1):
        pass


def test_what_is_given_back_by_a_former_holder_stays_the_present_ones(log: EpisodeLog):
    token = leases.take(log, "updater", "ann", seen=Held())
    leases.take(log, "updater", "bob", seen=leases.look(log, "updater"))
    leases.give_back(log, "updater", token)
    assert leases.look(log, "updater").holder == "bob"
    leases.give_back(log, "updater", token + 1)
    assert leases.look(log, "updater") == Held(token=2)


def test_nobody_takes_it_while_the_holder_commits(open_log: Opener):
    one, other = open_log(), open_log()
    if one.database.is_sqlite:
        pytest.skip("an SQLite file has one writer anyway")
    token = leases.take(one, "updater", "ann", seen=Held())
    seen = leases.look(other, "updater")
    order: list[str] = []

    def take() -> None:
        leases.take(other, "updater", "bob", seen=seen)
        order.append("taken")

    with leases.guarded(one, "updater", token):
        thread = threading.Thread(target=take)
        thread.start()
        thread.join(timeout=0.3)
        order.append("committed")
    thread.join()
    assert order == ["committed", "taken"]
