"""Conversations that are held at a service of `dialog-rl serve`: the same to every face as those of this process."""
