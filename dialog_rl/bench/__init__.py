"""How fast, beside the usual way of doing the same work, in one run on one machine."""
