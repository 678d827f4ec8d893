"""Shared by all tests: property tests have no time limit of their own, because machines are noisy."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("noisy", deadline=None)
settings.load_profile("noisy")
