"""`dialog-rl scenarios`: which packs there are, what is in them, whether they are sound, and how to begin one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import pack_deeds
from dialog_rl.cli.options import as_json, environment_options, open_environment
from dialog_rl.cli.output import counted, emit, emit_json, heading, note
from dialog_rl.cli.pack_screen import browse
from dialog_rl.cli.recorded_chats import chats
from dialog_rl.cli.scenario_import import import_
from dialog_rl.errors import ConfigError, DialogRLError
from dialog_rl.scenario import SPLITS
from dialog_rl.text import one_line, table

if TYPE_CHECKING:
    from dialog_rl.pack import Pack
    from dialog_rl.plugins.loading import Plugins

TEMPLATE = ("pack.yaml", "phrasing.yaml", "policy.md")


class PackUnsound(DialogRLError):
    """Lint found something to mend."""


@click.group()
def scenarios() -> None:
    """List, show, lint, import and start scenario packs."""


scenarios.add_command(import_)
scenarios.add_command(browse)
scenarios.add_command(chats)


@contextmanager
def plugins_of(config_file: Path | None, plugin: tuple[Path, ...], no_plugin: tuple[str, ...]) -> Iterator[Plugins]:
    with open_environment(config_file, plugin, no_plugin) as (_, plugins):
        yield plugins


@scenarios.command(name="list")
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@environment_options
@as_json
def list_(folders: tuple[Path, ...], as_json: bool, **environment: Any) -> None:
    """List the packs that are installed, and those in FOLDERS."""
    from dialog_rl.staging import find_pack

    rows: list[dict[str, Any]] = []
    with plugins_of(**environment) as plugins:
        for folder in pack_deeds.folders_with_packs(folders):
            try:
                pack = find_pack(plugins.registry, str(folder.resolve()))
                rows.append(_row(str(folder), pack.file.source, pack))
            except DialogRLError as e:
                note(f"warning: pack {folder}: {one_line(str(e))}")
        for name, registration in sorted(plugins.registry.scenario_packs.items()):
            try:
                rows.append(_row(name, registration.plugin, find_pack(plugins.registry, name)))
            except DialogRLError as e:
                note(f"warning: pack {name}: {one_line(str(e))}")
    if as_json:
        emit_json("packs", {"packs": rows})
        return
    headers = ["pack", "language", "intents", "tools", "articles", "what it is"]
    emit(table(headers, [[r[h] for h in (*headers[:5], "title")] for r in rows], right=[2, 3, 4]))


def _row(name: str, plugin: str, pack: Pack) -> dict[str, Any]:
    return {
        "pack": name,
        "plugin": plugin,
        "language": pack.language,
        "intents": len(pack.file.intents),
        "tools": len(pack.file.tools),
        "articles": len(pack.file.articles),
        "title": pack.file.title,
        "folder": str(pack.folder),
    }


@scenarios.command()
@click.argument("pack")
@click.option("--customer", type=click.IntRange(min=0), help="Show one customer, by number, as a scenario document.")
@click.option("--split", type=click.Choice(SPLITS), default="heldout", show_default=True)
@environment_options
@as_json
def show(pack: str, customer: int | None, split: str, as_json: bool, **environment: Any) -> None:
    """Show what is in PACK, a name or a folder; with --customer, one scenario made from it."""
    from dialog_rl.staging import Customers, document, find_pack, open_stage

    with plugins_of(**environment) as plugins:
        if customer is None:
            opened = find_pack(plugins.registry, pack)
            if as_json:
                emit_json(
                    "pack", {**_row(pack, "", opened), "document": opened.file.model_dump(mode="json", by_alias=True)}
                )
            else:
                emit("\n".join(pack_deeds.told(opened)))
            return
        stage = open_stage(plugins.registry, pack)
        ((scenario, seed),) = Customers(split=split).scenarios(stage.pack, 1, first=customer)
        if as_json:
            emit_json("scenario", {"seed": seed, "scenario": document(scenario)})
            return
        from dialog_rl.cli.chat import card

        heading(scenario.id)
        for remark in card(stage, scenario, seed):
            emit(remark)
        emit(f"Right: {pack_deeds.right(scenario)}")
        note("--json shows the whole document")


@scenarios.command()
@click.argument("pack")
@click.option("--seeds", type=click.IntRange(min=1), default=10, show_default=True, help="Customers a circumstance.")
@environment_options
@as_json
def lint(pack: str, seeds: int, as_json: bool, **environment: Any) -> None:
    """Prove that PACK, a name or a folder, is sound.

    Every kind of customer is played: the expert must reach each goal and break no rule, doing nothing must reach none,
    and what is forbidden must not succeed. Exits with 1 if there is an error.
    """
    with plugins_of(**environment) as plugins:
        folder, findings = pack_deeds.findings(plugins, pack, seeds)
    errors = sum(finding.severity == "error" for finding in findings)
    if as_json:
        from dataclasses import asdict

        emit_json("lint", {"pack": str(folder), "errors": errors, "findings": [asdict(f) for f in findings]})
    else:
        for finding in findings:
            emit(pack_deeds.line(finding))
        emit(f"{folder}: {pack_deeds.counts(findings)}")
    if errors:
        raise PackUnsound(f"{folder}: {counted(errors, 'error')} to mend")


@scenarios.command()
@click.argument("folder", type=click.Path(path_type=Path))
def new(folder: Path) -> None:
    """Start a pack of your own in FOLDER: a small one that works, to change step by step."""
    name = folder.resolve().name
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name):
        raise ConfigError(f"{name!r} is no name for a pack: lower-case letters, digits and '_', a letter first")
    if folder.exists():
        raise ConfigError(f"{folder} is there already; name a folder that is not")
    folder.mkdir(parents=True)
    template = files("dialog_rl.cli") / "new_pack"
    for file in TEMPLATE:
        text = (template / file).read_text(encoding="utf-8").replace("NAME", name)
        (folder / file).write_text(text, encoding="utf-8")
    where = folder if folder.is_absolute() else f"./{folder}"
    emit(f"{folder}/: {', '.join(TEMPLATE)}")
    emit(f"Check it:  dialog-rl scenarios lint {where}")
    emit(f"Try it:    dialog-rl simulate --pack {where} --version expert --count 5 && dialog-rl episodes list")
    emit(f"Teach it:  dialog-rl pretrain --pack {where} --name {name} && dialog-rl train --pack {where} --from {name}")
