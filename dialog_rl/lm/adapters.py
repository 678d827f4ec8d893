"""Low-rank adapters beside a frozen model, through peft. A version of them holds the adapter and names its base."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dialog_rl.errors import CheckpointError, ConfigError
from dialog_rl.lm.families import FAMILIES

ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
BASE_FILE = "base.json"
_NAME = "default"
_MARK = "lora_"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterShape:
    rank: int = 16
    alpha: int = 32
    """The adapter's output is scaled by alpha / rank."""

    def __post_init__(self) -> None:
        if not (0 < self.rank <= 1024 and 0 < self.alpha <= 1 << 16):
            raise ConfigError(f"an adapter of rank {self.rank} and alpha {self.alpha}; ranks of 1 to 1024 are right")


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The version that an adapter belongs to."""

    id: str
    sha256: str
    """Of its weights, file by file, so that no other weights can bear its name."""


def put_beside(model: PreTrainedModel, shape: AdapterShape, *, seed: int = 0) -> None:
    """Freeze a model and put an adapter beside its linear layers, which does nothing until it is trained.

    Raises ConfigError if peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise ConfigError("adapters need peft: pip install 'dialog_rl[lora]'") from None
    model.requires_grad_(False)
    config = LoraConfig(
        r=shape.rank, lora_alpha=shape.alpha, lora_dropout=0.0, bias="none",
        target_modules=list(FAMILIES[model.config.model_type].projections),
        fan_in_fan_out=model.config.model_type == "gpt2", task_type="CAUSAL_LM",
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model, adapter_name=_NAME)
    for name, parameter in model.named_parameters():
        if _MARK in name:
            parameter.data = parameter.data.float()


def stored(model: nn.Module) -> dict[str, Tensor]:
    """The adapter's tensors, under the names that peft's own files have."""
    own = ((name, p) for name, p in model.named_parameters() if _MARK in name)
    return {"base_model.model." + name.replace(f".{_NAME}.", "."): p for name, p in own}


def effective_weight(layer: Any) -> Tensor:
    """A linear layer's weight with its adapter added, if it has one."""
    if not hasattr(layer, "get_delta_weight"):
        return layer.weight
    return layer.base_layer.weight + layer.get_delta_weight(_NAME).to(layer.base_layer.weight.dtype)


def write_facts(folder: Path, model: PreTrainedModel, shape: AdapterShape, base: Base) -> None:
    """What is beside the tensors: our own facts, and peft's, for whoever loads the adapter elsewhere."""
    (folder / BASE_FILE).write_text(json.dumps({**asdict(shape), "base": asdict(base)}, indent=1) + "\n")
    facts = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": shape.rank, "lora_alpha": shape.alpha, "lora_dropout": 0.0,
        "bias": "none", "fan_in_fan_out": model.config.model_type == "gpt2", "base_model_name_or_path": base.id,
        "target_modules": list(FAMILIES[model.config.model_type].projections), "inference_mode": True,
    }  # fmt: skip
    (folder / ADAPTER_CONFIG).write_text(json.dumps(facts, indent=1) + "\n")


def read_facts(folder: Path) -> tuple[AdapterShape, Base]:
    """Raises CheckpointError if they cannot be read."""
    path = folder / BASE_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        base = Base(**document.pop("base"))
        return AdapterShape(**document), base
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as e:
        raise CheckpointError(f"{path}: does not tell which version the adapter belongs to: {e}") from e
