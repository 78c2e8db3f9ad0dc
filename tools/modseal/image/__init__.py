"""Builds a host image: kernel, root, modules, keys, and the disk that a machine boots (docs/reference-host.md)."""
