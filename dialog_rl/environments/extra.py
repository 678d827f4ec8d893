"""The one place where gymnasium is imported, so that its absence is said with the extra to install."""

from __future__ import annotations

from dialog_rl.errors import ConfigError

try:
    import gymnasium
except ImportError:
    raise ConfigError("environments need gymnasium: pip install 'dialog_rl[gym]'") from None

__all__ = ["gymnasium"]
