"""Two of Ray's nodes on this machine, each with processes and resources of its own: one may go at any moment."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if importlib.util.find_spec("ray") is None:
    pytest.skip("needs Ray: pip install dialog_rl[ray]", allow_module_level=True)

from dialog_rl.bench.rehearsal import babbler
from dialog_rl.episode import Episode
from dialog_rl.lm.rollouts import rollouts
from dialog_rl.scale.cluster import cluster
from tests.scale.test_fleet import callers, spoken

if TYPE_CHECKING:
    from dialog_rl.scale.fleet import Fleet

FULL = bool(os.environ.get("DIALOG_RL_FULL"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000 if FULL else 600)]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    started.add_node(num_cpus=1)
    yield started
    started.shutdown()


@pytest.fixture(scope="module")
def fleet(nodes: Any) -> Iterator[Fleet]:
    with cluster(nodes.address):
        from dialog_rl.scale.fleet import Fleet

        with Fleet(2) as fleet:
            yield fleet


def test_two_nodes_say_what_this_process_would_say_bit_for_bit(nodes: Any, fleet: Fleet) -> None:
    import ray

    assert sorted(node["Resources"]["CPU"] for node in ray.nodes()) == [1.0, 1.0]
    assert spoken(fleet.rollouts, babbler(), callers(24)) == spoken(rollouts, babbler(), callers(24))


def test_a_node_that_is_killed_takes_no_conversation_with_it(nodes: Any, fleet: Fleet) -> None:
    model, expected, before = babbler(), spoken(rollouts, babbler(), callers(24)), fleet.died
    for _ in range(10 if FULL else 1):
        came: list[Episode] = []
        for episode in fleet.rollouts(
            model.policy, model.renderer, callers(24), slots=4, max_length=256, temperature=1.0, version="v"
        ):  # fmt: skip
            came.append(episode)
            if len(came) == 5:
                (second,) = nodes.worker_nodes
                nodes.remove_node(second, allow_graceful=False)
                nodes.add_node(num_cpus=1)
        assert sorted(came, key=lambda e: e.episode_id) == expected
    assert fleet.died > before  # at least the first time, when a worker had come to the second node
