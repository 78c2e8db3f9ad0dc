"""An open bundle that remembers what rules want to know of its files, while they are measured for the examination."""

from __future__ import annotations

from collections.abc import Iterable

from modseal.bundle.open import OpenBundle
from modseal.format.ar import Member
from modseal.format.manifest import Entry, Payload
from modseal.format.payload import Measured


class WatchedBundle(OpenBundle):
    """`entries` are those of the payloads measured so far."""

    entries: tuple[Entry, ...] = ()

    def measure(
        self,
        payload: Payload,
        member: Member,
        *,
        up_to: int | None,
        to_sink: bool,
        raw: bool = False,
        declared: Iterable[Entry] = (),
    ) -> Measured:
        """See `trust.integrity.Bundle.measure`."""
        measured = super().measure(payload, member, up_to=up_to, to_sink=to_sink, raw=raw, declared=declared)
        self.entries += measured.entries
        return measured
