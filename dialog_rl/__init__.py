"""A plugin-based dialogue agent that keeps learning by reinforcement from the conversations it has had."""

__version__ = "0.1.0"
