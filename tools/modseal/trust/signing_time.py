"""What step 2 finds of one signer: until when at the latest it signed, and what proves that."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from modseal.errors import Evidence, Failure
from modseal.pki.certificate import Certificate
from modseal.values import dataclass

if TYPE_CHECKING:
    from modseal.format.timestamp import Token


@dataclass(frozen=True, slots=True)
class Stamp:
    """A token that verified: until when at the latest the signature was made, and who says so."""

    token: Token
    authority: Certificate
    anchor: str

    @property
    def time(self) -> datetime:
        """T: the latest moment that the token allows (aware, in whole seconds)."""
        return self.token.latest

    @property
    def evidence(self) -> Evidence:
        """How reports name this proof."""
        return {
            "time": self.time.isoformat(),
            "authority": self.authority.subject,
            "authority_certificate": self.authority.fingerprint,
        }


@dataclass(frozen=True, slots=True)
class SigningTime:
    """What step 2 found for one signer.

    `stamp` is the proof, None where there is none. `failures` decide; those `set_aside` do not, because
    the proof suffices. `ignored` counts tokens that the policy has no anchor for.
    """

    stamp: Stamp | None = None
    failures: tuple[Failure, ...] = ()
    set_aside: tuple[Failure, ...] = ()
    ignored: int = 0
