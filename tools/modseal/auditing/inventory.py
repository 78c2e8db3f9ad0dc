"""What an audit found, as one digest by which the same is recognised later; and for how long it means the same.

It has, in order, the names of the bundles with the identities that they are recognised by (`auditing.cache`), and what
was left out, with why. Anything else has more to it than an identity, and so has a bundle that could change unseen.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from modseal.auditing.discover import Found
from modseal.auditing.kept import seconds
from modseal.auditing.target import FileTarget, LeftOut
from modseal.files.identity import Identity
from modseal.trust.moments import BEGINNING, END


class Inventory:
    """What was found so far; `recognisable` until something comes that is not."""

    def __init__(self, device: int) -> None:
        """`device` is the file system on which identities count."""
        self._device = device
        self._digest = hashlib.sha256()
        self.recognisable = True
        self.after, self.before = seconds(BEGINNING), seconds(END)

    def add(self, one: Found | None, identity: Identity | None = None) -> None:
        """One more thing that was found; `identity` is that of the very file that was examined."""
        if isinstance(one, LeftOut):
            self._digest.update(f"{one!r}\n".encode())
        elif isinstance(one, FileTarget) and identity and identity.device == self._device:
            self._digest.update(f"{one.name!r} {one.salt!r} {tuple(identity)}\n".encode())
        else:
            self.recognisable = False

    def hold(self, between: tuple[datetime, datetime] | None) -> None:
        """The moments between which one result holds; None where it must not be kept."""
        if between:
            self.after, self.before = max(self.after, seconds(between[0])), min(self.before, seconds(between[1]))
        else:
            self.recognisable = False

    @property
    def digest(self) -> str:
        """All that was found, in its order."""
        return self._digest.hexdigest()
