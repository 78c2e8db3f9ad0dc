"""modseal: pack, sign, verify and audit signed modules."""

__version__ = "0.1.0"
