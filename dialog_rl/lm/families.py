"""The model families that are read: by their own classes, with settings of known names and sizes, and nothing else.

`config.json` comes from strangers. What it may say is what the family's configuration class has a default for; names
that load code, choose kernels or begin with an underscore are not among them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.initialization import no_init_weights

from dialog_rl.errors import CheckpointError

CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Family:
    config: type[PreTrainedConfig]
    model: type[PreTrainedModel]
    projections: tuple[str, ...]
    """The linear layers that adapters are put beside."""


_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
FAMILIES: Mapping[str, Family] = {
    "llama": Family(LlamaConfig, LlamaForCausalLM, _PROJECTIONS),
    "qwen2": Family(Qwen2Config, Qwen2ForCausalLM, _PROJECTIONS),
    "qwen3": Family(Qwen3Config, Qwen3ForCausalLM, _PROJECTIONS),
    "mistral": Family(MistralConfig, MistralForCausalLM, _PROJECTIONS),
    "gemma": Family(GemmaConfig, GemmaForCausalLM, _PROJECTIONS),
    "gemma2": Family(Gemma2Config, Gemma2ForCausalLM, _PROJECTIONS),
    "gemma3_text": Family(Gemma3TextConfig, Gemma3ForCausalLM, _PROJECTIONS),
    "gpt2": Family(GPT2Config, GPT2LMHeadModel, ("c_attn", "c_proj", "c_fc")),
}

_NEVER = frozenset({
    "_name_or_path", "architectures", "auto_map", "dtype", "id2label", "is_encoder_decoder", "label2id",
    "output_attentions", "output_hidden_states", "problem_type", "return_dict", "torch_dtype", "transformers_version",
    "chunk_size_feed_forward", "use_cache", "add_cross_attention", "use_bidirectional_attention",
})  # fmt: skip
_LEGACY = frozenset({"rope_theta", "rope_scaling", "rope_local_base_freq", "sliding_window_pattern", "attention_bias",
                     "rope_parameters", "layer_types"})  # fmt: skip
"""Names that older checkpoints of these families use."""
_LARGEST = {
    "hidden_size": 32_768, "n_embd": 32_768, "num_hidden_layers": 256, "n_layer": 256, "num_attention_heads": 512,
    "n_head": 512, "num_key_value_heads": 512, "intermediate_size": 262_144, "n_inner": 262_144, "head_dim": 1_024,
    "vocab_size": 1 << 20, "max_position_embeddings": 16 << 20, "n_positions": 1 << 20, "sliding_window": 16 << 20,
    "pretraining_tp": 1,
}  # fmt: skip
"""What no model of these families exceeds: a file that asks for more is not one of theirs."""
_DROPOUT = ("attention_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop")
_NO_DEEPER = 4


def read_config(path: Path, **settings: Any) -> PreTrainedConfig:
    """The configuration in a file, of one of the known families. Raises CheckpointError that says what is wrong."""
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_BYTES + 1)
        document = json.loads(content) if len(content) <= CONFIG_BYTES else None
    except (OSError, ValueError, RecursionError) as e:
        raise CheckpointError(f"{path}: no readable model configuration ({e})") from e
    if not isinstance(document, dict):
        raise CheckpointError(f"{path}: no model configuration: an object of at most {CONFIG_BYTES} bytes is wanted")
    return known_config(document, source=str(path), **settings)


def known_config(document: Mapping[str, Any], *, source: str, **settings: Any) -> PreTrainedConfig:
    """A stranger's document as a configuration: what is not known is left out, what is too large is refused."""
    kind = document.get("model_type")
    family = FAMILIES.get(kind) if isinstance(kind, str) else None
    if family is None:
        raise CheckpointError(f"{source}: model_type is {str(kind)[:60]!r}; this program reads {', '.join(FAMILIES)}")
    allowed = (set(family.config().to_dict()) | _LEGACY) - _NEVER - {"model_type"}
    kept = {name: value for name, value in document.items() if name in allowed}
    for name, value in kept.items():
        _require_plain(name, value, source)
    kept |= {name: 0.0 for name in _DROPOUT if name in allowed}  # the ratio of a policy to itself must be 1
    kept["architectures"] = [family.model.__name__]  # other programs read it; it must not be a stranger's word
    try:
        capped = {"attn_implementation": "eager"} if kept.get("attn_logit_softcapping", kind == "gemma2") else {}
        defaults = {"attn_implementation": "sdpa", "dtype": torch.float32}
        return family.config(**kept, **{**defaults, **settings, **capped})  # the fused kernels know no soft cap
    except Exception as e:  # transformers' strict config raises errors of its own kinds
        reason = " ".join(str(e).split())[:300]
        raise CheckpointError(f"{source}: not a configuration of the family {kind}: {reason}") from e


def _require_plain(name: str, value: Any, source: str, depth: int = 0) -> None:
    """Numbers, words, flags, and small containers of them."""
    if depth > _NO_DEEPER:
        raise CheckpointError(f"{source}: {name} is nested more than {_NO_DEEPER} deep")
    if isinstance(value, dict | list):
        if len(value) > 1024:
            raise CheckpointError(f"{source}: {name} has {len(value)} entries")
        for item in value.values() if isinstance(value, dict) else value:
            _require_plain(name, item, source, depth + 1)
    elif isinstance(value, str) and len(value) > 200:
        raise CheckpointError(f"{source}: {name} is a text of {len(value)} characters")
    elif (
        name in _LARGEST
        and value is not None
        and (isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LARGEST[name])
    ):
        raise CheckpointError(f"{source}: {name} is {str(value)[:40]}; from 1 to {_LARGEST[name]} is right")


def build(config: PreTrainedConfig, *, device: torch.device | str = "cpu") -> PreTrainedModel:
    """A model of a configuration whose weights are about to be filled in. The process's generator stays as it was."""
    family = FAMILIES[config.model_type]
    with torch.random.fork_rng(devices=[]), no_init_weights(), torch.device(device):
        model = family.model._from_config(config)  # noqa: SLF001 - the one way that heeds dtype and attention
    model.tie_weights()
    return model


def attends_plainly(config: PreTrainedConfig) -> bool:
    """Whether attention is the causal softmax over everything before, without soft caps or windows."""
    windows = getattr(config, "sliding_window", None) and "sliding_attention" in (
        getattr(config, "layer_types", None) or ["sliding_attention"]
    )
    return not windows and not getattr(config, "attn_logit_softcapping", None)
