"""`dialog-rl learn`: learn from what people think of their conversations, while they have them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_rl.cli import opening
from dialog_rl.cli.options import as_json, environment_options, open_environment
from dialog_rl.cli.output import counted, duration, emit, emit_json, note
from dialog_rl.config import Settings, resolve
from dialog_rl.episode_log.log import EpisodeLog
from dialog_rl.errors import DialogRLError, EpisodeLogError
from dialog_rl.text import one_line, table

if TYPE_CHECKING:
    from dialog_rl.cli.updating import Wanted
    from dialog_rl.online.looking_in import Outlook
    from dialog_rl.online.receipts import Receipt
    from dialog_rl.online.updater import Report

WHERE = "Log to learn from: a run, a file or a database URL. Default: that of your chats."
log_option = click.option("--log", metavar="RUN|FILE|URL", help=WHERE)
run_option = click.option("--run", default="learn", show_default=True, metavar="NAME", help="Folder of its state.")


@click.group(invoke_without_command=True)
@log_option
@run_option
@click.option("--pack", "packs", multiple=True, metavar="NAME|DIR", help="Whose simulated customers take part.")
@click.option("--batch", type=click.IntRange(min=1), help="Rated conversations an update. Default: 8.")
@click.option("--wait", type=float, help="Seconds after which fewer will do; -1 for never. Default: 60.")
@click.option("--idle", type=click.FloatRange(min=0), help="Seconds without a word in any chat before an update.")
@click.option(
    "--simulated", type=click.FloatRange(min=0), help="Simulated conversations for each rated one. Default: 1."
)
@click.option("--learning-rate", type=float, help="Of the optimizer.")
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over an update's conversations.")
@click.option("--seed", type=click.IntRange(min=0), help="Everything random follows from it.")
@click.option("--gate-pairs", type=click.IntRange(min=1), help="Customers that the gate plays at most. Default: 400.")
@click.option("--gate-cases", type=click.IntRange(min=0), help="Cases of each suite that must be passed. Default: 100.")
@click.option("--shadow", is_flag=True, help="Learn and gate, and never promote.")
@click.option("--once", is_flag=True, help="Learn from what is queued, then end.")
@click.option("--beside", type=int, hidden=True, metavar="PID", help="End as --once does when this parent is gone.")
@environment_options
@as_json
@click.pass_context
def learn(
    context: click.Context,
    log: str | None,
    run: str,
    packs: tuple[str, ...],
    wait: float | None,
    gate_pairs: int | None,
    gate_cases: int | None,
    shadow: bool,
    once: bool,
    beside: int | None,
    as_json: bool,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
    **given: Any,
) -> None:
    """Learn from rated conversations, and let the gate decide what speaks.

    Follows the log of your chats until it is ended. A conversation is learnt from if it is finished and rated, its
    person agreed ('chat --learn', or /learn), and a recent champion spoke it. 'learn status' says what waits and why,
    'learn receipt' what became of a rating. Ending it at any moment loses nothing.
    """
    if context.invoked_subcommand is not None:
        return

    def ending() -> bool:
        """Whether to end once nothing is queued: a chat that this was beside is over."""
        return once or (beside is not None and os.getppid() != beside)

    from dialog_rl.cli import updating

    wanted = updating.Wanted(
        run=run,
        log=log,
        packs=packs,
        config={**given, "wait": updating.seconds(wait), "shadow": shadow},
        gate={"pairs": gate_pairs, "cases": gate_cases},
    )
    with open_environment(config_file, plugin, no_plugin) as (resolved, plugins), updating.ended_by_signals():
        settings = updating.with_threads(resolved.settings)
        updating.step_back()
        with plugins.watching(run, wanted.folder(settings)):
            for report in _updates(settings, plugins, wanted, ending):
                tell(report, as_json=as_json)


def _updates(settings: Settings, plugins: Any, wanted: Wanted, ending: Callable[[], bool]) -> Iterator[Report]:
    """Update after update. A database that went away is waited for; the updater then takes up its last checkpoint."""
    opening.prepare_torch(settings)
    from dialog_rl.cli import updating
    from dialog_rl.episode_log.database import Disconnected

    pause = 1.0
    while True:
        try:
            with (
                EpisodeLog.open(wanted.where(settings)) as log,
                updating.held(settings, wanted, log, shadow=wanted.config["shadow"], patience=1.0) as lease,
            ):
                updater = updating.open_updater(settings, plugins, wanted, log, lease, note)
                note(f"{wanted.folder(settings)}: learning from {log.name}, after update {updater.course.update}")
                pause = 1.0
                yield from updating.told_to(plugins, updater, updater.run_on(finishing=ending))
                return
        except Disconnected as e:
            note(f"{e}; trying again in {duration(pause)}")
            time.sleep(pause)
            pause = min(60.0, 2 * pause)


def tell(report: Report, *, as_json: bool) -> None:
    """One update, for whoever watches."""
    record, verdict = report.record, report.verdict
    if as_json:
        emit_json("update", {"record": asdict(record), "verdict": asdict(verdict)})
        return
    became = "promoted" if verdict.promoted else "passed in shadow" if verdict.passed else "refused"
    of_version = (
        f"{verdict.version} {became}: {verdict.reason}" if verdict.version else f"no candidate: {verdict.reason}"
    )
    emit(
        f"update {record.update}: {counted(record.ratings, 'rating')}, {record.simulated} simulated, "
        f"{duration(record.seconds)}. {one_line(of_version, 1000)}"
    )
    if record.warning:
        note(f"warning: {record.warning}")


# Looking in


@contextmanager
def _opened(log: str | None, run: str) -> Iterator[tuple[Settings, Wanted, EpisodeLog]]:
    """A log to read, and what is asked about it."""
    from dialog_rl.cli.updating import Wanted

    settings = resolve().settings
    wanted = Wanted(run=run, log=log, packs=(), config={}, gate={})
    where = wanted.where(settings)
    if "://" not in where and not Path(where).is_file():
        raise EpisodeLogError(f"there is no log at {where} yet: nobody has talked; 'dialog-rl chat' makes one")
    with EpisodeLog.open(where, read_only=True) as opened:
        yield settings, wanted, opened


@learn.command()
@log_option
@run_option
@as_json
def status(log: str | None, run: str, as_json: bool) -> None:
    """Show what is queued, what is not learnt from and why, and when the next update is due."""
    from dialog_rl.online.looking_in import look

    with _opened(log, run) as (settings, wanted, opened):
        outlook = look(wanted.folder(settings), opened, opening.stores(settings))
    if as_json:
        emit_json("learning", outlook.document())
        return
    for line in _outlook_lines(outlook):
        emit(line)


def _outlook_lines(outlook: Outlook) -> Iterator[str]:
    running = "running" if outlook.running else "not running; start it: dialog-rl learn"
    yield f"updater: {running}. {counted(outlook.update, 'update')} made from {counted(outlook.used, 'conversation')}."
    yield f"champion: {outlook.champion}" + ("" if outlook.active else " (no process speaks with it yet)")
    if outlook.last:
        yield f"last: {one_line(outlook.last, 1000)}"
    queued = outlook.summary.queued
    raters = len({held.rater for facts in queued for held in facts.ratings})
    yield f"queued: {counted(len(queued), 'rated conversation')} of {counted(raters, 'rater')}"
    yield f"next update: {outlook.next_update()}"
    if not outlook.summary.refused:
        return
    yield "not learnt from:"
    rows = [(count, why, outlook.summary.examples[why]) for why, count in outlook.summary.refused.items()]
    yield table(["", "why", "for example"], rows, right=[0])


@learn.command()
@click.argument("what", required=False)
@log_option
@run_option
@click.option("--last", type=click.IntRange(min=1), default=20, show_default=True, help="So many latest ratings.")
@as_json
def receipt(what: str | None, log: str | None, run: str, last: int, as_json: bool) -> None:
    """Show what became of ratings: of a conversation, of one rating by its id, or of the latest ones."""
    from dialog_rl.online.looking_in import rules_of
    from dialog_rl.online.receipts import all_receipts, receipts

    with _opened(log, run) as (settings, _, opened):
        rules = rules_of(opening.stores(settings))
        event = opened.find(what) if what is not None else None
        if what is None:
            found = all_receipts(opened, rules, run, last=last)
        elif event is not None:
            found = tuple(r for r in receipts(opened, event.episode_id, rules, run) if r.event_id == what)
        else:
            found = receipts(opened, what, rules, run)
    if what is not None and not found:
        raise EpisodeLogError(f"there is no rating {one_line(what, 80)!r}, nor a rated conversation of that name")
    if as_json:
        emit_json("receipts", {"receipts": [asdict(one) for one in found]})
        return
    emit(table(["conversation", "about", "by", "value", "", "why"], [_row(one) for one in found], right=[3]))


def _row(one: Receipt) -> tuple[object, ...]:
    rating = one.rating
    about = "the whole" if rating.turn is None else f"turn {rating.turn}"
    value = "" if rating.value is None else f"{rating.value:+g}"
    made = f"update {one.update}" + (f", version {one.version[:8]}" if one.version else "") if one.update else ""
    why = "; ".join(
        part for part in (made, one.reason, "" if one.seconds is None else f"after {duration(one.seconds)}") if part
    )
    return rating.episode_id, about, rating.rater, value, one.fate, why


@learn.command()
@click.argument("episode_id")
@click.option("--reason", required=True, help="Why; it stays in the log.")
@click.option("--lift", is_flag=True, help="Lift the quarantine instead.")
@log_option
def quarantine(episode_id: str, reason: str, lift: bool, log: str | None) -> None:
    """Keep a conversation from being learnt from."""
    from dialog_rl.cli.updating import Wanted
    from dialog_rl.episode_log import learning

    where = Wanted(run="learn", log=log, packs=(), config={}, gate={}).where(resolve().settings)
    with EpisodeLog.open(where) as opened:
        learning.quarantine(opened, episode_id, reason, lifted=lift)
    emit(f"{episode_id}: quarantine lifted" if lift else f"{episode_id}: quarantined")


@learn.command()
@log_option
@run_option
@click.option("--update", type=click.IntRange(min=1), help="Up to this update. Default: the last one that was judged.")
@click.option("--pack", "packs", multiple=True, metavar="NAME|DIR", help="As the run had them.")
@environment_options
@as_json
def replay(
    log: str | None,
    run: str,
    update: int | None,
    packs: tuple[str, ...],
    as_json: bool,
    config_file: Path | None,
    plugin: tuple[Path, ...],
    no_plugin: tuple[str, ...],
) -> None:
    """Make the weights of an update again from the log, and compare them with the version that it was.

    On the same machine with as many threads they are the same to the bit. Nothing is changed by it.
    """
    from dialog_rl.cli import updating

    wanted = updating.Wanted(run=run, log=log, packs=packs, config={}, gate={})
    with open_environment(config_file, plugin, no_plugin) as (resolved, plugins):
        settings = updating.with_threads(resolved.settings)
        opening.prepare_torch(settings)
        with EpisodeLog.open(wanted.where(settings), read_only=True) as opened:
            again = updating.made_again(settings, plugins, wanted, opened, update)
    if as_json:
        emit_json("replay", {"update": again.update, "version": again.version, "made": again.made})
    elif again.version == again.made:
        emit(f"update {again.update}: the same again, bit for bit: version {again.made}")
    if again.version != again.made:
        raise ReplayDiffers(f"update {again.update}: version {again.version or '(none)'}, made again {again.made}")


class ReplayDiffers(DialogRLError):
    """The same update did not come out the same."""
