"""Depots: sets of bundles with an index. What nobody has signed is never believed; what is signed is proved first."""
