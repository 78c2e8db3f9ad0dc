"""What was packed or signed, the signatures of a bundle, what is to be signed, as text. None of it proves anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from modseal.format import rules
from modseal.packing.signatures import SignatureListing, SignatureRow
from modseal.packing.to_sign import ToSign
from modseal.report.inspection import entry_line, manifest_lines
from modseal.report.text import plural, safe, safe_name

if TYPE_CHECKING:
    from modseal.packing.pack import Packed
    from modseal.packing.sign import Signed
    from modseal.packing.signatures import Removed
    from modseal.packing.timestamp import Stamped

NOTICE = "this says nothing about trust; `modseal verify` does"

_COMMANDS = {
    "rsa-pkcs1": "openssl dgst -{digest} -sign KEY -out SIGNATURE {file}",
    "rsa-pss": "openssl dgst -{digest} -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest "
    "-sign KEY -out SIGNATURE {file}",
    "ecdsa": "openssl dgst -{digest} -sign KEY -out SIGNATURE {file}",
    "ed25519": "openssl pkeyutl -sign -rawin -inkey KEY -in {file} -out SIGNATURE",
    "ml-dsa": "openssl pkeyutl -sign -rawin -inkey KEY -in {file} -out SIGNATURE",
}
"""One way to sign what is prepared, by family; ML-DSA needs OpenSSL 3.5 or newer."""


CHANGED = "the file has changed: publish this SHA-256; the one from before no longer holds"


def packed_line(packed: Packed) -> str:
    """What was packed, in one line."""
    manifest, count = packed.manifest, packed.files
    what = f"packed {safe(manifest.name)} {safe(manifest.version)}, {plural(count, 'file')}"
    return f"{safe_name(packed.path)}: {what}, {packed.size:,} bytes, sha256 {packed.sha256}"


def signed_line(signed: Signed) -> str:
    """Who has signed a bundle now, in one line."""
    who = f"{safe(signed.subject)} with {signed.algorithm}"
    return f"{safe_name(signed.path)}: signed by {who}, {plural(signed.blocks, 'block')}, sha256 {signed.sha256}"


def stamped_line(stamped: Stamped) -> str:
    """How many timestamps a bundle got, in one line."""
    return f"{safe_name(stamped.path)}: {plural(stamped.added, 'timestamp')} added, sha256 {stamped.sha256}"


def removed_line(removed: Removed) -> str:
    """What is left of a bundle's signatures, in one line."""
    return f"{safe_name(removed.path)}: removed, {plural(removed.blocks, 'block')} left, sha256 {removed.sha256}:"


def listing(bundle: Path, found: SignatureListing) -> str:
    """The signatures of a bundle, without a final newline."""
    lines = [f"{safe_name(bundle)}: {plural(found.blocks, 'signature block')}; {NOTICE}", *rows(found.rows)]
    return "\n".join([*lines, *missing(found.missing)])


def rows(found: Iterable[SignatureRow]) -> Iterator[str]:
    """Each signature in some lines."""
    for row in found:
        state = f"does NOT verify ({row.failure.code})" if row.failure else "verifies over this manifest"
        yield f"  block {row.block}: {state}"
        if row.certificate:
            yield f"    signer       {safe(row.certificate.subject)}"
            yield f"    fingerprint  sha256:{row.certificate.fingerprint}"
            yield f"    public key   {rules.key_name(row.certificate.key_der)}"
        else:
            yield "    signer       unknown: the block has no certificate that can be read for it"
        yield f"    algorithm    {safe(row.algorithm)}"
        stamped = "timestamped" if row.timestamps else "no timestamp"
        yield f"    claimed time {safe(row.claimed_time or 'none')}, {stamped}"
        if row.failure:
            yield f"    reason       {safe(row.failure.detail)}"


def missing(keys: Iterable[str]) -> Iterator[str]:
    """The expected signers that are not there; without them, no verifier accepts the bundle."""
    for key in keys:
        yield f"  still expected by the manifest: {safe(key)}"


def summary(found: ToSign, target: Path) -> str:
    """What is to be signed, for the person who signs; with a final newline."""
    return "\n".join(_summary_lines(found, target)) + "\n"


def _summary_lines(found: ToSign, target: Path) -> Iterator[str]:
    digest, signer = found.algorithm.digest_name, found.certificate
    yield f"To be signed: {safe_name(target.name)}, {len(found.data)} bytes"
    yield f"  sha256         {found.sha256}"
    yield f"  algorithm      {found.algorithm.name}"
    yield f"  signing time   {safe(found.signing_time)} (as the signature will claim)"
    yield f"  signer         {safe(signer.subject)}"
    yield f"  fingerprint    sha256:{signer.fingerprint}"
    yield f"  public key     {rules.key_name(signer.key_der)}"
    yield f"  valid          {signer.not_before:%Y-%m-%d} to {signer.not_after:%Y-%m-%d}"
    for certificate in found.chain:
        yield f"  with           {safe(certificate.subject)}"
    yield ""
    yield f"The module, of {safe_name(found.bundle.name)}"
    yield f"  sha256         {found.bundle_sha256}"
    yield f"  of manifest    {digest} {found.manifest_digest}"
    yield "                 (part of what is signed, as messageDigest: `openssl asn1parse -inform DER` shows it)"
    yield from manifest_lines(found.manifest)
    yield from (entry_line(entry) for entry in found.manifest.files)
    yield ""
    yield "Sign it with the certificate's key, for example:"
    yield f"  {_COMMANDS[found.algorithm.family].format(digest=digest, file=safe_name(target.name))}"
    yield "Then, with the bundle at hand:"
    yield f"  modseal sign {safe_name(found.bundle.name)} --attach SIGNATURE --prepared {safe_name(target.name)}"
