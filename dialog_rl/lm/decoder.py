"""Decoding many dialogues at once: key-value slots that persist across turns, so a token is fed once in its life.

Exactness. A dialogue's numbers do not depend on its neighbours: tokens of all slots share the matrix products, whose
rows are computed alike for any number of rows but 1 to 3 (there MKL takes another kernel, so fewer rows are padded to
four); attention runs slot by slot over exactly that slot's tokens, which is also quicker on a CPU than one padded call
(32 slots of 60 to 500 tokens, 5 layers: 6.7 ms against 10.1 ms, where reading the cache once takes 5.5 ms).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaForCausalLM

from dialog_rl.errors import ModelError
from dialog_rl.lm.adapters import effective_weight
from dialog_rl.lm.family_decoder import FamilyDecoder
from dialog_rl.lm.policy import Policy
from dialog_rl.lm.slots import SlotDecoder, Span

LEAST_ROWS = 32
"""Fewer rows are padded to so many: MKL multiplies a few rows by other code than many, whose last bits differ. Measured
with 1 to 16 threads, every number of rows from 28 on gives a row the same bits."""


class _Layer(NamedTuple):
    """A layer's weights, fused for inference, with the norms' weights and the attention's scale folded in."""

    qkv: Tensor
    out: Tensor
    gate_up: Tensor
    down: Tensor


class _Views(NamedTuple):
    """One slot's cells in one layer."""

    keys_GCK: Tensor
    values_GCK: Tensor

    @classmethod
    def of(cls, cache_HCK: Tensor) -> _Views:
        return cls(*cache_HCK.chunk(2))


class Sample(NamedTuple):
    token: int
    logprob: float
    """Under the distribution it was drawn from; for greedy choices, under temperature 1."""


class Decoder(SlotDecoder):
    """Inference over a policy's weights with one key-value cache a slot."""

    def __init__(
        self, policy: Policy, *, slots: int, max_length: int = 1024, dtype: torch.dtype = torch.float32
    ) -> None:
        if not isinstance(policy.model, LlamaForCausalLM):
            raise ModelError(f"the decoder knows Llama models, not {type(policy.model).__name__}")
        config = policy.model.config
        super().__init__(slots=slots, max_length=max_length, positions=config.max_position_embeddings)
        self._policy, self._model, self._dtype = policy, policy.model, dtype
        self._heads, self._kv_heads = (
            config.num_attention_heads,
            config.num_key_value_heads or config.num_attention_heads,
        )
        self._width = config.hidden_size // self._heads
        self._eps = config.rms_norm_eps
        # Keys, then values, of each slot. fp32 whatever the dtype: one query over bf16 keys is the slower one on a CPU.
        shape = (config.num_hidden_layers, slots, 2 * self._kv_heads, max_length, self._width)
        with torch.inference_mode():
            self._cache_LSHCK = torch.zeros(shape, device=policy.device)
            self._slots = [[_Views.of(cache_HCK) for cache_HCK in layer] for layer in self._cache_LSHCK]
            self._causal_TT = torch.ones(max_length, max_length, dtype=torch.bool, device=policy.device).tril()
        self.refresh()

    @torch.inference_mode()
    def refresh(self) -> None:
        super().refresh()
        trunk: Any = self._model.model
        weight = effective_weight
        scale_D1 = torch.ones((self._heads + 2 * self._kv_heads) * self._width, 1, device=self._policy.device)
        scale_D1[: self._heads * self._width] = self._width**-0.5
        self._layers: list[_Layer] = []
        for layer in trunk.layers:
            attention, mlp = layer.self_attn, layer.mlp
            qkv = torch.cat([weight(attention.q_proj), weight(attention.k_proj), weight(attention.v_proj)])
            gate_up = torch.cat([weight(mlp.gate_proj), weight(mlp.up_proj)])
            self._layers.append(_Layer(
                qkv=self._own(qkv * scale_D1 * layer.input_layernorm.weight),
                out=self._own(weight(attention.o_proj)),
                gate_up=self._own(gate_up * layer.post_attention_layernorm.weight),
                down=self._own(weight(mlp.down_proj)),
            ))  # fmt: skip
        self._embedding_VD = self._own(trunk.embed_tokens.weight)
        self._output_VD = self._own(self._model.lm_head.weight * trunk.norm.weight)
        positions = torch.arange(self.max_length, device=self._policy.device)[None]
        cos, sin = trunk.rotary_emb(trunk.embed_tokens.weight, positions)
        self._cos_THK, self._sin_THK = self._turns(cos[0], sin[0])

    def _own(self, weight: Tensor) -> Tensor:
        return weight.detach().to(self._dtype, copy=True).contiguous()

    def _turns(self, cos_TK: Tensor, sin_TK: Tensor) -> tuple[Tensor, Tensor]:
        """Rotary tables over all heads of a fused projection: values are turned by nothing."""
        half = self._width // 2
        sin_TK = torch.cat([-sin_TK[:, :half], sin_TK[:, half:]], dim=-1)
        turned = self._heads + self._kv_heads
        cos_THK = torch.ones(self.max_length, turned + self._kv_heads, self._width, device=cos_TK.device)
        sin_THK = torch.zeros_like(cos_THK)
        cos_THK[:, :turned], sin_THK[:, :turned] = cos_TK[:, None], sin_TK[:, None]
        return cos_THK, sin_THK

    def copied(self, slot: int, begin: int, end: int) -> Tensor:
        return self._cache_LSHCK[:, slot, :, begin:end].clone()

    def _put(self, slot: int, begin: int, cells: Tensor) -> int:
        end = begin + cells.shape[2]
        self._cache_LSHCK[:, slot, :, begin:end] = cells
        return end

    def _logits(self, hidden_ND: Tensor) -> Tensor:
        return F.linear(self._norm(hidden_ND), self._output_VD).float()

    def _forward(self, spans: list[Span], ids: Sequence[int]) -> Tensor:
        device = self._embedding_VD.device
        padded = [*ids, *[0] * (LEAST_ROWS - len(ids))]
        positions = [t for _, count, end in spans for t in range(end - count, end)]
        positions_N = torch.tensor(positions + [0] * (len(padded) - len(ids)), device=device)
        cells_N = self._cells(spans, positions)
        cos_NHK, sin_NHK = self._cos_THK[positions_N], self._sin_THK[positions_N]
        x_ND = F.embedding(torch.tensor(padded, device=device), self._embedding_VD)
        for layer, cache_SHCK, slots in zip(self._layers, self._cache_LSHCK, self._slots, strict=True):
            qkv_NHK = F.linear(self._norm(x_ND), layer.qkv).view(cos_NHK.shape).float()
            qkv_NHK = torch.addcmul(qkv_NHK * cos_NHK, qkv_NHK.roll(self._width // 2, -1), sin_NHK)
            new_NHK = qkv_NHK[: len(ids), self._heads :]
            cache_SHCK.view(-1, self._width).index_copy_(0, cells_N, new_NHK.reshape(-1, self._width))
            seen_ND = self._attend(qkv_NHK[:, : self._heads], slots, spans).to(self._dtype)
            x_ND = x_ND + F.linear(seen_ND, layer.out)
            gate_ND, up_ND = F.linear(self._norm(x_ND), layer.gate_up).chunk(2, dim=-1)
            x_ND = x_ND + F.linear(F.silu(gate_ND) * up_ND, layer.down)
        last_N = torch.tensor([count for _, count, _ in spans], device=device).cumsum(0) - 1
        return x_ND[torch.cat([last_N, last_N[-1:].expand(max(0, LEAST_ROWS - len(spans)))])]

    def _cells(self, spans: list[Span], positions: list[int]) -> Tensor:
        """Where in a layer's cache the keys and values of each token go, head by head."""
        slots = [slot for slot, count, _ in spans for _ in range(count)]
        slots_N1, positions_N1 = torch.tensor([slots, positions], device=self._embedding_VD.device).unsqueeze(-1)
        heads_H = torch.arange(2 * self._kv_heads, device=self._embedding_VD.device)
        return ((slots_N1 * len(heads_H) + heads_H) * self.max_length + positions_N1).flatten()

    def _attend(self, q_NHK: Tensor, slots: list[_Views], spans: list[Span]) -> Tensor:
        """Each span's queries over its own slot's keys and values. Returns seen_ND."""
        queries = q_NHK.split([count for _, count, _ in spans] + [len(q_NHK) - sum(count for _, count, _ in spans)])
        seen = [
            self._one(query, slots[slot], end) if count == 1 else self._several(query, slots[slot], end)
            for query, (slot, count, end) in zip(queries, spans, strict=False)
        ]
        return torch.cat([*seen, queries[-1].flatten(1)])

    def _one(self, query_1HK: Tensor, slot: _Views, end: int) -> Tensor:
        """Two plain products: quicker than the fused kernel for a single query."""
        query_GKQ = query_1HK.view(self._kv_heads, -1, self._width).transpose(1, 2)
        scores_GCQ = torch.bmm(slot.keys_GCK.narrow(1, 0, end), query_GKQ)
        weights_GQC = scores_GCQ.transpose(1, 2).softmax(-1)
        return torch.bmm(weights_GQC, slot.values_GCK.narrow(1, 0, end)).view(1, -1)

    def _several(self, query_NHK: Tensor, slot: _Views, end: int) -> Tensor:
        count = len(query_NHK)
        seen_HNK = F.scaled_dot_product_attention(
            query_NHK.transpose(0, 1)[None], slot.keys_GCK[None, :, :end], slot.values_GCK[None, :, :end], scale=1.0,
            attn_mask=None if count == end else self._causal_TT[end - count : end, :end],
            is_causal=count == end, enable_gqa=self._kv_heads != self._heads,
        )[0]  # fmt: skip
        return seen_HNK.transpose(0, 1).flatten(1)

    def _norm(self, x_ND: Tensor) -> Tensor:
        return F.rms_norm(x_ND, x_ND.shape[-1:], None, self._eps)


def open_decoder(
    policy: Policy, *, slots: int, max_length: int = 1024, dtype: torch.dtype = torch.float32
) -> SlotDecoder:
    """The quickest decoder for a policy: the one above, or its family's own forward. dtype is the one above's."""
    if _is_plain_llama(policy):
        return Decoder(policy, slots=slots, max_length=max_length, dtype=dtype)
    return FamilyDecoder(policy, slots=slots, max_length=max_length)


def _is_plain_llama(policy: Policy) -> bool:
    """Whether the model computes what is written out above, on a CPU."""
    c = policy.model.config
    return (
        isinstance(policy.model, LlamaForCausalLM) and policy.device.type == "cpu"
        and policy.model.dtype == torch.float32 and not (c.attention_bias or c.mlp_bias) and c.hidden_act == "silu"
        and c.head_dim == c.hidden_size // c.num_attention_heads
        and c.rope_parameters.get("rope_type", "default") in ("default", "linear", "llama3")
    )  # fmt: skip


@torch.inference_mode()
def sample(logits_NV: Tensor, uniforms: Sequence[float], *, temperature: float) -> list[Sample]:
    """Draw one token a row by inverting the cumulative distribution at a uniform number in [0, 1).

    Temperature 0 takes the likeliest token. `torch.multinomial` would need a generator a row, and is 13 to 22 times
    slower. The sum runs in double precision, so that a token without probability can never be hit.
    """
    logprobs_NV = (logits_NV / (temperature or 1.0)).log_softmax(-1)
    if temperature == 0:
        tokens_N1 = logits_NV.argmax(-1, keepdim=True)
    else:
        cdf_NV = logprobs_NV.exp().cumsum(-1, dtype=torch.float64)
        total_N1 = cdf_NV[:, -1:]
        wanted_N1 = torch.tensor(uniforms, dtype=torch.float64, device=cdf_NV.device)[:, None] * total_N1
        below_N1 = torch.nextafter(total_N1, torch.zeros_like(total_N1))
        tokens_N1 = torch.searchsorted(cdf_NV, torch.minimum(wanted_N1, below_N1), right=True)
    chosen_N = logprobs_NV.gather(-1, tokens_N1).squeeze(-1)
    return [Sample(*pair) for pair in zip(tokens_N1.squeeze(-1).tolist(), chosen_N.tolist(), strict=True)]
