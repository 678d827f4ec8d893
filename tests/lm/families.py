"""Small random checkpoints of the families that people bring, made as their authors save them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from dialog_rl.episode import Manual

TEXTS = (
    "Hello, I would like to return order W1234567, please. My name is Anna Smith and my zip code is 10001.",
    'Certainly: find_customer {"name": "Anna Smith", "zip": "10001"} <function-name> returned nothing; sorry!',
    "1. Identify a customer before you read or tell anything.\n2. Orders can be cancelled until they are shipped.\n\n",
    "system user assistant ipython tool model Environment Cutting Knowledge Date Today Action Input Observation",
    "Ünïcödé and 中文 and emoji 🙂 and tabs\t and (brackets) [INST] are text; so are 12 + 30 = 42 and a.b.c",
)  # fmt: skip

CHATML = """{%- if tools %}<|im_start|>system
{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}{{ '\n\n# Tools' }}

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>{% for tool in tools %}{{ '\n' ~ (tool | tojson) }}{% endfor %}{{ '\n</tools>' }}

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
{% elif messages[0].role == 'system' %}<|im_start|>system
{{ messages[0].content }}<|im_end|>
{% endif %}{% for m in messages %}{% if m.role != 'system' %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

NO_THOUGHT = CHATML.replace(
    "<|im_start|>assistant\n{% endif %}",
    "<|im_start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}",
)

LLAMA3 = """{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>

{{ m.content | trim }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>

{% endif %}"""

LLAMA31 = """{{ bos_token }}<|start_header_id|>system<|end_header_id|>

{% if tools %}Environment: ipython
{% endif %}Cutting Knowledge Date: December 2023
Today Date: {{ date_string | default('26 Jul 2024') }}

{{ messages[0].content | trim }}<|eot_id|>{% for m in messages[1:] %}<|start_header_id|>{{ m.role }}<|end_header_id|>

{% if loop.first and tools %}Given the following functions, please respond with a JSON for a function call with its \
proper arguments that best answers the given prompt.

Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.Do not use \
variables.

{% for tool in tools %}{{ tool | tojson(indent=4) }}

{% endfor %}{% endif %}{{ m.content | trim }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}\
<|start_header_id|>assistant<|end_header_id|>

{% endif %}"""

MISTRAL = """{{ bos_token }}{% set system = messages[0].content %}{% for m in messages[1:] %}{% if m.role == 'user' %}\
{% if tools and loop.last %}[AVAILABLE_TOOLS] {{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}\
[INST] {% if loop.last %}{{ system ~ '\n\n' }}{% endif %}{{ m.content }}[/INST]{% else %} {{ m.content }}</s>\
{% endif %}{% endfor %}"""

GEMMA = """{{ bos_token }}{% if messages[0].role == 'system' %}{% set told = messages[0].content ~ '\n\n' %}\
{% set rest = messages[1:] %}{% else %}{% set told = '' %}{% set rest = messages %}{% endif %}{% for m in rest %}\
<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}
{% if loop.first %}{{ told }}{% endif %}{{ m.content | trim }}<end_of_turn>
{% endfor %}{% if add_generation_prompt %}<start_of_turn>model
{% endif %}"""


class Family(NamedTuple):
    model_type: str
    format: str
    specials: tuple[str, ...]
    template: str | None
    byte_level: bool
    settings: dict[str, Any]
    bos: str | None = None
    eos: str = "<|im_end|>"


_CHATML_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<think>", "</think>")
_LLAMA_TOKENS = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
                 "<|python_tag|>")  # fmt: skip
_MISTRAL_TOKENS = ("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]",
                   "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]")  # fmt: skip
_GEMMA_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
_SLIDING = {"sliding_window": 24, "head_dim": 12, "query_pre_attn_scalar": 12}

FAMILIES: dict[str, Family] = {
    "llama3": Family("llama", "llama3", _LLAMA_TOKENS, LLAMA3, True, {}, "<|begin_of_text|>", "<|eot_id|>"),
    "llama3.1": Family("llama", "llama3.1", _LLAMA_TOKENS, LLAMA31, True, {"tie_word_embeddings": True},
                       "<|begin_of_text|>", "<|eot_id|>"),
    "qwen2": Family("qwen2", "chatml", _CHATML_TOKENS[:5], CHATML, True, {"tie_word_embeddings": True}),
    "qwen3": Family("qwen3", "chatml-no-think", _CHATML_TOKENS, NO_THOUGHT, True, {"head_dim": 12}),
    "mistral": Family("mistral", "mistral", _MISTRAL_TOKENS, MISTRAL, False, {"sliding_window": 24, "head_dim": 8},
                      "<s>", "</s>"),
    "gemma": Family("gemma", "gemma", _GEMMA_TOKENS, GEMMA, False, {"head_dim": 12}, "<bos>", "<eos>"),
    "gemma2": Family("gemma2", "gemma", _GEMMA_TOKENS, GEMMA, False, _SLIDING, "<bos>", "<eos>"),
    "gemma3": Family("gemma3_text", "gemma", _GEMMA_TOKENS, GEMMA, False, _SLIDING, "<bos>", "<eos>"),
    "gpt2": Family("gpt2", "plain", ("<|endoftext|>",), None, True, {}, "<|endoftext|>", "<|endoftext|>"),
}  # fmt: skip

MANUAL = Manual(
    policy="Serve customers of the shop. Identify them first.",
    tools=(
        {"type": "function", "function": {
            "name": "find_customer", "description": "Find a customer by name.",
            "parameters": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        }},
        {"type": "function", "function": {
            "name": "cancel_order", "description": "Cancel it.",
            "parameters": {
                "type": "object",
                "properties": {"order": {"type": "string"}, "reason": {"type": "string", "enum": ["late", "other"]}},
                "required": ["order", "reason"],
            },
        }},
    ),
)  # fmt: skip


@cache
def tokenizer_json(name: str) -> str:
    """A BPE tokenizer as the family's: over bytes, or over characters with a mark for spaces and bytes to fall back."""
    family = FAMILIES[name]
    specials = [AddedToken(t, special=t not in ("<tool_call>", "</tool_call>", "<think>", "</think>"))
                for t in family.specials]  # fmt: skip
    if family.byte_level:
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                      show_progress=False)  # fmt: skip
        made.train_from_iterator(TEXTS, trainer)
        made.add_tokens(specials)  # after the vocabulary, as Llama and Qwen have them
        return made.to_str()
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Replace(" ", "▁")
    if name == "mistral":
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=[*family.specials, *bytes_], show_progress=False)
    made.train_from_iterator(TEXTS, trainer)
    document = json.loads(made.to_str())
    # in the vocabulary, and the marks alone are added tokens, as Mistral and Gemma have them
    document["added_tokens"] = [t for t in document["added_tokens"] if t["content"] in family.specials]
    return json.dumps(document)


def hub_tokenizer_of(name: str) -> PreTrainedTokenizerFast:
    """The same as transformers would load it, with the family's chat template."""
    family = FAMILIES[name]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(tokenizer_json(name)), bos_token=family.bos, eos_token=family.eos
    )
    tokenizer.chat_template = family.template
    return tokenizer


def small_model(name: str, *, seed: int = 0, positions: int = 1024) -> Any:
    """Two layers of random weights, large enough that its choices differ."""
    family = FAMILIES[name]
    size = len(Tokenizer.from_str(tokenizer_json(name)).get_vocab())
    shape: dict[str, Any] = {"vocab_size": size, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
                             "num_key_value_heads": 2, "intermediate_size": 48,
                             "max_position_embeddings": positions}  # fmt: skip
    if family.model_type == "gpt2":
        shape = {"vocab_size": size, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": positions}
    ids = {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0}
    config = AutoConfig.for_model(family.model_type, **{**shape, **ids, **family.settings})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        with torch.no_grad():
            for p in model.parameters():
                if p.dim() > 1:
                    p.mul_(5)
    return model.eval()


def save_checkpoint(
    name: str, folder: Path, *, seed: int = 0, shard: str = "5GB", positions: int = 1024
) -> Path:  # fmt: skip
    """A folder as it lies on a hub."""
    folder.mkdir(parents=True, exist_ok=True)
    small_model(name, seed=seed, positions=positions).save_pretrained(folder, max_shard_size=shard)
    (folder / "tokenizer.json").write_text(tokenizer_json(name), encoding="utf-8")
    family = FAMILIES[name]
    config = {"bos_token": family.bos, "eos_token": family.eos, "chat_template": family.template,
              "tokenizer_class": "PreTrainedTokenizerFast"}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder
