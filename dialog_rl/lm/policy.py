"""The policy π(token | prefix): a causal language model of transformers with a value head on its last hidden state."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from dialog_rl.errors import CheckpointError, ModelError
from dialog_rl.lm import attention

CONFIG_FILE = "config.json"
MODEL_FILE = "model.safetensors"
VALUE_FILE = "value_head.safetensors"
_ATTENTION: dict[str, Any] = {"attn_implementation": "sdpa"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """The embedded model's size: 2.8 million parameters. Wider ones copied no better for the same tokens."""

    vocab_size: int = 3072
    hidden: int = 192
    layers: int = 5
    heads: int = 3
    intermediate: int = 512
    max_positions: int = 1024
    rope_theta: float = 100_000.0
    """Base of the rotary frequencies: a large one leaves more dimensions that compare contents at any distance."""

    def config(self) -> LlamaConfig:
        return LlamaConfig(
            vocab_size=self.vocab_size, hidden_size=self.hidden, num_hidden_layers=self.layers,
            num_attention_heads=self.heads, num_key_value_heads=self.heads, intermediate_size=self.intermediate,
            max_position_embeddings=self.max_positions, tie_word_embeddings=True, bos_token_id=None, eos_token_id=None,
            architectures=["LlamaForCausalLM"], rope_parameters={"rope_type": "default", "rope_theta": self.rope_theta},
            **_ATTENTION,
        )  # fmt: skip


EMBEDDED_SHAPE = ModelShape()


class TokenEvaluation(NamedTuple):
    """What the policy thinks of given rows. Zero wherever `action_mask_BT` is False."""

    logprobs_BT: Tensor
    """log π(ids[b, t] | ids[b, :t]), in nats."""
    entropy_BT: Tensor
    """Entropy of the distribution that ids[b, t] was drawn from, in nats."""
    values_BT: Tensor
    """V of the prefix before ids[b, t]."""
    final_value_B: Tensor
    """V of the whole row: the bootstrap of a truncated episode."""


class Policy(nn.Module):
    """A language model and its value head. Parameters are fp32; `autocast` runs the trunk's matmuls in bf16."""

    def __init__(self, model: PreTrainedModel, *, autocast: bool = False) -> None:
        super().__init__()
        if model.get_output_embeddings() is None:
            raise ModelError(f"{type(model).__name__} has no output embeddings; a causal language model has")
        self.model = model
        self.value_head = nn.Linear(model.config.hidden_size, 1)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)
        self.autocast = autocast

    @classmethod
    def fresh(cls, shape: ModelShape = EMBEDDED_SHAPE, *, seed: int, autocast: bool = False) -> Policy:
        """Random weights from `seed`; the process's own generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(LlamaForCausalLM(shape.config()), autocast=autocast)

    @property
    def vocab_size(self) -> int:
        return self.model.config.vocab_size

    @property
    def max_positions(self) -> int:
        return self.model.config.max_position_embeddings

    @property
    def device(self) -> torch.device:
        return self.value_head.weight.device

    @property
    def _output(self) -> nn.Linear:
        return cast("nn.Linear", self.model.get_output_embeddings())

    def hidden(self, ids_BT: Tensor) -> Tensor:
        """Last hidden states_BTD in fp32. Rows may be padded on the right: a causal row never sees its padding."""
        # No attention mask on purpose: without one, transformers calls the fused causal kernel.
        kernel = attention.used_by(self.model) if self.autocast and self.device.type == "cpu" else nullcontext()
        with kernel, torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.autocast):
            return self.model.base_model(input_ids=ids_BT, use_cache=False).last_hidden_state.float()

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Next-token logits_NV in fp32."""
        return F.linear(hidden_ND, self._output.weight)

    @torch.no_grad()
    def sharpen(self, factor: float) -> None:
        """Multiply every logit by `factor`, as sampling at temperature 1 / factor would, and leave the values alone.

        What a model has learned from demonstrations is spread wider than they were; sharpened, it miscopies less.
        """
        if not factor > 0:
            raise ValueError(f"sharpen by {factor}: a factor above 0 is needed")
        cast("Any", self.model.base_model).norm.weight.mul_(factor)
        self.value_head.weight.div_(factor)

    def evaluate(
        self, ids_BT: Tensor, lengths_B: Tensor, action_mask_BT: Tensor, *, temperature: float = 1.0
    ) -> TokenEvaluation:
        """Log-probs, entropy and values of the action tokens in rows padded on the right, in one forward.

        Logits exist at action positions only. Raises ValueError if a row's first token is marked as an action:
        nothing precedes it that it could have been drawn from.
        """
        if bool(action_mask_BT[:, 0].any()):
            raise ValueError("the first token of a row cannot be an action")
        hidden_BTD = self.hidden(ids_BT)
        rows_N, columns_N = action_mask_BT.nonzero(as_tuple=True)
        before_ND = hidden_BTD[rows_N, columns_N - 1]
        logits_NV = self.logits(before_ND) / temperature
        logprobs_NV = logits_NV.log_softmax(-1)
        chosen_N = logprobs_NV.gather(-1, ids_BT[rows_N, columns_N].unsqueeze(-1)).squeeze(-1)
        entropy_N = -(logprobs_NV.exp() * logprobs_NV).sum(-1)
        last_BD = hidden_BTD[torch.arange(len(ids_BT), device=ids_BT.device), lengths_B - 1]
        return TokenEvaluation(
            logprobs_BT=_scatter(chosen_N, action_mask_BT),
            entropy_BT=_scatter(entropy_N, action_mask_BT),
            values_BT=_scatter(self.value_head(before_ND).squeeze(-1), action_mask_BT),
            final_value_B=self.value_head(last_BD).squeeze(-1),
        )

    def save(self, directory: Path, *, dtype: torch.dtype = torch.float32) -> None:
        """Write a Hugging Face folder and the value head beside it. bf16 halves the file; the value head stays fp32."""
        directory.mkdir(parents=True, exist_ok=True)
        self.model.config.dtype = dtype
        self.model.config.save_pretrained(directory)
        weights = {name: tensor.detach().to(dtype).contiguous() for name, tensor in _stored(self.model).items()}
        save_file(weights, directory / MODEL_FILE, metadata={"format": "pt"})
        head = {name: tensor.detach().contiguous() for name, tensor in self.value_head.state_dict().items()}
        save_file(head, directory / VALUE_FILE)

    @classmethod
    def load(cls, directory: Path, *, autocast: bool = False) -> Policy:
        """Read what `save` wrote, into fp32. Raises CheckpointError unless every tensor is there, fits, is finite."""
        config = _read_config(directory / CONFIG_FILE)
        with torch.random.fork_rng(devices=[]):
            policy = cls(LlamaForCausalLM(config), autocast=autocast)
        _fill(_stored(policy.model), directory / MODEL_FILE)
        _fill(policy.value_head.state_dict(), directory / VALUE_FILE)
        return policy


def _scatter(values_N: Tensor, mask_BT: Tensor) -> Tensor:
    return values_N.new_zeros(mask_BT.shape).masked_scatter(mask_BT, values_N)


def _stored(model: PreTrainedModel) -> dict[str, Tensor]:
    """The tensors a checkpoint holds: the state dict without the output embedding where that is tied to the input's."""
    tensors = dict(model.state_dict())
    if model.config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    return tensors


def _read_config(path: Path) -> LlamaConfig:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise CheckpointError(f"{path}: no readable model configuration ({e})") from e
    kind = document.get("model_type") if isinstance(document, dict) else None
    if kind != "llama":
        raise CheckpointError(f"{path}: model_type is {kind!r}; this program reads 'llama'")
    try:
        return LlamaConfig(**{**document, **_ATTENTION, "dtype": torch.float32})
    except Exception as e:  # transformers' strict config raises errors of its own kinds
        raise CheckpointError(f"{path}: not a Llama configuration: {e}") from e


def _fill(wanted: dict[str, Tensor], path: Path) -> None:
    """Copy the file's tensors into `wanted`, all of them or none."""
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as e:
        raise CheckpointError(f"{path}: cannot be read as safetensors: {e}") from e
    missing, unexpected = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or unexpected:
        raise CheckpointError(f"{path}: missing tensors {missing or 'none'}, unexpected tensors {unexpected or 'none'}")
    for name, tensor in found.items():
        asked = tuple(wanted[name].shape)
        if tuple(tensor.shape) != asked:
            raise CheckpointError(f"{path}: {name} has shape {tuple(tensor.shape)}; config.json asks for {asked}")
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{path}: {name} holds NaN or infinite weights")
    with torch.no_grad():
        for name, tensor in found.items():
            wanted[name].copy_(tensor)
