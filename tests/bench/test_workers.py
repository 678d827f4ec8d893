"""`bench workers`: the same customers served here and by workers, and only if the same is said are times told."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest

if importlib.util.find_spec("ray") is None:
    pytest.skip("needs Ray: pip install dialog_rl[ray]", allow_module_level=True)

from dialog_rl.bench import workers
from dialog_rl.bench.workers import SaidOtherwise, bench_workers, lines
from dialog_rl.episode import Episode
from dialog_rl.plugins.loading import load_plugins
from dialog_rl.staging import Stage, open_stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def shop() -> Stage:
    return open_stage(load_plugins().registry, "retail")


def test_each_way_is_timed_against_this_process(shop: Stage) -> None:
    result = bench_workers(shop, dialogues=4, repeats=1)
    assert list(result["ways"]) == ["this process", "1 worker", "2 workers"]
    assert result["ways"]["this process"]["times_ours"] == 1.0
    assert "4 customers of retail" in lines(result)[0] and "1 worker" in lines(result)[2]


def test_no_times_are_told_of_workers_that_say_something_else(shop: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = workers.rollouts

    def forgetful(*about: Any, **how: Any) -> Iterator[Episode]:
        yield from list(plain(*about, **how))[1:]

    monkeypatch.setattr(workers, "rollouts", forgetful)
    with pytest.raises(SaidOtherwise, match="1 worker, 2 workers did not say"):
        bench_workers(shop, dialogues=4, repeats=1)
