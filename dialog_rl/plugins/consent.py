"""What the user has decided about plugins, kept in one small file: disabled, trusted to run inside, folders allowed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dialog_rl.errors import ConfigError, PluginError
from dialog_rl.plugins.discovery import files_in

FILE = "plugins.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    disabled: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()
    """Plugins that may run inside the program."""
    folders: Mapping[str, str] = field(default_factory=dict)
    """Folders whose plugins may be loaded, with the hash of the files that were agreed to."""

    def disable(self, name: str) -> Consent:
        return replace(self, disabled=tuple(sorted({*self.disabled, name})))

    def enable(self, name: str) -> Consent:
        return replace(self, disabled=tuple(n for n in self.disabled if n != name))

    def trust(self, name: str) -> Consent:
        return replace(self, trusted=tuple(sorted({*self.trusted, name})))

    def distrust(self, name: str) -> Consent:
        return replace(self, trusted=tuple(n for n in self.trusted if n != name))

    def allow(self, folder: Path) -> Consent:
        return replace(self, folders={**self.folders, str(folder.resolve()): fingerprint(folder)})

    def allows(self, folder: Path) -> bool:
        """Whether just these files were agreed to: a changed or a new one is a new question."""
        return self.folders.get(str(folder.resolve())) == fingerprint(folder)


def read_consent(file: Path) -> Consent:
    """The decisions in `file`; none yet if it does not exist. Raises ConfigError if it is not ours."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        disabled, trusted = document.get("disabled", []), document.get("trusted", [])
        folders = document.get("folders", {})
        names = [*disabled, *trusted, *folders.keys(), *folders.values()]
    except FileNotFoundError:
        return Consent()
    except (OSError, ValueError, AttributeError, TypeError) as e:
        raise ConfigError(f"{file}: not a list of decisions about plugins ({e}); move it away to begin anew") from e
    if not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{file}: every name in it must be text; move it away to begin anew")
    return Consent(disabled=tuple(disabled), trusted=tuple(trusted), folders=folders)


def write_consent(file: Path, consent: Consent) -> None:
    from dialog_rl.durable import write_file  # reading decisions, which most commands do, needs neither
    from dialog_rl.episode import to_json

    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"version": 1, **to_json(consent)}, indent=2) + "\n"
    write_file(file, text.encode())


def folder_plugins(folder: Path, file: Path, ask: Callable[[str], bool] | None) -> list[Path]:
    """The plugins in a folder, once the user has agreed to these very files.

    `ask` puts the question and gives the answer, which is kept; None (nobody to ask) refuses with PluginError.
    """
    files = files_in(folder)
    consent = read_consent(file)
    if not files or consent.allows(folder):
        return files
    names = ", ".join(path.name for path in files)
    if ask is None:
        raise PluginError(f"{folder}: its plugins ({names}) have not been agreed to; run this once at a terminal")
    if not ask(f"{folder} holds plugins that run with your rights: {names}. Load them?"):
        return []
    write_consent(file, consent.allow(folder))
    return files


def fingerprint(folder: Path) -> str:
    """A hash of every Python file below the folder, by name and content."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
