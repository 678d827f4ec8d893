"""The one place where Ray is imported, so that its absence is said with the extra to install."""

from __future__ import annotations

from dialog_rl.errors import ConfigError

try:
    import ray
    import ray.exceptions
except ImportError:
    raise ConfigError("workers need Ray: pip install 'dialog_rl[ray]'") from None

__all__ = ["ray"]
