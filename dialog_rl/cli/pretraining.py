"""What `dialog-rl pretrain` learns from, and how well it then knows what it has not learnt from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialog_rl.cli import opening
from dialog_rl.cli.output import Progress, note
from dialog_rl.config import Settings
from dialog_rl.errors import ConfigError
from dialog_rl.text import table

if TYPE_CHECKING:
    from dialog_rl.lm.demonstrations import Demonstration
    from dialog_rl.lm.held_out import HeldOut
    from dialog_rl.lm.model import SpeakingModel
    from dialog_rl.lm.policy import Policy
    from dialog_rl.lm.pretrain import PretrainConfig, Pretrained
    from dialog_rl.lm.renderer import EmbeddedRenderer
    from dialog_rl.online.dialogues import Dialogues

HELD_OUT = 200
"""Conversations with customers of the validation split, and logged ones, on which the base is measured."""
FIRST_HELD_OUT = 10_000_000
CUSTOMERS, LOGGED = "customers it has not met", "logged conversations it has not read"

Measured = Mapping[str, "HeldOut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    packs: tuple[str, ...]
    tokens: int | None
    flawless: bool
    processes: int
    seed: int
    dialogues: Dialogues | None
    share: float
    """Of the conversations that are dialogues, where there are any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    made: Pretrained
    before: Measured
    """Empty for a base made from nothing."""
    after: Measured


def divided(settings: Settings, wanted: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """What --from names: the version to go on with, if any, and logs. Raises ConfigError at a second version."""
    logs = [name for name in wanted if _is_log(settings, name)]
    versions = [name for name in wanted if name not in logs]
    if len(versions) > 1:
        raise ConfigError(f"--from names more than one version: {', '.join(versions)}; the others may be logs")
    return (versions[0] if versions else None), tuple(opening.find_log(settings, name) for name in logs)


def _is_log(settings: Settings, name: str) -> bool:
    """A database's URL, a file, or a run with a log; the folder of a version holds none."""
    folders = (Path(settings.paths.runs) / name, Path(name))
    return "://" in name or Path(name).is_file() or any((folder / opening.LOG).is_file() for folder in folders)


def learn(recipe: Recipe, parent: SpeakingModel | None) -> Learnt:
    """Pretrain by a recipe, from nothing or from `parent`, which is changed."""
    from dialog_rl.lm import pretrain as lm_pretrain
    from dialog_rl.lm.model import embedded_tokenizer
    from dialog_rl.lm.precision import bf16_pays
    from dialog_rl.lm.renderer import EmbeddedRenderer
    from dialog_rl.mistakes import NONE, TRAINEE
    from dialog_rl.online.apprentice import Apprenticeship, demonstrations

    config, before = _config(recipe, parent), {}
    what = Apprenticeship(packs=recipe.packs, seed=recipe.seed, mistakes=NONE if recipe.flawless else TRAINEE)
    customers = list(demonstrations(replace(what, split="validation"), first=FIRST_HELD_OUT, count=HELD_OUT))
    probes = {CUSTOMERS: customers}
    if recipe.dialogues is not None:
        probes[LOGGED] = list(recipe.dialogues.held_out[:HELD_OUT])
    if parent is not None:
        parent.policy.autocast = bf16_pays(parent.policy.device)
        before = _measured(parent.policy, EmbeddedRenderer(embedded_tokenizer(parent)), probes)
    _announce(recipe, config)
    with Progress("pretraining", config.tokens) as progress:

        def report(at: lm_pretrain.Progress) -> None:
            progress.at(at.tokens, f"loss {at.loss:.3f}  {at.tokens_per_second:,.0f} tokens/s")

        made = lm_pretrain.pretrain(
            _supply(recipe, demonstrations(what, processes=recipe.processes)),
            seed=recipe.seed,
            config=config,
            tokenizer=embedded_tokenizer(parent) if parent is not None else None,
            start=parent.policy if parent is not None else None,
            report=report,
        )
    return Learnt(made=made, before=before, after=_measured(made.policy, made.renderer, probes))


def _config(recipe: Recipe, parent: SpeakingModel | None) -> PretrainConfig:
    from dialog_rl.lm.pretrain import PretrainConfig

    config = PretrainConfig()
    config = config if recipe.tokens is None else replace(config, tokens=recipe.tokens)
    if parent is None:
        return config
    return replace(config, muon_lr=config.muon_lr / 3, adam_lr=config.adam_lr / 3)


def _supply(recipe: Recipe, made: Iterator[Demonstration]) -> Iterator[Demonstration]:
    from dialog_rl.online.dialogues import mixed

    if recipe.dialogues is None:
        return made
    return mixed(made, recipe.dialogues.learned, share=recipe.share, seed=recipe.seed)


def _announce(recipe: Recipe, config: PretrainConfig) -> None:
    note(
        f"learning from demonstrations of {', '.join(recipe.packs)}; {config.tokens:,} tokens, "
        f"{recipe.processes} processes"
    )
    if (found := recipe.dialogues) is not None:
        note(f"and from {len(found.learned):,} logged conversations; {len(found.held_out):,} are held out")
        for why, count in found.left_out.items():
            note(f"{count:,} left out: {why}")


def _measured(policy: Policy, renderer: EmbeddedRenderer, probes: Mapping[str, Sequence[Demonstration]]) -> Measured:
    from dialog_rl.lm.demonstrations import row_of
    from dialog_rl.lm.held_out import measure

    found: dict[str, HeldOut] = {}
    for name, probe in probes.items():
        rows = [row_of(one, renderer, find_copies=True) for one in probe]
        if fitting := [row for row in rows if len(row) <= policy.max_positions]:
            found[name] = measure(policy, fitting)
    return found


def plain(learnt: Learnt) -> str:
    """What was measured, for a terminal."""
    stages = [("before", learnt.before)] if learnt.before else []
    stages += [("after" if stages else "it is", learnt.after)]
    rows = [
        [f"{what}, {name}", *(shown(stage[name]) for _, stage in stages)]
        for name in learnt.after
        for what, shown in (("perplexity of a token", _perplexity), ("values copied exactly", _exact))
    ]
    return table(["", *(name for name, _ in stages)], rows, right=range(1, len(stages) + 1))


def _perplexity(found: HeldOut) -> str:
    return f"{math.exp(found.loss):.3g}"


def _exact(found: HeldOut) -> str:
    return "–" if math.isnan(found.exact) else f"{100 * found.exact:.1f} %"


def as_document(learnt: Learnt) -> dict[str, Any]:
    after = {name: asdict(found) for name, found in learnt.after.items()}
    return {
        "tokens": learnt.made.tokens, "seconds": learnt.made.wall_seconds, "cpu_seconds": learnt.made.cpu_seconds,
        "held_out": after.get(CUSTOMERS), "logged": after.get(LOGGED),
        "before": {name: asdict(found) for name, found in learnt.before.items()},
    }  # fmt: skip
