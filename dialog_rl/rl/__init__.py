"""Reinforcement learning on episodes of token ids. Torch only; this room knows no text.

Shape suffixes, a claim that `EpisodeBatch` checks once for the whole room:

    B  episodes (rows)          T  token positions of a padded row
    N  action tokens of a row   K  steps of a row          (both after compaction: observations taken out)
    V  vocabulary               D  hidden width

`logprobs_BT` is one number a position of a row, `lengths_B` one number a row. Log-probabilities and divergences are in
nats. Masks are bool and named for what is True. Numbers at positions where a mask is False mean nothing and are never
multiplied by it: every masked sum goes through `torch.where`, so that not even a NaN there can leak.
"""
