"""`dialog-rl pretrain`: a base model for packs, from what their expert shows as a trainee, and from logs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import opening, pretraining
from dialog_rl.cli.options import as_json, environment_options, open_environment
from dialog_rl.cli.output import duration, emit, emit_json
from dialog_rl.config import Settings
from dialog_rl.errors import ConfigError

if TYPE_CHECKING:
    from dialog_rl.lm.pretrain import Pretrained
    from dialog_rl.lm.versions import Version
    from dialog_rl.online.dialogues import Dialogues


@click.command()
@click.option("--pack", "packs", multiple=True, metavar="NAME|DIR", help="Pack; several, or 'all'. Default: all.")
@click.option(
    "--name", default=None, metavar="ALIAS", help="What to call the version: 'train --from ALIAS' starts there."
)
@click.option(
    "--from", "starts", multiple=True, metavar="VERSION|LOG",
    help="Go on with this version, at a third of the step size; learn from this log as well. Several.",
)  # fmt: skip
@click.option("--share", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="Of the conversations that come from logs, where there are any; 1: all.")  # fmt: skip
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
    starts: tuple[str, ...],
    share: float,
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
    alone. The same seed gives the same weights. With --from LOG a part of the conversations is what others have said:
    imported chats, and people's where they have agreed; one in ten is held out, and measured before and after.
    """
    if out is not None and out.exists():
        raise ConfigError(f"{out} is there already; name a folder that is not")
    with open_environment(config_file, plugin, no_plugin) as (resolved, plugins):
        names = opening.all_packs(plugins, packs or ("all",))
        opening.open_stages(plugins, names)  # so that a bad pack is named before minutes are spent
        opening.prepare_torch(resolved.settings)
        start, logs = pretraining.divided(resolved.settings, starts)
        parent = opening.open_model(resolved.settings, start) if start is not None else None
        recipe = pretraining.Recipe(
            packs=names, tokens=tokens, flawless=flawless, processes=processes or _processes(), seed=seed,
            dialogues=_dialogues(logs), share=share,
        )  # fmt: skip
        learnt = pretraining.learn(recipe, parent)
        made = learnt.made
        made.policy.sharpen(sharpen)
        trained_on: dict[str, Any] = {"packs": list(names), "tokens": made.tokens, "seed": seed, "flawless": flawless}
        trained_on["from"] = parent.version if parent is not None else ""
        trained_on["sharpened"] = sharpen
        if recipe.dialogues is not None:
            trained_on |= {
                "logs": list(recipe.dialogues.logs),
                "dialogues": len(recipe.dialogues.learned),
                "share": share,
            }
        version = _save(made, resolved.settings, trained_on, name=name, out=out, bf16=bf16)
    _tell(learnt, version, name, as_json=as_json)


def _dialogues(logs: tuple[str, ...]) -> Dialogues | None:
    from dialog_rl.online.dialogues import dialogues_of

    return dialogues_of(logs) if logs else None


def _processes() -> int:
    from dialog_rl.lm.threads import available_cores

    return available_cores()


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


def _tell(learnt: pretraining.Learnt, version: Version, name: str | None, *, as_json: bool) -> None:
    made = learnt.made
    if as_json:
        document = {"version": version.id, "folder": str(version.path), "name": name}
        emit_json("pretrained", {**document, **pretraining.as_document(learnt)})
        return
    emit(f"version {version.id} in {version.path}, {version.manifest.size / 1e6:.1f} MB")
    emit(f"{made.tokens:,} tokens in {duration(made.wall_seconds)} ({duration(made.cpu_seconds)} of CPU)\n")
    emit(pretraining.plain(learnt))
    emit(f"\nTeach it: dialog-rl train --from {name or version.id} --pack …")
