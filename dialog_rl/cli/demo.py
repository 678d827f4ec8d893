"""`dialog-rl demo`: the main job end to end, small enough to watch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import opening, pages
from dialog_rl.cli.evaluate import EXPERT, run_suite
from dialog_rl.cli.judging import Judge
from dialog_rl.cli.looking_back import look_back
from dialog_rl.cli.options import environment_options, open_environment
from dialog_rl.cli.output import emit, heading
from dialog_rl.cli.train import Run, finish, opened_run, teach
from dialog_rl.config import Settings
from dialog_rl.text import one_line

if TYPE_CHECKING:
    from dialog_rl.evaluation.document import Document
    from dialog_rl.evaluation.suites import Evaluation
    from dialog_rl.evaluation.summaries import Result
    from dialog_rl.plugins.loading import Plugins

REPORT, MARKDOWN, CURVE = "report.html", "report.md", "learning.png"


@click.command()
@click.option("--pack", default="retail", show_default=True, metavar="NAME|DIR", help="Whose customers to learn from.")
@click.option("--from", "version", default="base", show_default=True, metavar="VERSION", help="Where to start.")
@click.option("--dialogues", type=click.IntRange(min=1), default=2048, show_default=True, help="To learn from.")
@click.option("--goals", type=click.IntRange(min=1), default=300, show_default=True, help="Held-out customers.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--run", "name", metavar="NAME", help="Name of the run. Default: demo-1, demo-2, …")
@environment_options
def demo(
    pack: str,
    version: str,
    dialogues: int,
    goals: int,
    seed: int,
    name: str | None,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
) -> None:
    """Watch the agent learn customer service from its own conversations.

    Measures the base model on customers it has never met, lets it learn by PPO from simulated ones, measures it again,
    shows the same customer before and after, and writes a report and a learning curve.
    """
    flags = {"train__packs": (pack,), "train__version": version, "train__dialogues": dialogues, "train__seed": seed}
    with open_environment(config_file, plugin, no_plugin, evaluate__goals=goals, **flags) as (resolved, plugins):
        settings = resolved.settings
        require_plots()
        with opened_run(settings, plugins, None, name=name, kind="demo") as run:
            heading("1. Before")
            emit(f"How '{version}' does with {goals} customers it has never met:")
            before = measure(settings, plugins, (version,))
            emit(figures(before))
            heading("2. Learning")
            emit(f"{dialogues:,} dialogues with simulated customers; it is told only how each ended.")
            teach(run)
            learned = finish(run)
            heading("3. After")
            emit("The same customers again, and the scripted expert beside it, who knows the pack and is the ceiling:")
            found = measure(settings, plugins, (learned, EXPERT), before.results)
            conclude(found, run, changes(run, plugins))


def require_plots() -> None:
    """Say what is missing before the work, not after it."""
    from importlib.util import find_spec

    from dialog_rl.errors import ConfigError

    if find_spec("matplotlib") is None:
        raise ConfigError("the demo draws its learning curve with matplotlib: pip install 'dialog_rl[plots]'")


def measure(settings: Settings, plugins: Plugins, versions: Sequence[str], known: Sequence[Result] = ()) -> Evaluation:
    from dialog_rl.cli.evaluate import open_contestants
    from dialog_rl.cli.options import interruptible
    from dialog_rl.evaluation.suites import Suite
    from dialog_rl.staging import Customers

    suite = Suite(
        stages=opening.open_stages(plugins, settings.train.packs),
        customers=Customers(split="heldout", seed=settings.evaluate.seed),
        goals=settings.evaluate.goals,
    )
    with interruptible("Stopping.") as cancelled:
        contestants = open_contestants(settings, tuple(versions), cancelled)
        return run_suite(contestants, suite, Judge(settings, plugins, speaks=True), known=known)


def figures(found: Evaluation) -> str:
    from dialog_rl.evaluation.report import percent_interval, share_cell

    s = found.summaries[0]
    return f"  success {percent_interval(s.success_interval)}, rules broken {share_cell(s.violations)}"


def changes(run: Run, plugins: Plugins) -> list[str]:
    """What learning has changed in how the agent behaves."""
    found = look_back(run.folder, run.rewards, plugins)
    return [str(growth) for growth in found.growth] if found is not None else []


def conclude(found: Evaluation, run: Run, changed: Sequence[str]) -> None:
    """The figures, one customer twice, the report and the curve."""
    from dialog_rl.evaluation import report

    emit(report.plain(found))
    story = telling_pair(found)
    if story is not None:
        heading("4. The same customer, before and after")
        for result, episode in story:
            emit(f"\n{result}:")
            emit(dialogue(episode))
    draw_curve(found, run)
    for line in changed:
        emit(f"While it learned, {line}.")
    pages.write(page(found, story, changed, run), [run.folder / REPORT, run.folder / MARKDOWN])
    emit(f"\nReport: {run.folder / REPORT}\nCurve:  {run.folder / CURVE}")


def telling_pair(found: Evaluation) -> list[tuple[str, Any]] | None:
    """The first customer with whom the first version failed and the second succeeded, without a rule broken."""
    from dialog_rl import metrics
    from dialog_rl.evaluation.summaries import reached

    before, after = found.results[:2]
    for key, episode in after.episodes.items():
        if reached(episode) and not metrics.violations(episode) and not reached(before.episodes[key]):
            return [(f"{before.name}, before", before.episodes[key]), ("after learning", episode)]
    return None


def dialogue(episode: Any, limit: int = 400) -> str:
    from dialog_rl.evaluation.report import transcript

    marks = {"customer": "customer", "agent": "   agent", "call": "    call", "answer": "  answer"}
    return "\n".join(f"{marks[who]}  {one_line(text, limit)}" for who, text in transcript(episode))


def draw_curve(found: Evaluation, run: Run) -> None:
    from dialog_rl.evaluation.curves import Curve, Mark, draw
    from dialog_rl.online import training_record

    updates = training_record.read(run.folder)
    ends = [0, updates[-1]["dialogues"] if updates else 0]
    marks = [
        Mark(dialogues=at, success=summary.success_interval)
        for at, summary in zip(ends, found.summaries, strict=False)
    ]  # fmt: skip
    ceiling = next((s.success.value for s in found.summaries if s.name == EXPERT), None)
    title = f"{', '.join(run.settings.train.packs)}: success while learning (line) and on held-out customers (points)"
    draw([Curve(name=run.folder.name, updates=updates, marks=marks)], run.folder / CURVE, title=title, ceiling=ceiling)


def page(found: Evaluation, story: list[tuple[str, Any]] | None, changed: Sequence[str], run: Run) -> Document:
    """What the demo has found, as a page."""
    from dialog_rl.evaluation import chapters, excerpts
    from dialog_rl.evaluation.document import Points, Section, Talks
    from dialog_rl.online import training_record

    more: list[Section] = []
    if changed:
        more.append(Section(title="What changed while it learned", blocks=(Points(lines=tuple(changed)),)))
    if story is not None:
        sides = tuple(excerpts.side(name, episode) for name, episode in story)
        title = "The same customer, before and after"
        more.append(Section(title=title, blocks=(Talks(title="The first that it had to learn", sides=sides),)))
    beside = chapters.Beside(sections=more, learning=training_record.read(run.folder))
    return chapters.whole(found, beside, title="What the agent learned")
