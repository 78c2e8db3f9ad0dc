"""An open bundle that remembers what rules want to know of its files, while they are measured for the examination."""

from __future__ import annotations

from modseal.bundle.open import OpenBundle
from modseal.format import rules
from modseal.format.ar import Member
from modseal.format.manifest import Entry, Payload
from modseal.format.payload import Measured


class WatchedBundle(OpenBundle):
    """`entries` are those of the payloads measured so far."""

    entries: tuple[Entry, ...] = ()

    def measure(
        self, payload: Payload, member: Member, *, proved: bool, bounded: bool = False, raw: bool = False
    ) -> Measured:
        """See `trust.examine.Bundle.measure`."""
        measured = super().measure(payload, member, proved=proved, bounded=bounded, raw=raw)
        self.entries += measured.entries
        return measured

    def special(self) -> tuple[Entry, ...]:
        """Those with a set-user-id, set-group-id or sticky bit."""
        return tuple(entry for entry in self.entries if (entry.mode or 0) & rules.SPECIAL_BITS)
