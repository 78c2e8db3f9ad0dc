"""Depots: sets of bundles with metadata that lists them. The metadata is never signed, so it is never believed."""
