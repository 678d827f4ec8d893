"""`dialog-rl plugins browse`: plugins on the whole terminal."""

from __future__ import annotations

import click

from dialog_rl.cli.output import leave, require_a_screen
from dialog_rl.cli.plugin_deeds import checked, decide, manifests, told, told_of_checks
from dialog_rl.config import user_file


@click.command()
def browse() -> None:
    """Look through plugins on the whole terminal: read, check, disable and trust them."""
    require_a_screen("'dialog-rl plugins list' writes lines")
    from dialog_rl.tui import installed
    from dialog_rl.tui.preferences import FILE, Preferences

    def check(name: str) -> list[str]:
        offered, rows, unchecked = checked(name)
        return [*told_of_checks(name, offered, rows), *unchecked]

    there = installed.Installed(
        read=manifests, show=lambda manifest: [*told(manifest), *filter(None, [manifest.problem])], check=check,
        decide=decide,
    )  # fmt: skip
    leave(installed.run(there, Preferences(user_file().parent / FILE)))
