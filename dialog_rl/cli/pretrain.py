"""`dialog-rl pretrain`: a base model for packs, from nothing but the demonstrations their expert gives as a trainee."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import opening
from dialog_rl.cli.options import as_json, environment_options, open_environment
from dialog_rl.cli.output import Progress, duration, emit, emit_json, note
from dialog_rl.config import Settings
from dialog_rl.errors import ConfigError

if TYPE_CHECKING:
    from dialog_rl.lm.model import SpeakingModel
    from dialog_rl.lm.pretrain import HeldOut, Pretrained
    from dialog_rl.lm.versions import Version

HELD_OUT = 200
"""Conversations with customers of the validation split, on which the base is measured."""
FIRST_HELD_OUT = 10_000_000


@click.command()
@click.option("--pack", "packs", multiple=True, metavar="NAME|DIR", help="Pack; several, or 'all'. Default: all.")
@click.option(
    "--name", default=None, metavar="ALIAS", help="What to call the version: 'train --from ALIAS' starts there."
)
@click.option("--from", "start", metavar="VERSION", help="Go on with this version, at a third of the step size.")
@click.option("--tokens", type=click.IntRange(min=1), help="To learn from.")
@click.option("--sharpen", type=click.FloatRange(min=0.1, max=10), default=1.0, show_default=True,
              help="Multiply the logits in the end: as 1 / temperature, but for good.")  # fmt: skip
@click.option("--flawless", is_flag=True, help="Demonstrations without a trainee's mistakes.")
@click.option("--processes", type=click.IntRange(min=1), help="That make demonstrations. Default: one a core.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write the version's folder here, not into the store.")
@click.option("--bf16", is_flag=True, help="Store weights in half the space.")
@environment_options
@as_json
def pretrain(
    packs: tuple[str, ...],
    name: str | None,
    start: str | None,
    tokens: int | None,
    sharpen: float,
    flawless: bool,
    processes: int | None,
    seed: int,
    out: Path | None,
    bf16: bool,
    as_json: bool,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
) -> None:
    """Make a base model for packs, from demonstrations.

    The scripted expert serves simulated customers as a trainee does, with mistakes; tokenizer and model learn from that
    alone. The same seed gives the same weights.
    """
    if out is not None and out.exists():
        raise ConfigError(f"{out} is there already; name a folder that is not")
    with open_environment(config_file, plugin, no_plugin) as (resolved, plugins):
        names = opening.all_packs(plugins, packs or ("all",))
        opening.open_stages(plugins, names)  # so that a bad pack is named before minutes are spent
        opening.prepare_torch(resolved.settings)
        parent = opening.open_model(resolved.settings, start) if start is not None else None
        made = _learn(names, tokens, flawless, processes or _processes(), seed, parent)
        made.policy.sharpen(sharpen)
        trained_on = {"packs": list(names), "tokens": made.tokens, "seed": seed, "flawless": flawless}
        trained_on["from"] = parent.version if parent is not None else ""
        trained_on["sharpened"] = sharpen
        version = _save(made, resolved.settings, trained_on, name=name, out=out, bf16=bf16)
    _tell(made, version, name, as_json=as_json)


def _processes() -> int:
    from dialog_rl.lm.threads import available_cores

    return available_cores()


def _learn(
    packs: tuple[str, ...],
    tokens: int | None,
    flawless: bool,
    processes: int,
    seed: int,
    parent: SpeakingModel | None,
) -> Pretrained:
    from dialog_rl.expert import NONE, TRAINEE
    from dialog_rl.lm import pretrain as lm_pretrain
    from dialog_rl.lm.model import embedded_tokenizer
    from dialog_rl.online.apprentice import Apprenticeship, demonstrations

    config = lm_pretrain.PretrainConfig()
    config = config if tokens is None else replace(config, tokens=tokens)
    if parent is not None:
        config = replace(config, muon_lr=config.muon_lr / 3, adam_lr=config.adam_lr / 3)
        parent.policy.autocast = True
    what = Apprenticeship(packs=packs, seed=seed, mistakes=NONE if flawless else TRAINEE)
    held_out = list(demonstrations(replace(what, split="validation"), first=FIRST_HELD_OUT, count=HELD_OUT))
    note(f"learning from demonstrations of {', '.join(packs)}; {config.tokens:,} tokens, {processes} processes")
    with Progress("pretraining", config.tokens) as progress:

        def report(at: lm_pretrain.Progress) -> None:
            progress.at(at.tokens, f"loss {at.loss:.3f}  {at.tokens_per_second:,.0f} tokens/s")

        return lm_pretrain.pretrain(
            demonstrations(what, processes=processes),
            seed=seed,
            held_out=held_out,
            config=config,
            tokenizer=embedded_tokenizer(parent) if parent is not None else None,
            start=parent.policy if parent is not None else None,
            report=report,
        )


def _save(
    made: Pretrained, settings: Settings, trained_on: dict[str, Any], *, name: str | None, out: Path | None, bf16: bool
) -> Version:
    from dialog_rl.lm import promotions, versions
    from dialog_rl.lm.model import SpeakingModel

    model = SpeakingModel(policy=made.policy, renderer=made.renderer, version="")
    origin = versions.Origin(fingerprint=made.renderer.fingerprint, trained_on=trained_on, created_by="pretrain")
    fill = model.save_in_half if bf16 else model.save
    if out is not None:
        out.mkdir(parents=True)
        fill(out)
        versions.seal(out, origin)
        return versions.verify(out)
    root = Path(settings.paths.runs) / opening.VERSIONS
    version = versions.publish(root, fill, origin)
    if name is not None:
        promotions.promote(root, name, version.id, reason="pretrained", by="dialog-rl pretrain")
    return version


def _tell(made: Pretrained, version: Version, name: str | None, *, as_json: bool) -> None:
    held_out = made.held_out
    if as_json:
        from dataclasses import asdict

        emit_json(
            "pretrained",
            {
                "version": version.id,
                "folder": str(version.path),
                "name": name,
                "tokens": made.tokens,
                "seconds": made.wall_seconds,
                "cpu_seconds": made.cpu_seconds,
                "held_out": asdict(held_out) if held_out is not None else None,
            },
        )
        return
    emit(f"version {version.id} in {version.path}, {version.manifest.size / 1e6:.1f} MB")
    emit(f"{made.tokens:,} tokens in {duration(made.wall_seconds)} ({duration(made.cpu_seconds)} of CPU)")
    if held_out is not None:
        emit(_measured(held_out))
    emit(f"Teach it: dialog-rl train --from {name or version.id} --pack …")


def _measured(held_out: HeldOut) -> str:
    return (
        f"on customers it has not seen: {held_out.loss:.3f} nats an action token, "
        f"{100 * held_out.exact:.1f} % of the values it must copy exactly right"
    )
