"""Trust bundles for tests: `make` gives a good one, signed by its root signers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from builders import cms as cms_builder
from builders.pki import NOW, Identity, issue, new_key, root
from modseal.format import ar, trust_bundle
from modseal.format.rooted import Root
from modseal.format.trust_bundle import TrustBundle
from modseal.policy.rotation import InstalledBundle

POLICY = b"""schema = "modseal/policy@1"
minimum-level = "partner"

[[anchor]]
name = "Test anchor"
certificate = "anchors/root.pem"
grants = "certified"
"""


def keeper(number: int = 0, **changes: Any) -> Identity:
    """A root signer: self-signed, for nothing but this."""
    return issue(f"Keeper {number}", key=new_key("p256", 500 + number), serial=9000 + number, **changes)


A, B, C, D = map(keeper, range(4))


def root_of(threshold: int, *signers: Identity) -> Root:
    return Root(threshold, tuple(sorted(one.fingerprint for one in signers)))


def files(**more: bytes) -> dict[str, bytes]:
    return {"policy.toml": POLICY, "anchors/root.pem": root().pem, **more}


def make(
    version: int = 1,
    signers: Sequence[Identity] = (A,),
    by: Sequence[Identity] | None = None,
    *,
    threshold: int | None = None,
    contents: Mapping[str, bytes] | None = None,
    issued: datetime = NOW - timedelta(days=1),
    expires: datetime = NOW + timedelta(days=90),
) -> TrustBundle:
    """A good trust bundle with these root signers, signed `by` all of them where nobody else is named."""
    made = TrustBundle(version, issued, expires, root_of(threshold or len(signers), *signers), contents or files())
    return signed(made, *(signers if by is None else by))


def signed(bundle: TrustBundle, *by: Identity) -> TrustBundle:
    """The declaration made and signed anew, one block for each."""
    declared = trust_bundle.declare(bundle)
    blocks = [cms_builder.pem(cms_builder.block(declared, one)) for one in by]
    return replace(bundle, signed=declared, signature=b"".join(blocks))


def archive(members: Sequence[tuple[str, bytes]]) -> bytes:
    """An ar archive of any members."""
    encoded = (ar.encode_header(name, len(data)) + data + ar.padding(len(data)) for name, data in members)
    return ar.MAGIC + b"".join(encoded)


def members(bundle: TrustBundle) -> list[tuple[str, bytes]]:
    """The members of a good trust bundle, to break one."""
    contents = [data for _, data in sorted(bundle.files.items())]
    numbered = [(f"f{number:03}", data) for number, data in enumerate(contents, 1)]
    return [("trust.json", bundle.signed), ("sig.pkcs7", bundle.signature), *numbered]


def write(folder: Path, bundle: TrustBundle, name: str = "") -> Path:
    path = folder / (name or f"{bundle.version}.trust")
    path.write_bytes(trust_bundle.encode(bundle))
    return path


def seen(bundle: TrustBundle, newest: datetime = NOW - timedelta(hours=1)) -> InstalledBundle:
    return InstalledBundle(bundle, newest)


def clock_at(time: datetime) -> type[datetime]:
    """What stands in for `datetime` where a module reads the clock."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Clock:
            return cls.fromtimestamp(time.timestamp(), tz)

    return Clock
