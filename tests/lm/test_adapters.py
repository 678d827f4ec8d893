from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from dialog_rl.errors import CheckpointError
from dialog_rl.lm import adapters, promotions, versions
from dialog_rl.lm.adapters import AdapterShape
from dialog_rl.lm.decoder import open_decoder
from dialog_rl.lm.hub_renderer import renderer_of
from dialog_rl.lm.hub_tokenizer import HubTokenizer
from dialog_rl.lm.model import SpeakingModel
from dialog_rl.lm.policy import Policy
from dialog_rl.rl.freezing import freeze_all_but_last
from tests.lm.families import FAMILIES, small_model, tokenizer_json

pytest.importorskip("peft", reason="adapters need the extra 'lora'")

SHAPE = AdapterShape(rank=4, alpha=8)
IDS = torch.randint(0, 300, (3, 12), generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([12, 12, 12])
MASK = torch.arange(12)[None].expand(3, 12) > 4


def base_model(name: str) -> SpeakingModel:
    renderer = renderer_of(HubTokenizer(tokenizer_json(name).encode()), FAMILIES[name].format)
    return SpeakingModel(policy=Policy(small_model(name)).eval(), renderer=renderer, version="")


def published(name: str, store: Path) -> versions.Version:
    return versions.publish(store, base_model(name).save)


def adapted(name: str, store: Path) -> SpeakingModel:
    version = published(name, store)
    model = SpeakingModel.load(version.path)
    model.adapt(SHAPE, version)
    return model


def logprobs(policy: Policy) -> torch.Tensor:
    with torch.no_grad():
        return policy.evaluate(IDS, LENGTHS, MASK).logprobs_BT


def one_step(policy: Policy) -> None:
    optimizer = torch.optim.AdamW([p for p in policy.parameters() if p.requires_grad], lr=0.05)
    out = policy.evaluate(IDS, LENGTHS, MASK)
    (out.logprobs_BT.sum() + out.values_BT.sum() + out.final_value_B.sum()).backward()
    optimizer.step()


@pytest.mark.parametrize("name", FAMILIES)
def test_the_reference_of_an_adapted_model_is_the_base_model_to_the_bit(name: str, tmp_path: Path) -> None:
    model, base = adapted(name, tmp_path), SpeakingModel.load(published(name, tmp_path / "again").path)
    before = logprobs(base.policy)
    reference = model.frozen()
    one_step(model.policy)
    assert torch.equal(logprobs(reference.policy), before)
    assert not torch.allclose(logprobs(model.policy), before, atol=1e-3)


@pytest.mark.parametrize("name", FAMILIES)
def test_only_the_adapter_and_the_value_head_learn(name: str, tmp_path: Path) -> None:
    model = adapted(name, tmp_path)
    trained = {n for n, p in model.policy.named_parameters() if p.requires_grad}
    assert trained and all("lora_" in n or n.startswith("value_head") for n in trained)
    frozen = {n: p.detach().clone() for n, p in model.policy.named_parameters() if not p.requires_grad}
    one_step(model.policy)
    assert all(torch.equal(dict(model.policy.named_parameters())[n], p) for n, p in frozen.items())


@pytest.mark.parametrize("name", ["llama3", "gpt2", "gemma2"])
def test_a_version_holds_the_adapter_alone_and_speaks_as_it_was_trained(name: str, tmp_path: Path) -> None:
    model = adapted(name, tmp_path)
    one_step(model.policy)
    version = versions.publish(tmp_path, model.save)
    names = set(version.manifest.files)
    assert names == {"adapter_model.safetensors", "adapter_config.json", "base.json", "value_head.safetensors"}
    again = SpeakingModel.load(version.path)
    assert again.version == version.id and again.base == model.base
    assert torch.equal(logprobs(again.policy), logprobs(model.policy))


def test_the_quick_decoder_and_the_learner_agree_about_an_adapted_model(tmp_path: Path) -> None:
    for name in ("llama3", "qwen2"):
        model = adapted(name, tmp_path)
        one_step(model.policy)
        decoder = open_decoder(model.policy, slots=1)
        rows = [decoder.prefill([0], [IDS[0, :5].tolist()])]
        rows += [decoder.decode([0], [int(token)]) for token in IDS[0, 5:-1]]
        engine = torch.cat(rows).log_softmax(-1).gather(-1, IDS[0, 5:, None]).squeeze(-1)
        assert float((engine - logprobs(model.policy)[0, 5:]).abs().max()) <= 1e-4


def test_an_adapter_does_not_lie_beside_other_weights(tmp_path: Path) -> None:
    version = versions.publish(tmp_path, adapted("llama3", tmp_path).save)
    facts = (version.path / adapters.BASE_FILE).read_text()
    _, base = adapters.read_facts(version.path)
    (version.path / adapters.BASE_FILE).write_text(facts.replace(base.sha256, "0" * 64))
    versions.seal(version.path)
    with pytest.raises(CheckpointError, match="belongs to other weights than those in"):
        SpeakingModel.load(version.path)


def test_the_base_of_an_adapter_that_is_kept_is_not_cleared_away(tmp_path: Path) -> None:
    base = published("llama3", tmp_path)
    model = SpeakingModel.load(base.path)
    model.adapt(SHAPE, base)
    for _ in range(5):
        one_step(model.policy)
        kept = versions.publish(tmp_path, model.save)
    cleared = promotions.clear(tmp_path, keep_last=2)
    assert len(cleared) == 3 and base.id not in cleared
    assert SpeakingModel.load(kept.path).version == kept.id


@pytest.mark.parametrize("name", FAMILIES)
def test_computing_layers_again_gives_the_same_gradients(name: str, tmp_path: Path) -> None:
    version = published(name, tmp_path)
    found: list[dict[str, torch.Tensor]] = []
    computed: list[list[int]] = [[], []]
    for again in (False, True):
        policy = SpeakingModel.load(version.path).policy
        policy.checkpointing = again
        layer = next(m for m in policy.modules() if type(m).__name__.endswith("Attention"))
        layer.register_forward_pre_hook(lambda *_, again=again: computed[again].append(1))
        policy.evaluate(IDS, LENGTHS, MASK).logprobs_BT.sum().backward()
        found.append({n: p.grad for n, p in policy.named_parameters() if p.grad is not None})
    assert [len(times) for times in computed] == [1, 2]
    assert found[0].keys() == found[1].keys() and len(found[0]) > 5
    assert all(torch.allclose(found[0][n], found[1][n], atol=1e-4, rtol=1e-4) for n in found[0])


def test_logits_computed_in_parts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[torch.Tensor, torch.Tensor]] = []
    for largest in (1 << 25, 2000):
        monkeypatch.setattr("dialog_rl.lm.policy.LARGEST_LOGITS", largest)
        policy = Policy(small_model("qwen2")).eval()
        out = policy.evaluate(IDS, LENGTHS, MASK, temperature=0.7)
        (out.logprobs_BT.sum() + out.entropy_BT.sum()).backward()
        gradient = policy.model.get_input_embeddings().weight.grad
        assert isinstance(gradient, torch.Tensor)
        found.append((out.logprobs_BT.detach(), gradient))
    assert torch.allclose(found[0][0], found[1][0], atol=1e-5)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("family", ["qwen3", "gpt2"])
def test_layers_that_are_left_out_do_not_learn_and_a_frozen_policy_stays_as_it_was(family: str) -> None:
    policy = Policy(small_model(family)).eval()
    freeze_all_but_last(policy, 1)
    learning = [name for name, p in policy.named_parameters() if p.requires_grad]
    assert not any(re.search(r"\.0\.|embed|wte|wpe", name) for name in learning)
    assert any(".1." in name for name in learning) and any("norm" in name or "ln_f" in name for name in learning)
    before, reference = logprobs(policy), policy.frozen()
    one_step(policy)
    assert torch.equal(logprobs(reference), before) and not torch.equal(logprobs(policy), before)
