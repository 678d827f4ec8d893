"""The GPU suite: decoding and learning in the shapes of real models, as shares of what the machine can do at best.

Weights are random: speed does not depend on their values.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch

from dialog_rl.bench.ceilings import Ceilings, measure_ceilings, seconds_of
from dialog_rl.bench.measure import machine
from dialog_rl.bench.update import ppo_loss
from dialog_rl.errors import ModelError
from dialog_rl.lm import families
from dialog_rl.lm.adapters import AdapterShape
from dialog_rl.lm.decoder import open_decoder
from dialog_rl.lm.policy import Policy

_QWEN = {"model_type": "qwen2", "rope_theta": 1_000_000.0, "rms_norm_eps": 1e-6}
QWEN_HALF = {
    **_QWEN, "vocab_size": 151_936, "hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14,
    "num_key_value_heads": 2, "intermediate_size": 4864, "max_position_embeddings": 32_768, "tie_word_embeddings": True,
}  # fmt: skip
"""As the configuration of Qwen2.5-0.5B-Instruct tells."""
QWEN_SEVEN = {
    **_QWEN, "vocab_size": 152_064, "hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "intermediate_size": 18_944, "max_position_embeddings": 32_768,
    "tie_word_embeddings": False,
}  # fmt: skip
"""As that of Qwen2.5-7B-Instruct."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    shapes: Mapping[str, Mapping[str, Any]]
    """Name → configuration. The first is trained in full as well."""
    dialogues: int = 64
    context: int = 1024
    """Tokens a dialogue holds when it is decoded on."""
    rows: int = 8
    """Episodes of `context` tokens in a micro-batch."""
    side: int = 8192
    read: int = 1 << 30
    rank: int = 16


WHOLE = Suite(shapes={"Qwen2.5-0.5B": QWEN_HALF, "Qwen2.5-7B": QWEN_SEVEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    model: str
    work: str
    tokens_per_second: float
    share: float
    """Of the ceiling: of bandwidth in decoding, of multiplying in learning."""
    gigabytes: float | None
    """The most that was allocated on the accelerator; None on a CPU."""


def bench_accelerator(
    device: torch.device | None = None, *, suite: Suite = WHOLE, progress: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Raises ModelError where there is no accelerator and none is named."""
    device = device or _accelerator()
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    ceilings = measure_ceilings(device, dtype, side=suite.side, size=suite.read)
    progress(f"at best {ceilings.flops / 1e12:.1f} TFLOP/s and {ceilings.bandwidth / 1e9:.0f} GB/s")
    rows: list[Row] = []
    for row in _rows(device, dtype, suite, ceilings):
        progress(_line(asdict(row)))
        rows.append(row)
    return {
        "bench": "gpu", "device": _name(device), "ceilings": asdict(ceilings), "dialogues": suite.dialogues,
        "context": suite.context, "rows": [asdict(row) for row in rows], "machine": machine(),
    }  # fmt: skip


def lines(result: Mapping[str, Any]) -> list[str]:
    best = result["ceilings"]
    told = f"at best {best['flops'] / 1e12:.2f} TFLOP/s and {best['bandwidth'] / 1e9:.1f} GB/s"
    work = f"{result['dialogues']} dialogues of {result['context']} tokens"
    return [f"gpu: {result['device']}, {told}; {work}", *(_line(row) for row in result["rows"])]


def _line(row: Mapping[str, Any]) -> str:
    memory = "not measured" if row["gigabytes"] is None else f"{row['gigabytes']:.1f} GB"
    speed, share = row["tokens_per_second"], 100 * row["share"]
    return f"  {row['model']:16s} {row['work']:24s} {speed:12,.0f} tokens/s  {share:5.1f} % of the ceiling  {memory}"


def _accelerator() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    raise ModelError("no accelerator is here: 'bench gpu' measures a CUDA device")


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _rows(device: torch.device, dtype: torch.dtype, suite: Suite, ceilings: Ceilings) -> Iterator[Row]:
    for number, (name, document) in enumerate(suite.shapes.items()):
        row = partial(_row, device, name)
        policy = _random_policy(document, device, dtype)
        yield row("decode", lambda policy=policy: _decode(policy, suite, ceilings))
        policy.adapt(AdapterShape(rank=suite.rank, alpha=2 * suite.rank))
        yield row("update, LoRA", lambda policy=policy: _update(policy, suite, ceilings, passes=4))
        del policy
        if number == 0:
            policy = _random_policy(document, device, torch.float32)
            yield row("update, all weights", lambda policy=policy: _update(policy, suite, ceilings, passes=6))
            del policy


def _row(device: torch.device, name: str, work: str, measure: Callable[[], tuple[float, float]]) -> Row:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    speed, share = measure()
    most = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None
    return Row(model=name, work=work, tokens_per_second=speed, share=share, gigabytes=most)


def _random_policy(document: Mapping[str, Any], device: torch.device, dtype: torch.dtype) -> Policy:
    model = families.build(families.known_config(document, source="bench", dtype=dtype), device=device)
    generator = torch.Generator(device).manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.02, generator=generator)
            else:
                parameter.fill_(1.0)
    policy = Policy(model.eval(), autocast=device.type != "cpu")
    policy.value_head.to(device)
    policy.checkpointing = True
    return policy


def _decode(policy: Policy, suite: Suite, ceilings: Ceilings) -> tuple[float, float]:
    """Tokens a second of all dialogues together. The bound: every weight and every key and value is read each step."""
    slots, steps = range(suite.dialogues), 8
    decoder = open_decoder(policy, slots=suite.dialogues, max_length=suite.context + steps)
    for slot in slots:
        decoder.prefill([slot], [_ids(policy, suite.context)])

    def speak() -> None:
        for _ in range(steps):
            decoder.decode(slots, [1] * suite.dialogues)
        for slot in slots:
            decoder.rewind(slot, suite.context)

    seconds = seconds_of(speak, policy.device) / steps
    config, width = policy.model.config, policy.model.dtype.itemsize
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    cache = 2 * config.num_hidden_layers * config.num_key_value_heads * head * suite.context * suite.dialogues
    read = (_weights(policy) + cache) * width
    return suite.dialogues / seconds, read / seconds / ceilings.bandwidth


def _update(policy: Policy, suite: Suite, ceilings: Ceilings, *, passes: int) -> tuple[float, float]:
    """Tokens a second. passes: operations a weight and token: 2 forward, 2 for activations, 2 for trained weights.

    What checkpointing computes again does not count as done, nor does attention.
    """
    ids_BT = torch.tensor([_ids(policy, suite.context)] * suite.rows, device=policy.device)
    lengths_B = torch.full((suite.rows,), suite.context, device=policy.device)
    mask_BT = (torch.arange(suite.context, device=policy.device) % 4 == 3).expand_as(ids_BT)

    def learn() -> None:
        out = policy.evaluate(ids_BT, lengths_B, mask_BT)
        ppo_loss(out.logprobs_BT, out.entropy_BT, out.values_BT).backward()
        policy.zero_grad()

    tokens = suite.rows * suite.context
    seconds = seconds_of(learn, policy.device)
    return tokens / seconds, passes * _weights(policy) * tokens / seconds / ceilings.flops


def _ids(policy: Policy, count: int) -> Sequence[int]:
    return torch.arange(count).remainder(policy.vocab_size).tolist()


def _weights(policy: Policy) -> int:
    """Of the model without adapters, and without the input embeddings, of which a token reads one row."""
    own = {name: p.numel() for name, p in policy.model.named_parameters() if "lora_" not in name}
    tied = policy.model.config.tie_word_embeddings
    return sum(own.values()) - (0 if tied else policy.model.get_input_embeddings().weight.numel())  # type: ignore[union-attr]
