"""modseal: pack, sign and verify signed modules."""

__version__ = "0.1.0"
