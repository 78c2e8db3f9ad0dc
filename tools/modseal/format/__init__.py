"""Bytes to values and back: ar, manifest, payload, CMS. No keys, no clock, no network.

Every reader is strict and has one writer that uses the same rules. Any bytes give a value or
`modseal.errors.FormatError`, nothing else.
"""
