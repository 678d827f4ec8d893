"""Where acting and learning meet: demonstrations, training on simulated customers, and the state of a run."""
