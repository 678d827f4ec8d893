"""The `dialog-rl` command: a table of commands, imported when called, and the one place where errors become exit codes.

Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 plugin, 4 a required figure was not met, 5 model or device,
130 interrupted.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Mapping, Sequence

import click

from dialog_rl import __version__
from dialog_rl.errors import DialogRLError
from dialog_rl.text import one_line, printable

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("dialog_rl.cli.demo:demo", "Watch the agent learn: evaluate, train, evaluate again, report."),
    "chat": ("dialog_rl.cli.chat:chat", "Talk to the agent."),
    "serve": ("dialog_rl.cli.serve:serve", "Serve the agent over HTTP, to OpenAI's clients."),
    "simulate": ("dialog_rl.cli.simulate:simulate", "Let simulated customers talk to the agent, and log it."),
    "learn": ("dialog_rl.cli.learn:learn", "Learn from rated chats, and let the gate decide what speaks."),
    "train": ("dialog_rl.cli.train:train", "Learn from simulated customers by PPO."),
    "watch": ("dialog_rl.cli.watch:watch", "Watch a run of train or learn while it goes on: plots, or lines."),
    "evaluate": ("dialog_rl.cli.evaluate:evaluate", "Measure versions side by side on held-out customers."),
    "report": ("dialog_rl.cli.report:report", "Write one page about the conversations in logs, as HTML or Markdown."),
    "curves": ("dialog_rl.cli.curves:curves", "Draw the learning curves of runs into one picture."),
    "compare": ("dialog_rl.cli.compare:compare", "Train several algorithms on the same dialogues, and compare."),
    "words": ("dialog_rl.cli.words:words", "Learn the smallest language task by Q-learning, and see every value."),
    "offline": ("dialog_rl.cli.offline:offline", "Learn from a log alone: from rewards, or from what people said."),
    "slots": ("dialog_rl.cli.slots:slots", "Find the values in messages: taught by examples, then by reward."),
    "replay": ("dialog_rl.cli.replay:replay", "Run a logged episode again, bit for bit or with another version."),
    "browse": ("dialog_rl.cli.browse:browse", "Browse logged episodes on the whole terminal."),
    "episodes": ("dialog_rl.cli.episodes:episodes", "List, show, export, import and forget logged episodes."),
    "versions": ("dialog_rl.cli.versions:versions", "List, compare, promote, veto and roll back versions."),
    "scenarios": ("dialog_rl.cli.scenarios:scenarios", "List, show, lint, import and start scenario packs."),
    "pretrain": ("dialog_rl.cli.pretrain:pretrain", "Make a base model for packs from the expert's demonstrations."),
    "bench": ("dialog_rl.cli.bench:bench", "Measure rollouts and updates against the usual way of doing them."),
    "plugins": ("dialog_rl.cli.plugins:plugins", "List and inspect plugins."),
    "reward": ("dialog_rl.cli.reward:reward", "Try rewards on logged episodes."),
    "config": ("dialog_rl.cli.config:config", "Show settings and where they come from."),
    "doctor": ("dialog_rl.cli.doctor:doctor", "Check this installation."),
}
"""Name → where the command is, and its line in --help. A string, so that help imports none of them."""


class LazyGroup(click.Group):
    """Imports a command when it is called; asks plugins for theirs when a name is not in the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *sorted(set(self.commands) - set(COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            module, _, attribute = COMMANDS[cmd_name][0].partition(":")
            return getattr(importlib.import_module(module), attribute)
        if cmd_name not in self.commands:
            self._add_plugin_commands()
        return self.commands.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from difflib import get_close_matches

            name = one_line(args[0], 40)
            close = get_close_matches(name, self.list_commands(ctx), n=1)
            hint = f"did you mean '{close[0]}'?" if close else "'dialog-rl --help' lists them"
            raise click.UsageError(f"there is no command '{name}'; {hint}", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])
        added = sorted(set(self.commands) - set(COMMANDS))
        if added:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(80)) for name in added])

    def _add_plugin_commands(self) -> None:
        from dialog_rl.config import user_file
        from dialog_rl.plugins.consent import FILE, read_consent
        from dialog_rl.plugins.loading import load_commands

        consent = read_consent(user_file().parent / FILE)
        load_commands(self, disabled=consent.disabled, trusted=consent.trusted)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="dialog-rl")
def cli() -> None:
    """A dialogue agent that keeps learning from the conversations it has had.

    Begin with 'dialog-rl demo', which shows the whole of it in a few minutes, or 'dialog-rl chat --plain'.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Whatever goes wrong is one clear line on stderr, never a traceback."""
    _make_streams_writable()
    try:
        result = cli.main(args=arguments, prog_name="dialog-rl", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BaseException as error:  # the border between the program and its user: everything ends here as an exit code
        return _exit_code(error)


def _exit_code(error: BaseException) -> int:
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return _say("interrupted", 130)
    if isinstance(error, BrokenPipeError):
        # Whoever read us has left, as `| head` does. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if os.environ.get("DIALOG_RL_TRACEBACK"):
        raise error
    if isinstance(error, click.ClickException):
        context = error.ctx if isinstance(error, click.UsageError) else None
        more = f"\nTry '{context.command_path} --help'." if context is not None else ""
        return _say(error.format_message() + more, error.exit_code)
    if isinstance(error, DialogRLError):
        return _say(str(error), error.exit_code)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error}", 1)
    if isinstance(error, MemoryError):
        return _say("out of memory; fewer slots or a smaller batch need less", 5)
    return _say(
        f"a fault in dialog_rl: {type(error).__name__}: {one_line(str(error))}\n"
        "DIALOG_RL_TRACEBACK=1 shows where; please report it.", 1,
    )  # fmt: skip


def _say(message: str, code: int) -> int:
    try:
        click.echo(f"dialog-rl: {printable(message)}", err=True)
    except OSError:  # nobody can be told: stderr is closed or its disk is full
        return code
    return code


def _make_streams_writable() -> None:
    """Text that a terminal's encoding lacks is shown as an escape instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
