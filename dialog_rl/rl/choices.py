"""What settings choose among, without the tensors that it is about: so settings can be shown at once."""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    TOKEN = "token"
    STEP = "step"
    """A tool call or a reply is one action: one value, and gamma and lam once each."""


class KLEstimator(StrEnum):
    """Estimates of KL(p || q) from samples of p; r = q / p. Source: Schulman 2020, joschu.net/blog/kl-approx.html.

    A good estimate is not a good loss: differentiated sample by sample, each pulls in another direction on average.
    """

    K1 = "k1"
    """-log r: unbiased, of any sign. Its mean gradient is zero, so it belongs in the reward."""
    K2 = "k2"
    """(log r)² / 2: biased, but its mean gradient is that of KL(p || q)."""
    K3 = "k3"
    """r - 1 - log r: unbiased, never negative. Its mean gradient is that of KL(q || p), which spreads p over q."""
