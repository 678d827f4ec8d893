"""`dialog-rl evaluate` with one thing changed: the same customers with more slips, under other rules, or in another
language."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dialog_rl.cli import pages
from dialog_rl.cli.output import Progress, emit, emit_json, note
from dialog_rl.errors import ConfigError
from dialog_rl.policy_edit import edited, read_edit

if TYPE_CHECKING:
    from dialog_rl.evaluation.suites import Contestant, Evaluation, Suite

Label = TypeVar("Label")


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """What becomes of a measurement."""

    keep: Callable[[Evaluation], None]
    """Hears of each evaluation."""
    report: Path | None
    as_json: bool


Variation = Callable[["Sequence[Contestant]", "Suite", How], None]


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--noise`, `--policy-edit` and `--twins`, given to the command as one `variation`, or none."""

    @functools.wraps(command)
    def with_variation(*, noise: str | None, policy_edit: Path | None, twins: bool, **others: Any) -> Any:
        return command(variation=_wanted(noise, policy_edit, twins), **others)

    decorated = click.option(
        "--twins", is_flag=True, help="The same customers in packs of several languages, such as retail and retail_zh."
    )(with_variation)
    decorated = click.option(
        "--policy-edit", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
        help="The same customers under other rules as well: who is to be served otherwise, and is.",
    )(decorated)  # fmt: skip
    return click.option(
        "--noise", metavar="KIND=A,B,…", help="The same customers with more slips: typos, drops or confusion."
    )(decorated)


def _wanted(noise: str | None, policy_edit: Path | None, twins: bool) -> Variation | None:
    """The one that was asked for. Raises ConfigError for several."""
    asked: dict[str, Variation] = {}
    if noise is not None:
        asked["--noise"] = partial(_noisier, noise)
    if policy_edit is not None:
        asked["--policy-edit"] = partial(_otherwise_ruled, policy_edit)
    if twins:
        asked["--twins"] = _translated
    if len(asked) > 1:
        raise ConfigError(f"{' and '.join(asked)} each change one thing; name one of them")
    return next(iter(asked.values()), None)


def _noisier(levels_wanted: str, contestants: Sequence[Contestant], suite: Suite, how: How) -> None:
    from dialog_rl.evaluation import noise

    kind, levels = noise.read_levels(levels_wanted)
    field = noise.KINDS[kind]
    suites = {level: replace(suite, customers=replace(suite.customers, noise={field: level})) for level in levels}
    found = noise.Sweep(kind=kind, evaluations=_measured(contestants, suites, how))
    _tell("noise", noise, found, how)


def _otherwise_ruled(file: Path, contestants: Sequence[Contestant], suite: Suite, how: How) -> None:
    from dialog_rl.evaluation import flips

    edit, name = read_edit(file)
    stages = tuple(replace(stage, pack=edited(stage.pack, edit)) for stage in suite.stages)
    found = _measured(contestants, {"": suite, name: replace(suite, stages=stages, edit=name)}, how)
    _tell("policy_edit", flips, flips.Flips(edit=name, before=found[""], after=found[name]), how)


def _translated(contestants: Sequence[Contestant], suite: Suite, how: How) -> None:
    from dialog_rl.evaluation import languages

    languages.require_kin(suite.stages)
    twins = replace(suite, customers=replace(suite.customers, twins=True))
    suites = {stage.pack.name: replace(twins, stages=(stage,)) for stage in suite.stages}
    _tell("languages", languages, languages.Languages(evaluations=_measured(contestants, suites, how)), how)


def _measured(contestants: Sequence[Contestant], suites: Mapping[Label, Suite], how: How) -> dict[Label, Evaluation]:
    """Every contestant in each suite."""
    from dialog_rl.evaluation.suites import compared, meet

    total = len(contestants) * sum(
        suite.of(stage) * suite.trials for suite in suites.values() for stage in suite.stages
    )
    found: dict[Label, Evaluation] = {}
    count = [0]
    with Progress("evaluating", total) as progress:

        def on_episode(contestant: Contestant, episode: object) -> None:
            count[0] += 1
            progress.at(count[0], contestant.name)

        for label, suite in suites.items():
            found[label] = compared([meet(one, suite, on_episode) for one in contestants], suite.described())
            how.keep(found[label])
    return found


def _tell(kind: str, told_by: Any, found: object, how: How) -> None:
    """told_by: the module that has `plain`, `whole` and `as_document` for what was found."""
    if how.report is not None:
        pages.write(told_by.whole(found), [how.report])
        note(f"report written to {how.report}")
    if how.as_json:
        emit_json(kind, told_by.as_document(found))
    else:
        emit(told_by.plain(found))
