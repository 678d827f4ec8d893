"""One file an algorithm, each behind the contract of `dialog_rl.rl.algorithm`."""
