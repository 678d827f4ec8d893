"""A policy too large for one device, divided among several processes by FSDP: each holds a part of every weight."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from dialog_rl.lm.policy import Policy


def shard(policy: Policy) -> Policy:
    """Divide a policy in place among the processes of torch's default group, each of which has the same one.

    It can be evaluated and learn, by all of them together; to speak it must be whole.
    """
    mesh = init_device_mesh(policy.device.type, (dist.get_world_size(),))
    (layers,) = (part for part in policy.model.base_model.children() if isinstance(part, nn.ModuleList))
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(policy, mesh=mesh)
    register_fsdp_forward_method(policy, "evaluate")
    return policy


def whole(policy: Policy) -> dict[str, Tensor]:
    """All of a divided policy's weights, by name. To be asked by all processes."""
    return {
        name: x.full_tensor() if isinstance(x, DTensor) else x for name, x in policy.state_dict().items()
    }  # fmt: skip
