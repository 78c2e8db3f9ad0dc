"""Policies from files: their shape, the files that they name, the trust store, and how it is rotated and updated."""
