"""Sets of modules: which ones go together, for one target, from depots, under a policy."""
