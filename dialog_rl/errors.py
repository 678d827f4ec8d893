"""Typed errors. Each says what was found, where, and what would be right; the command line shows them as one line."""

from __future__ import annotations


class DialogRLError(Exception):
    """Something a user can mend. `exit_code` is what the command line leaves with."""

    exit_code = 1


class ConfigError(DialogRLError, ValueError):
    """A setting or an argument is wrong."""

    exit_code = 2


class ScenarioError(DialogRLError, ValueError):
    """A pack or scenario file is wrong: the message names file, key and line."""

    exit_code = 2


class PluginError(DialogRLError):
    """A plugin cannot be loaded, or breaks its contract."""

    exit_code = 3


class RewardError(PluginError):
    """A reward failed where a value was required. A failure is missing, never 0."""


class EpisodeLogError(DialogRLError):
    """The episode log cannot be opened, read or written."""


class CheckpointError(DialogRLError):
    """Weights on disk are missing, incomplete or altered."""

    exit_code = 5


class ServiceError(DialogRLError):
    """A service that was asked over HTTP cannot be reached, or refuses."""


class ModelError(DialogRLError):
    """A model or device cannot do what was asked."""

    exit_code = 5


class SupersededError(ModelError):
    """The version that was to speak has made way for others since it was named: ask which one speaks."""


class GateNotMet(DialogRLError):
    """An evaluation ran to its end and its requirement was not met."""

    exit_code = 4


class TrainingError(DialogRLError):
    """Learning cannot go on: the update diverged, or the episodes do not belong to the policy that is to learn."""
