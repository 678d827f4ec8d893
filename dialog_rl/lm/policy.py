"""The policy π(token | prefix): a causal language model of transformers with a value head on its last hidden state."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from dialog_rl.errors import ModelError
from dialog_rl.lm import adapters, attention, families, weights
from dialog_rl.lm.adapters import ADAPTER_FILE, AdapterShape

CONFIG_FILE = "config.json"
MODEL_FILE = "model.safetensors"
VALUE_FILE = "value_head.safetensors"
SHARDS = "model*.safetensors"
"""Large models come in several files."""
LARGEST_LOGITS = 1 << 25
"""Logits that are held at once; more are computed in parts, and again for the gradient."""
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
    """A language model and its value head. What is trained is fp32; `autocast` runs the trunk's matmuls in bf16."""

    adapter: AdapterShape | None = None
    """What `adapt` has put beside the model; then the model itself is frozen."""
    checkpointing: bool = False
    """Keep only the layers' inputs for the gradient, and compute the rest again: less memory for a third more time."""
    context: int | None = None
    """Positions used, where the model has more."""

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
        most = self.model.config.max_position_embeddings
        return most if self.context is None else min(most, self.context)

    @property
    def device(self) -> torch.device:
        return self.value_head.weight.device

    @property
    def _output_weight(self) -> Tensor:
        return cast("nn.Linear", self.model.get_output_embeddings()).weight

    def hidden(self, ids_BT: Tensor) -> Tensor:
        """Last hidden states_BTD in fp32. Rows may be padded on the right: a causal row never sees its padding."""
        # No attention mask on purpose: without one, transformers calls the fused causal kernel.
        plain = families.attends_plainly(self.model.config)
        kernel = attention.used_by(self.model) if self.autocast and plain and self.device.type == "cpu" else None
        precision = torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.autocast)
        with kernel or nullcontext(), precision, self._recomputing():
            return self._trunk(ids_BT).float()

    def _trunk(self, ids_BT: Tensor) -> Tensor:
        return self.model.base_model(input_ids=ids_BT, use_cache=False).last_hidden_state

    @contextmanager
    def _recomputing(self) -> Iterator[None]:
        """transformers computes again only what is in training mode; without dropout that mode changes nothing else."""
        wanted = self.checkpointing and torch.is_grad_enabled()
        if wanted:
            if not getattr(self.model.base_model, "gradient_checkpointing", False):
                model: Any = self.model  # transformers gave the method another name in between
                name = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
                getattr(model, f"{name}_checkpointing_enable")({"use_reentrant": False})
            self.model.train()
        try:
            yield
        finally:
            if wanted:
                self.model.eval()

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Next-token logits_NV in fp32."""
        weight_VD = self._output_weight
        logits_NV = F.linear(hidden_ND.to(weight_VD.dtype), weight_VD).float()
        cap = getattr(self.model.config, "final_logit_softcapping", None)
        return logits_NV if cap is None else (logits_NV / cap).tanh() * cap

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
        chosen_N, entropy_N = self._judge(before_ND, ids_BT[rows_N, columns_N], temperature)
        last_BD = hidden_BTD[torch.arange(len(ids_BT), device=ids_BT.device), lengths_B - 1]
        return TokenEvaluation(
            logprobs_BT=_scatter(chosen_N, action_mask_BT),
            entropy_BT=_scatter(entropy_N, action_mask_BT),
            values_BT=_scatter(self.value_head(before_ND).squeeze(-1), action_mask_BT),
            final_value_B=self.value_head(last_BD).squeeze(-1),
        )

    def _judge(self, before_ND: Tensor, ids_N: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Log-probs and entropies of tokens, part by part where the vocabulary is large."""
        size = max(1, LARGEST_LOGITS // self.vocab_size)
        if len(ids_N) <= size:
            return self._judge_part(before_ND, ids_N, temperature)
        parts = [
            checkpoint(self._judge_part, hidden_ND, part_N, temperature, use_reentrant=False)
            for hidden_ND, part_N in zip(before_ND.split(size), ids_N.split(size), strict=True)
        ]
        chosen, entropy = zip(*cast("Any", parts), strict=True)
        return torch.cat(chosen), torch.cat(entropy)

    def _judge_part(self, before_ND: Tensor, ids_N: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        logits_NV = self.logits(before_ND)
        if temperature != 1:  # a division by 1 is a pass over the whole vocabulary, and another one back
            logits_NV = logits_NV / temperature
        logprobs_NV = logits_NV.log_softmax(-1)
        chosen_N = logprobs_NV.gather(-1, ids_N.unsqueeze(-1)).squeeze(-1)
        return chosen_N, -(logprobs_NV.exp() * logprobs_NV).sum(-1)

    def adapt(self, shape: AdapterShape, *, seed: int = 0) -> None:
        """Train an adapter beside the model from here on, and the value head; the model itself is frozen."""
        if self.adapter is not None:
            raise ModelError("there is an adapter already")
        adapters.put_beside(self.model, shape, seed=seed)
        self.adapter = shape

    def frozen(self) -> Policy:
        """This policy as it is now, which further training of it does not change. What is frozen already is shared."""
        return FrozenPolicy(self)

    def save(self, directory: Path, *, dtype: torch.dtype = torch.float32) -> None:
        """Write a Hugging Face folder and the value head beside it. bf16 halves the file; the value head stays fp32.

        Of an adapted model only the adapter is written.
        """
        directory.mkdir(parents=True, exist_ok=True)
        head = {name: tensor.detach().contiguous() for name, tensor in self.value_head.state_dict().items()}
        if self.adapter is not None:
            tensors = {name: tensor.detach().contiguous() for name, tensor in adapters.stored(self.model).items()}
            save_file(tensors, directory / ADAPTER_FILE, metadata={"format": "pt"})
            save_file(head, directory / VALUE_FILE)
            return
        self.model.config.dtype = dtype
        self.model.config.save_pretrained(directory)
        tensors = {name: tensor.detach().to(dtype).contiguous() for name, tensor in weights.stored(self.model).items()}
        save_file(tensors, directory / MODEL_FILE, metadata={"format": "pt"})
        save_file(head, directory / VALUE_FILE)

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        autocast: bool = False,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        kernel: str = "sdpa",
    ) -> Policy:
        """Read what `save` wrote. Raises CheckpointError unless every tensor is there, fits, is finite.

        kernel: transformers' implementation of attention, for learning.
        """
        config = families.read_config(directory / CONFIG_FILE, attn_implementation=kernel, dtype=dtype)
        policy = cls(families.build(config, device=device), autocast=autocast)
        policy.value_head.to(device)
        policy.fill(directory)
        return policy

    def fill(self, directory: Path) -> None:
        """Take over the tensors that another of the same make saved, all of them or none."""
        if self.adapter is not None:
            weights.fill(adapters.stored(self.model), [directory / ADAPTER_FILE])
        else:
            weights.fill(weights.stored(self.model), sorted(directory.glob(SHARDS)) or [directory / MODEL_FILE])
        weights.fill(self.value_head.state_dict(), [directory / VALUE_FILE])


class FrozenPolicy(Policy):
    """A policy as it was once. It owns nothing of the model: what is not trained belongs to the policy it came of."""

    def __init__(self, policy: Policy) -> None:
        nn.Module.__init__(self)
        self._of = (policy,)  # in a tuple, so that its parameters are not this module's
        copies = {id(p): p.detach().clone() for p in policy.model.parameters() if p.requires_grad}
        trunk = policy.model.base_model.named_parameters()
        self._tensors = {name: copies[id(p)] for name, p in trunk if id(p) in copies}
        output_VD = cast("nn.Linear", policy.model.get_output_embeddings()).weight
        self._output_VD = copies.get(id(output_VD), output_VD)
        self.value_head = copy.deepcopy(policy.value_head)
        self.adapter, self.context, self.autocast = policy.adapter, policy.context, policy.autocast

    def __getattr__(self, name: str) -> Any:
        return self._of[0].model if name == "model" else super().__getattr__(name)

    @property
    def _output_weight(self) -> Tensor:
        return self._output_VD

    def _trunk(self, ids_BT: Tensor) -> Tensor:
        inputs = {"input_ids": ids_BT, "use_cache": False}
        return functional_call(self.model.base_model, self._tensors, (), inputs, tie_weights=False).last_hidden_state


def _scatter(values_N: Tensor, mask_BT: Tensor) -> Tensor:
    return values_N.new_zeros(mask_BT.shape).masked_scatter(mask_BT, values_N)
