"""`dialog-rl evaluate`: versions side by side on customers none of them has met."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import extensions, lending, opening, pages, variations, workers
from dialog_rl.cli.judging import Judge
from dialog_rl.cli.options import as_json, environment_options, interruptible, open_environment
from dialog_rl.cli.output import Progress, emit, emit_json, note
from dialog_rl.cli.texts import Texts, plain, require_libraries, texts_of
from dialog_rl.config import Settings
from dialog_rl.errors import GateNotMet
from dialog_rl.scenario import SPLITS
from dialog_rl.seeds import derive
from dialog_rl.text import one_line

if TYPE_CHECKING:
    from dialog_rl.episode import Episode
    from dialog_rl.evaluation.chapters import Beside
    from dialog_rl.evaluation.suites import Contestant, Evaluation, Suite
    from dialog_rl.evaluation.summaries import Result

EXPERT = "expert"


@click.command()
@click.argument("versions", nargs=-1)
@click.option("--pack", "packs", multiple=True, metavar="NAME|DIR", help="Pack; several, or 'all'. Default: retail.")
@click.option("--goals", type=click.IntRange(min=1), help="Customers of each pack.")
@click.option("--trials", type=click.IntRange(min=1), help="Conversations with each customer, for pass^k.")
@click.option("--split", type=click.Choice(SPLITS), default="heldout", show_default=True)
@click.option("--phrasing", type=click.Choice(["train", "heldout"]), help="How customers speak. Default: as the split.")
@click.option(
    "--simulator",
    "--simulators",
    "simulators",
    default="agenda",
    show_default=True,
    metavar="NAME[,NAME…]",
    help="Who plays the customers. With several: how far success moves between them, and who failed.",
)
@lending.simulator_flags
@click.option("--temperature", type=click.FloatRange(min=0), help="Of the sampling; 0 takes the likeliest token.")
@click.option("--seed", type=click.IntRange(min=0), help="Which customers are met.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="Write a page: .html, or .md for Markdown."
)
@click.option("--log", type=click.Path(path_type=Path, dir_okay=False), help="Keep the episodes in this log.")
@click.option("--min-success", type=click.FloatRange(0, 1), help="Exit with 4 if the last version succeeds less often.")
@click.option("--pay/--no-pay", default=True, show_default=True, help="See what the settings' rewards would pay for.")
@workers.options
@variations.options
@click.option("--text", "reads", is_flag=True, help="How replies read: length, variety, perplexity, BLEU, chrF, ROUGE.")
@environment_options
@as_json
def evaluate(
    versions: tuple[str, ...],
    packs: tuple[str, ...],
    split: str,
    phrasing: str | None,
    simulators: str,
    simulator_options: tuple[str, ...],
    voice: str | None,
    report: Path | None,
    log: Path | None,
    min_success: float | None,
    pay: bool,
    ray: int | None,
    ray_address: str,
    reads: bool,
    variation: variations.Variation | None,
    as_json: bool,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
    **flags: Any,
) -> None:
    """Measure VERSIONS side by side on customers that none of them has met.

    A version is a name, the beginning of an id, a folder, or 'expert', the scripted expert that knows the pack. Without
    any: base, champion and expert. What a score is not worth is told by 'nothing', 'claims' and 'refuses', agents that
    do nothing, only say that it is done, or refuse; and by 'shortcut', which makes the right changes and asks nobody.
    """
    settings_flags = {f"evaluate__{name}": value for name, value in flags.items()}
    with open_environment(config_file, plugin, no_plugin, **settings_flags) as (resolved, plugins):
        settings = resolved.settings
        pages.require_known(report)
        from dialog_rl.evaluation.suites import Suite
        from dialog_rl.staging import Customers

        customers = Customers(split=split, phrasing=phrasing or "", seed=settings.evaluate.seed)
        suite = Suite(stages=(), customers=customers, goals=settings.evaluate.goals, trials=settings.evaluate.trials)
        if reads:
            require_libraries()
        cast = lending.Cast(settings, plugins, simulators, simulator_options, voice)
        with workers.speaking(settings, ray, ray_address) as how, interruptible("Stopping.") as cancelled:
            contestants = open_contestants(settings, versions or ("base", "champion", EXPERT), cancelled, **how)
            if variation is not None:
                suite = replace(suite, stages=cast.only_stages(opening.all_packs(plugins, packs or ("retail",))))
                how_told = variations.How(keep=partial(_keep, log=log), report=report, as_json=as_json)
                variation(contestants, suite, how_told)
                return
            judge = Judge(settings, plugins, speaks=any(c.tokenizer for c in contestants), pay=pay)
            found = {
                name: run_suite(contestants, replace(suite, stages=stages), judge, log=log, on_result=cast.remember)
                for name, stages in cast.stages(opening.all_packs(plugins, packs or ("retail",)))
            }
        show(
            found, report=report, as_json=as_json, texts=_texts(settings, found) if reads else {},
            measured={simulator: extensions.measured(plugins.registry, one) for simulator, one in found.items()},
            beside=lambda one: pages.beside_of(settings, one, judge),
        )  # fmt: skip
    if min_success is not None:
        require_success(found.values(), min_success)


def require_success(found: Iterable[Evaluation], least: float) -> None:
    """Raises GateNotMet if the last contestant succeeds less often, with whichever simulator."""
    for evaluation in found:
        last = evaluation.summaries[-1]
        if not last.success.value >= least:
            raise GateNotMet(
                f"{last.name} succeeds with {100 * last.success.value:.1f} % of its {evaluation.suite['simulator']} "
                f"customers, not the {100 * least:.1f} % required"
            )


def open_contestants(settings: Settings, versions: tuple[str, ...], cancelled: Any, **how: Any) -> list[Contestant]:
    """how: as `policy_contestant` takes it."""
    from dialog_rl import undeserving
    from dialog_rl.evaluation.contestants import expert, floor, policy_contestant

    found: list[Contestant] = []
    for name in dict.fromkeys(versions):
        if name == EXPERT:
            found.append(expert())
            continue
        if name in undeserving.AGENTS:
            found.append(floor(name))
            continue
        model = opening.open_model(settings, name)
        temperature = settings.evaluate.temperature
        found.append(policy_contestant(name, model, temperature=temperature, cancelled=cancelled, **how))
    return found


def run_suite(
    contestants: Sequence[Contestant],
    suite: Suite,
    judge: Judge,
    *,
    log: Path | None = None,
    known: Sequence[Result] = (),
    on_result: Callable[[Result], None] = lambda result: None,
) -> Evaluation:
    """Evaluate with progress on stderr; episodes go into a log if one is named. `known` results come first."""
    from dialog_rl.episode import StopReason
    from dialog_rl.evaluation import suites

    total = len(contestants) * sum(suite.of(stage) for stage in suite.stages) * suite.trials
    count = [0, 0]
    with Progress("evaluating", total) as progress:

        def on_episode(contestant: Contestant, episode: Episode) -> None:
            count[0] += 1
            progress.at(count[0], contestant.name)

        results = [*known, *(suites.meet(contestant, suite, on_episode) for contestant in contestants)]
    found = judge.compare(results, suite)
    for result in found.results:
        on_result(result)
        broken = [e for e in result.episodes.values() if e.stop is StopReason.USER_ERROR]
        if broken:
            why = one_line(broken[0].note)
            note(f"warning: {len(broken)} conversations with {result.name} were broken by the simulator; first: {why}")
    _keep(found, log)
    return found


def _keep(found: Evaluation, log: Path | None) -> None:
    if log is None:
        return
    from dialog_rl.episode_log.log import EpisodeLog

    with EpisodeLog.open(log) as opened:
        # Equal ids must mean equal episodes: what decides what was said is in the name.
        suite = derive(0, *(f"{key}={value}" for key, value in sorted(found.suite.items())))
        for result in found.results:
            temperature = next((e.temperature for e in result.episodes.values()), 0.0)
            prefix = f"evaluate/{result.version or result.name}/{suite:x}-{temperature:g}"
            opened.append_many(
                [replace(e, episode_id=f"{prefix}/{e.episode_id}") for e in result.episodes.values()],
                run=f"evaluate-{result.name}",
            )
    note(f"episodes kept in {log}")


def _texts(settings: Settings, found: Mapping[str, Evaluation]) -> dict[str, Texts]:
    return {simulator: texts_of(settings, evaluation) for simulator, evaluation in found.items()}


def show(
    found: Mapping[str, Evaluation],
    *,
    as_json: bool,
    report: Path | None = None,
    beside: Callable[[Evaluation], Beside] | None = None,
    texts: Mapping[str, Texts] | None = None,
    measured: Mapping[str, extensions.Measured] | None = None,
) -> None:
    """One evaluation as such; several, by simulator, beside each other. `beside`: what its page tells beside it."""
    from dialog_rl.evaluation import chapters, simulators, simulators_report
    from dialog_rl.evaluation import report as one

    if len(found) == 1:
        (evaluation,) = found.values()
        page = partial(chapters.whole, evaluation, beside(evaluation)) if beside and report else None
        said, document = one.plain(evaluation), one.as_document(evaluation)
    else:
        across = simulators.across(found)
        page = partial(simulators_report.whole, across)
        said, document = simulators_report.plain(across), simulators_report.as_document(across)
    if report is not None and page is not None:
        pages.write(page(), [report])
        note(f"report written to {report}")
    if as_json:
        document = {**document, "text": texts} if texts else document
        document = {**document, "metrics": measured} if any((measured or {}).values()) else document
        emit_json("evaluation" if len(found) == 1 else "evaluations", document)
        return
    emit(said)
    for simulator, read in (texts or {}).items():
        emit(f"\nwith {simulator} customers\n{plain(read)}")
    for simulator, figures in (measured or {}).items():
        if figures:
            emit(f"\nwith {simulator} customers\n{extensions.plain(figures)}")
