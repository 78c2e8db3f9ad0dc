"""Fetches timestamp tokens (RFC 3161) over HTTP. Only signing does this: `verify` never opens a connection.

Only `sign --tsa` and `timestamp` come here; verification never does. What an authority answers is
verified before it is embedded, so that a token that no gate accepts shows at the vendor's desk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from modseal import limits
from modseal.causes import CauseName
from modseal.errors import FormatError, UndecidedError, UsageError
from modseal.files.shown import shown
from modseal.format import timestamp as token_format
from modseal.format.times import time_text
from modseal.pki.certificate import Certificate
from modseal.pki.path import PathRules
from modseal.policy.material import is_root
from modseal.trust import timestamp

if TYPE_CHECKING:
    from rfc3161_client import TimeStampRequest

TIMEOUT = 15.0
"""Seconds for one authority to connect, and again for each part of its answer."""
ROUNDS = 2
"""How often the list of authorities is gone through: public ones drop a request now and then."""
PAUSE = 2.0
"""Seconds between two rounds."""
_TYPE = "application/timestamp-query"
_SCHEMES = ("http", "https")


@dataclass(frozen=True, slots=True)
class Authorities:
    """Which timestamp authorities to ask, in this order, and whose tokens to take.

    `anchors` are the root CAs that a token must lead to; without any, a token must still be over the
    right signature and signed by a certificate that is for timestamps. http is fine: a token is signed.
    """

    urls: tuple[str, ...]
    anchors: tuple[Certificate, ...] = ()
    timeout: float = TIMEOUT
    rounds: int = ROUNDS
    pause: float = PAUSE

    def __post_init__(self) -> None:
        """Raises `UsageError` for an address that is not http or https, or has a password in it."""
        for url in self.urls:
            require_url(url)

    def stamp(self, signature: bytes) -> bytes:
        """The DER of a token over a signature's bytes, from the first authority that gives a good one.

        Raises `UndecidedError` (tsa-failed), with the reason of each that did not.
        """
        reasons: dict[str, str] = {}
        causes: set[CauseName] = set()
        for url in self._attempts():
            try:
                return self._stamp_at(url, signature)
            except FormatError as error:
                reasons[shown(url)] = error.failure.detail
                causes.add("timestamp-anchor" if error.failure.evidence.get("reason") == "no-path" else "tsa-answer")
            except OSError as error:
                why = getattr(error, "reason", None) or error  # urllib wraps the system's error in one of its own
                reasons[shown(url)] = getattr(why, "strerror", None) or str(why) or type(error).__name__
                causes.add("tsa-unreachable")
        detail = "; ".join(f"{url}: {reason}" for url, reason in reasons.items())
        failed = UndecidedError("tsa-failed", f"no timestamp authority gave a usable timestamp: {detail}")
        raise failed.because(causes.pop() if len(causes) == 1 else None)

    def _attempts(self) -> Iterator[str]:
        for round_number in range(self.rounds):
            if round_number:
                time.sleep(self.pause)
            yield from self.urls

    def _stamp_at(self, url: str, signature: bytes) -> bytes:
        request = build_request(signature)
        token = token_format.token_of_response(_post(url, request.as_bytes(), self.timeout))
        consistent = timestamp.verify_consistent(token, signature)
        if consistent.token.nonce != request.nonce:
            raise FormatError("bad-timestamp", "the answer is to another request: its nonce differs")
        now = datetime.now(UTC)
        # An authority whose clock and ours are far apart: one is wrong, and no gate would take it for long.
        tolerance = timestamp.CLOCK_TOLERANCE
        if not consistent.token.earliest - tolerance <= now <= consistent.token.latest + tolerance:
            detail = f"its time, {time_text(consistent.token.latest)}, is far from this machine's, {time_text(now)}"
            raise FormatError("bad-timestamp", detail)
        if self.anchors:
            timestamp.verify(token, signature, self.anchors, PathRules(), now)
        return token


Stamp = Callable[[bytes], bytes]
"""Gives the DER of a timestamp token over a signature's bytes."""


def require_url(url: str) -> None:
    """An address of an authority. Raises `UsageError`."""
    bad = UsageError(f"{shown(url)!r} is not an address of a timestamp authority; give http://... or https://...")
    try:
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname or parts.port == 0:
            raise bad
    except ValueError:
        raise bad from None
    if parts.username or parts.password:
        raise UsageError("a password in the address of a timestamp authority would show in logs; it is not supported")


def build_request(signature: bytes) -> TimeStampRequest:
    """A TimeStampReq over SHA-256 of the signature, with a nonce, that asks for the certificates."""
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    builder = TimestampRequestBuilder().data(signature).hash_algorithm(HashAlgorithm.SHA256)
    return builder.cert_request(cert_request=True).nonce(nonce=True).build()


def read_anchors(certificates: Sequence[bytes]) -> tuple[Certificate, ...]:
    """Root CAs from DER, as the verifier sees them: self-signed, as in a policy. Raises `UsageError`."""
    try:
        found = tuple(map(Certificate.parse, certificates))
    except FormatError as error:
        raise UsageError(f"a timestamp anchor cannot be used: {error.failure.detail}") from None
    for certificate in found:
        if not is_root(certificate):
            raise UsageError(
                f"{certificate.subject} is not a self-signed CA certificate, and so no timestamp anchor; name the root "
                f"certificate of the timestamp authority's CA (it was issued by {certificate.issuer})"
            )
    return found


def _post(url: str, request: bytes, timeout: float) -> bytes:
    """What an authority answers (RFC 3161 section 3.4). Raises `OSError`; `FormatError` for too long an answer."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    headers = {"Content-Type": _TYPE, "Accept": "application/timestamp-reply", "User-Agent": "modseal"}
    try:
        with urlopen(Request(url, request, headers), timeout=timeout) as answer:  # noqa: S310 - see require_url
            data: bytes = answer.read(limits.TIMESTAMP_SIZE + 1)
    except HTTPError as error:
        error.close()
        raise OSError(f"HTTP status {error.code}") from error
    except (HTTPException, ValueError) as error:
        raise OSError(f"no proper HTTP answer ({type(error).__name__})") from error
    if len(data) > limits.TIMESTAMP_SIZE:
        raise FormatError("bad-timestamp", f"the answer is over {limits.TIMESTAMP_SIZE} bytes")
    return data
