from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dialog_rl.errors import CheckpointError
from dialog_rl.lm.policy import MODEL_FILE, VALUE_FILE, ModelShape, Policy

TINY = ModelShape(vocab_size=50, hidden=32, layers=2, heads=2, intermediate=48, max_positions=64)


def tiny_policy(seed: int = 0) -> Policy:
    """A policy whose value head is not zero, so that values can be wrong."""
    policy = Policy.fresh(TINY, seed=seed)
    with torch.no_grad():
        policy.value_head.weight.normal_(generator=torch.Generator().manual_seed(seed))
    return policy


def rows(seed: int = 0, lengths: tuple[int, ...] = (12, 7, 3)) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    lengths_B = torch.tensor(lengths)
    ids_BT = torch.randint(0, TINY.vocab_size, (len(lengths), max(lengths)), generator=g)
    real_BT = torch.arange(max(lengths)) < lengths_B[:, None]
    mask_BT = (torch.rand(ids_BT.shape, generator=g) < 0.6) & real_BT
    mask_BT[:, 0] = False
    mask_BT[:, 1] = True
    return ids_BT, lengths_B, mask_BT


def test_evaluation_equals_one_plain_forward_a_prefix() -> None:
    policy = tiny_policy()
    ids_BT, lengths_B, mask_BT = rows()
    got = policy.evaluate(ids_BT, lengths_B, mask_BT, temperature=0.7)
    for b, length in enumerate(lengths_B.tolist()):
        for t in range(1, ids_BT.shape[1]):
            if not mask_BT[b, t]:
                assert got.logprobs_BT[b, t] == got.entropy_BT[b, t] == got.values_BT[b, t] == 0
                continue
            out = policy.model(ids_BT[b : b + 1, :t], output_hidden_states=True)
            spread = torch.distributions.Categorical(logits=out.logits[0, -1].double() / 0.7)
            assert got.logprobs_BT[b, t].item() == pytest.approx(spread.log_prob(ids_BT[b, t]).item(), abs=1e-5)
            assert got.entropy_BT[b, t].item() == pytest.approx(spread.entropy().item(), abs=1e-5)
            value = policy.value_head(out.hidden_states[-1][0, -1]).item()
            assert got.values_BT[b, t].item() == pytest.approx(value, abs=1e-5)
        whole = policy.model(ids_BT[b : b + 1, :length], output_hidden_states=True).hidden_states[-1][0, -1]
        assert got.final_value_B[b].item() == pytest.approx(policy.value_head(whole).item(), abs=1e-5)


def test_padding_changes_neither_values_nor_gradients() -> None:
    policy = tiny_policy()
    ids_BT, lengths_B, mask_BT = rows()

    def gradients(ids: Tensor, lengths: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        policy.zero_grad()
        out = policy.evaluate(ids, lengths, mask)
        loss = (out.logprobs_BT + out.entropy_BT * 0.1 + out.values_BT**2).sum() + out.final_value_B.sum()
        loss.backward()
        return loss.detach(), [p.grad.clone() for p in policy.parameters() if p.grad is not None]

    loss, plain = gradients(ids_BT, lengths_B, mask_BT)
    padded_ids = torch.nn.functional.pad(ids_BT, (0, 9), value=7)
    padded_loss, padded = gradients(padded_ids, lengths_B, torch.nn.functional.pad(mask_BT, (0, 9)))
    assert padded_loss.item() == pytest.approx(loss.item(), rel=1e-6)
    for a, b in zip(plain, padded, strict=True):
        assert (a - b).abs().max() <= 1e-5 * a.abs().max() + 1e-6
    assert len(plain) == len(list(policy.parameters()))


def test_the_fused_causal_kernel_is_called_without_a_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []
    real = torch.nn.functional.scaled_dot_product_attention

    def spy(*args: object, attn_mask: Tensor | None = None, is_causal: bool = False, **rest: object) -> Tensor:
        calls.append(attn_mask is None and is_causal)
        return real(*args, attn_mask=attn_mask, is_causal=is_causal, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    tiny_policy().evaluate(*rows())
    assert calls == [True] * TINY.layers


def test_rows_without_actions_still_have_a_final_value() -> None:
    ids_BT, lengths_B, mask_BT = rows()
    out = tiny_policy().evaluate(ids_BT, lengths_B, torch.zeros_like(mask_BT))
    assert not out.logprobs_BT.any() and out.final_value_B.isfinite().all()


def test_an_action_without_a_prefix_is_refused() -> None:
    ids_BT, lengths_B, mask_BT = rows()
    mask_BT[1, 0] = True
    with pytest.raises(ValueError, match="first token"):
        tiny_policy().evaluate(ids_BT, lengths_B, mask_BT)


def test_bf16_autocast_stays_close_and_returns_fp32() -> None:
    policy = tiny_policy()
    exact = policy.evaluate(*rows())
    policy.autocast = True
    rough = policy.evaluate(*rows())
    assert rough.logprobs_BT.dtype == torch.float32
    assert policy.model.config._attn_implementation == "sdpa"  # noqa: SLF001
    assert 0 < (rough.logprobs_BT - exact.logprobs_BT).abs().max() < 0.05


def test_a_new_value_head_says_zero_everywhere() -> None:
    assert not Policy.fresh(TINY, seed=1).evaluate(*rows()).values_BT.any()


def test_fresh_weights_follow_the_seed_and_leave_the_global_generator_alone() -> None:
    state = torch.random.get_rng_state()
    a, b, c = (Policy.fresh(TINY, seed=s).model.state_dict() for s in (3, 3, 4))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not all(torch.equal(a[k], c[k]) for k in a)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_saved_policy_loads_with_the_weights_it_was_saved_with(tmp_path: Path, dtype: torch.dtype) -> None:
    policy = tiny_policy()
    policy.save(tmp_path, dtype=dtype)
    loaded = Policy.load(tmp_path)
    for (name, saved), got in zip(policy.model.state_dict().items(), loaded.model.state_dict().values(), strict=True):
        assert got.dtype == torch.float32 and torch.equal(saved.to(dtype).float(), got), name
    assert torch.equal(policy.value_head.weight, loaded.value_head.weight)
    assert load_file(tmp_path / MODEL_FILE)["model.norm.weight"].dtype == dtype


def test_the_folder_opens_with_transformers_alone(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    policy = tiny_policy()
    policy.save(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = rows()[0]
    assert torch.equal(model(ids).logits, policy.model(ids).logits)


def test_saving_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        tiny_policy().save(tmp_path / folder)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["config.json", MODEL_FILE, VALUE_FILE]
    for name in ("config.json", MODEL_FILE, VALUE_FILE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def _spoil(path: Path, change: str) -> None:
    tensors = load_file(path)
    name = sorted(tensors)[0]
    if change == "missing":
        del tensors[name]
    elif change == "unexpected":
        tensors["stranger"] = torch.zeros(1)
    elif change == "shape":
        tensors[name] = torch.cat([tensors[name], tensors[name]])
    else:
        tensors[name].view(-1)[0] = torch.nan
    save_file(tensors, path)


@pytest.mark.parametrize("file", [MODEL_FILE, VALUE_FILE])
@pytest.mark.parametrize(
    ("change", "message"),
    [("missing", "missing tensors"), ("unexpected", "stranger"), ("shape", "has shape"), ("nan", "NaN")],
)
def test_tensors_that_do_not_fit_are_refused_by_name(tmp_path: Path, file: str, change: str, message: str) -> None:
    tiny_policy().save(tmp_path)
    _spoil(tmp_path / file, change)
    with pytest.raises(CheckpointError, match=message):
        Policy.load(tmp_path)


@pytest.mark.parametrize("file", ["config.json", MODEL_FILE, VALUE_FILE])
def test_a_missing_or_broken_file_is_named(tmp_path: Path, file: str) -> None:
    tiny_policy().save(tmp_path)
    (tmp_path / file).write_bytes(b"{")
    with pytest.raises(CheckpointError, match=file):
        Policy.load(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(CheckpointError, match=file):
        Policy.load(tmp_path)


def test_another_model_family_is_refused(tmp_path: Path) -> None:
    tiny_policy().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "bloom"}))
    with pytest.raises(CheckpointError, match="model_type is .bloom.; this program reads llama, qwen2"):
        Policy.load(tmp_path)


def test_a_sharpened_policy_is_the_same_at_a_lower_temperature_and_values_the_same() -> None:
    policy = Policy.fresh(ModelShape(vocab_size=64, hidden=32, layers=2, heads=2, intermediate=48), seed=1)
    ids_BT = torch.arange(1, 9)[None]
    mask_BT = torch.ones(1, 8, dtype=torch.bool)
    mask_BT[0, 0] = False
    torch.nn.init.normal_(policy.value_head.weight)
    before = policy.evaluate(ids_BT, torch.tensor([8]), mask_BT, temperature=0.5)
    policy.sharpen(2.0)
    after = policy.evaluate(ids_BT, torch.tensor([8]), mask_BT)
    torch.testing.assert_close(after.logprobs_BT, before.logprobs_BT)
    torch.testing.assert_close(after.values_BT, before.values_BT)
