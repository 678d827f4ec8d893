"""Decoding many dialogues at once: key-value slots that persist across turns, so a token is fed once in its life.

Exactness. A dialogue's numbers do not depend on its neighbours: tokens of all slots share the matrix products, whose
rows are computed alike for any number of rows (see `dialog_rl.lm.packed`), and attention sees exactly its own slot's
tokens (see `dialog_rl.lm.ragged`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaForCausalLM

from dialog_rl.errors import ModelError
from dialog_rl.lm.adapters import effective_weight
from dialog_rl.lm.family_decoder import FamilyDecoder
from dialog_rl.lm.packed import Packed, fewest_rows
from dialog_rl.lm.policy import Policy
from dialog_rl.lm.ragged import Ragged
from dialog_rl.lm.slots import SlotDecoder, Span


class _Layer(NamedTuple):
    """A layer's weights, fused for inference, with the norms' weights and the attention's scale folded in."""

    qkv: Packed
    out: Packed
    gate: Packed
    up: Packed
    down: Packed


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
        self._fewest_rows = fewest_rows(dtype)
        # Keys, then values, in fp32 whatever the dtype: one query over bf16 keys is the slower one on a CPU.
        shape = (config.num_hidden_layers, 2, slots, self._kv_heads, max_length, self._width)
        with torch.inference_mode():
            self._cache_LPSGTK = torch.empty(shape)  # a cell is written before it is read
            self._causal_TT = torch.full((max_length, max_length), -torch.inf).triu(1)
        self.refresh()

    @torch.inference_mode()
    def refresh(self) -> None:
        super().refresh()
        trunk: Any = self._model.model
        weight = effective_weight
        scale_D1 = torch.ones((self._heads + 2 * self._kv_heads) * self._width, 1)
        scale_D1[: self._heads * self._width] = self._width**-0.5
        self._layers: list[_Layer] = []
        for layer in trunk.layers:
            attention, mlp = layer.self_attn, layer.mlp
            turned = self._paired(weight(attention.q_proj)), self._paired(weight(attention.k_proj))
            qkv = torch.cat([*turned, weight(attention.v_proj)])
            norm_D = layer.post_attention_layernorm.weight
            self._layers.append(_Layer(
                qkv=self._packed(qkv * scale_D1 * layer.input_layernorm.weight),
                out=self._packed(weight(attention.o_proj)),
                gate=self._packed(weight(mlp.gate_proj) * norm_D),
                up=self._packed(weight(mlp.up_proj) * norm_D),
                down=self._packed(weight(mlp.down_proj)),
            ))  # fmt: skip
        self._embedding_VD = trunk.embed_tokens.weight.detach().to(self._dtype, copy=True)
        self._output = self._packed(self._model.lm_head.weight * trunk.norm.weight)
        positions = torch.arange(self.max_length)[None]
        cos_1TK, sin_1TK = trunk.rotary_emb(trunk.embed_tokens.weight, positions)
        self._turns_TK = torch.complex(cos_1TK[0], sin_1TK[0])[:, : self._width // 2]

    def _packed(self, weight: Tensor) -> Packed:
        return Packed(weight, dtype=self._dtype)

    def _paired(self, weight_OD: Tensor) -> Tensor:
        """What a rotary position turns together lies side by side, as a complex number: keys and queries alike."""
        return weight_OD.view(-1, 2, self._width // 2, weight_OD.shape[1]).transpose(1, 2).flatten(0, 2)

    def copied(self, slot: int, begin: int, end: int) -> Tensor:
        return self._cache_LPSGTK[:, :, slot, :, begin:end].clone()

    def _put(self, slot: int, begin: int, cells: Tensor) -> int:
        end = begin + cells.shape[3]
        self._cache_LPSGTK[:, :, slot, :, begin:end] = cells
        return end

    def _logits(self, hidden_ND: Tensor) -> Tensor:
        return self._output(self._norm(hidden_ND)).float()

    def _forward(self, spans: list[Span], ids: Sequence[int]) -> Tensor:
        fill = max(0, self._fewest_rows - len(ids))
        positions = [t for _, count, end in spans for t in range(end - count, end)]
        positions_N = torch.tensor(positions + [0] * fill)
        cells_N = self._cells(spans, positions)
        turns_N1K = self._turns_TK[positions_N].unsqueeze(1)
        x_ND = F.embedding(torch.tensor([*ids, *[0] * fill]), self._embedding_VD)
        attend = self._attention(spans)
        seen_ND = x_ND.new_zeros(len(x_ND), self._heads * self._width)
        for layer, cache_PSGTK in zip(self._layers, self._cache_LPSGTK, strict=True):
            qkv_NHK = layer.qkv(self._norm(x_ND)).unflatten(-1, (-1, self._width)).float()
            turned_NHK = qkv_NHK[:, : self._heads + self._kv_heads]
            torch.view_as_complex(turned_NHK.unflatten(-1, (-1, 2))).mul_(turns_N1K)
            new_NHK = qkv_NHK[: len(ids), self._heads :]
            cache_PSGTK.view(-1, self._width).index_copy_(0, cells_N, new_NHK.reshape(-1, self._width))
            attend(qkv_NHK[: len(ids), : self._heads], cache_PSGTK, seen_ND)
            x_ND = layer.out.plus(seen_ND, x_ND)
            y_ND = self._norm(x_ND)
            x_ND = layer.down.plus(layer.up.times(y_ND, layer.gate.silu(y_ND)), x_ND)
        last_N = torch.tensor([count for _, count, _ in spans]).cumsum(0) - 1
        return x_ND[torch.cat([last_N, last_N[-1:].expand(max(0, self._fewest_rows - len(spans)))])]

    def _cells(self, spans: list[Span], positions: list[int]) -> Tensor:
        """Where in a layer's cache the keys and values of each token go, head by head."""
        slots_N = torch.tensor([slot for slot, count, _ in spans for _ in range(count)])
        first_PSG = torch.arange(2 * len(self._lengths) * self._kv_heads).view(2, len(self._lengths), -1)
        first_NPG = first_PSG[:, slots_N].transpose(0, 1)
        return (first_NPG * self.max_length + torch.tensor(positions)[:, None, None]).flatten()

    def _attention(self, spans: list[Span]) -> Callable[[Tensor, Tensor, Tensor], None]:
        """Writes to seen_ND what the queries_NHK of each span see of its own slot in a layer's cache_PSGTK."""
        ends = list(accumulate(count for _, count, _ in spans))
        single = [at for at, (_, count, _) in enumerate(spans) if count == 1]
        rows = slice(None) if len(single) == ends[-1] else [ends[at] - 1 for at in single]
        ragged = Ragged(
            [(spans[at][0], spans[at][2]) for at in single],
            heads=self._heads, kv_heads=self._kv_heads, slots=len(self._lengths), positions=self.max_length,
        ) if single else None  # fmt: skip

        def attend(query_NHK: Tensor, cache_PSGTK: Tensor, seen_ND: Tensor) -> None:
            if ragged is not None:
                seen_RD = ragged.attend(query_NHK[rows], *cache_PSGTK.view(2, -1, self._width))
                seen_ND[: ends[-1]][rows] = seen_RD.to(self._dtype)
            for row_end, (slot, count, end) in zip(ends, spans, strict=True):
                if count > 1:
                    span = slice(row_end - count, row_end)
                    seen_ND[span] = self._several(query_NHK[span], cache_PSGTK[:, slot, :, :end])

        return attend

    def _several(self, query_NHK: Tensor, cache_PGTK: Tensor) -> Tensor:
        count, end = len(query_NHK), cache_PGTK.shape[2]
        seen_HNK = F.scaled_dot_product_attention(
            query_NHK.transpose(0, 1)[None], cache_PGTK[None, 0], cache_PGTK[None, 1], scale=1.0,
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
