"""Simulators that come with dialog_rl, found through the same entry points as anybody's plugin."""
