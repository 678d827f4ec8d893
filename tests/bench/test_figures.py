"""What processes, sizes and devices cost: in small, and that the figures mean what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dialog_rl.bench import accelerator, cost, memory, startup
from dialog_rl.bench.ceilings import measure_ceilings
from dialog_rl.bench.footprint import cost_of, program
from dialog_rl.bench.killing import JobFailed
from dialog_rl.bench.workload import Workload
from dialog_rl.errors import ModelError
from dialog_rl.lm.policy import ModelShape

WORK = Workload(dialogues=3, turns=2, brief=5, said=4, reply=3, vocab_size=64)
SHAPE = ModelShape(vocab_size=64, hidden=16, layers=1, heads=2, intermediate=24, max_positions=64)
CPU = torch.device("cpu")
TINY = {"model_type": "qwen2", "vocab_size": 96, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 24, "max_position_embeddings": 64}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_memory_is_what_the_work_needed_and_the_parent_keeps_none_of_it() -> None:
    held: list[bytearray] = []
    assert 60e6 < cost_of(lambda: held.append(bytearray(b"x" * 64_000_000))).bytes < 200e6
    assert not held and cost_of(lambda: None).bytes < 20e6


def test_work_that_fails_is_no_measurement() -> None:
    with pytest.raises(JobFailed):
        cost_of(lambda: 1 / 0)
    with pytest.raises(JobFailed, match="ended with 1: ValueError: no"):
        program("raise ValueError('no')")


def test_processor_time_of_a_program_is_counted() -> None:
    wall, processor = program("sum(range(3_000_000))")
    assert 0 < processor <= wall * 1.5


@pytest.mark.parametrize(("bf16", "updates"), [(True, 4), (False, 3)])
def test_memory_names_every_way_that_pays(monkeypatch: pytest.MonkeyPatch, bf16: bool, updates: int) -> None:
    monkeypatch.setattr(memory, "bf16_pays", lambda: bf16)
    result = memory.bench_memory(work=WORK, shape=SHAPE)
    assert json.loads(json.dumps(result)) == result
    assert {part: len(ways) for part, ways in result["parts"].items()} == {"rollout": 2, "update": updates}
    assert len(memory.lines(result)) == 3 + updates


def test_starting_is_measured_beside_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(startup, "program", lambda code, *a: asked.append(code) or (float(len(asked)), 1.0))
    result = startup.bench_startup(repeats=2)
    assert result["ways"][startup.USUAL]["seconds"] == 7.5, "rounds after the first, in turn: 6 and 9"
    for code in asked[:3]:
        compile(code, "startup", "exec")


def test_cost_is_measured_over_dialogues_turns_and_weights_and_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    sizes = cost.Range(dialogues=(1, 2), turns=(1, 2), hidden=(16, 32), work=WORK, shape=SHAPE)
    result = cost.bench_cost(sizes=sizes)
    assert json.loads(json.dumps(result)) == result and len(cost.lines(result)) == 10
    cost.draw(result, tmp_path / "cost.png")
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")


def test_the_exponent_is_that_of_the_growth() -> None:
    xs = [2, 4, 8, 32]
    assert cost.exponent(xs, [5 * x for x in xs]) == pytest.approx(1)
    assert cost.exponent(xs, [0.1 * x**2 for x in xs]) == pytest.approx(2)


def test_the_sizes_that_are_told_are_those_of_the_models() -> None:
    from dialog_rl.lm.policy import Policy

    for shape in (SHAPE, cost._wide(SHAPE, 32), ModelShape()):
        assert cost._weights(shape) == sum(p.numel() for p in Policy.fresh(shape, seed=0).model.parameters())


def test_the_suite_for_accelerators_measures_every_kind_of_work() -> None:
    pytest.importorskip("peft", reason="adapters need the extra 'lora'")
    tiny = accelerator.Suite(
        shapes={"small": TINY, "large": {**TINY, "num_hidden_layers": 3}}, dialogues=3, context=20, rows=2, side=64,
        read=1 << 16, rank=2,
    )  # fmt: skip
    result = accelerator.bench_accelerator(CPU, suite=tiny)
    assert json.loads(json.dumps(result)) == result
    rows = [(row["model"], row["work"]) for row in result["rows"]]
    assert rows == [
        ("small", "decode"), ("small", "update, LoRA"), ("small", "update, all weights"),
        ("large", "decode"), ("large", "update, LoRA"),
    ]  # fmt: skip
    assert all(row["tokens_per_second"] > 0 and 0 < row["share"] < 1.2 for row in result["rows"])
    assert len(accelerator.lines(result)) == 6


def test_the_suite_has_the_shapes_that_it_names() -> None:
    from dialog_rl.lm import families

    counts = []
    for document in accelerator.WHOLE.shapes.values():
        config = families.known_config(document, source="test")
        with torch.device("meta"):
            counts.append(sum(p.numel() for p in families.FAMILIES["qwen2"].model(config).parameters()))
    assert counts == [494_032_768, 7_615_616_512], "as their model cards tell: 0.49B and 7.61B"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is an accelerator")
def test_without_an_accelerator_the_suite_says_so() -> None:
    with pytest.raises(ModelError, match="no accelerator is here"):
        accelerator.bench_accelerator()


def test_ceilings_are_rates() -> None:
    small = measure_ceilings(CPU, torch.float32, side=128, size=1 << 20)
    assert 1e8 < small.flops < 1e14 and 1e7 < small.bandwidth < 1e13
