"""A plugin-based dialogue agent that keeps learning by reinforcement from the conversations it has had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dialog_rl.hookspecs import hookimpl

__version__ = "0.1.0"
__all__ = ["__version__", "hookimpl"]


def __getattr__(name: str) -> Any:
    """`from dialog_rl import hookimpl`, without making every import of the package pay for pluggy."""
    if name == "hookimpl":
        from dialog_rl.hookspecs import hookimpl  # noqa: PLC0415

        return hookimpl
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
