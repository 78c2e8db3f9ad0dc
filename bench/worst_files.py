"""The worst files besides bundles: zip archives, and what a policy is made of, each as large as may be.

A policy's own files are not a stranger's; what they cost is shown all the same. `inspect` and `sign` read bundles of
strangers too, and get the worst of those.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import worst_manifests
import worst_signatures

from builders import cms as cms_builder
from builders import policies, trust_bundles, zips
from builders.bundles import make
from builders.cms import Block, Signer, algorithm, sequence, sign_raw
from builders.pki import ca, leaf, root, signer
from modseal import limits
from modseal.format import der
from modseal.format import trust_bundle as trust_format

TOML = b'schema = "modseal/policy@1"\nminimum-level = "partner"\n'


class Row(NamedTuple):
    """See `worst.Row`."""

    where: str
    what: str
    size: int
    command: tuple[str, ...]


def every(folder: Path) -> Iterator[Row]:
    """All files; a policy of its own in the same folder is `policy.toml`."""
    yield from _others(folder)
    yield from _zips(folder)
    yield from _policies(folder)
    yield from _trust_bundle(folder)
    yield from _anchors(folder)
    yield from _crls(folder)


def _others(folder: Path) -> Iterator[Row]:
    """Other commands that read a stranger's bundle before anything is proved."""
    good = make()
    (folder / "signer.key").write_bytes(signer().key_pem)
    (folder / "signer.pem").write_bytes(signer().pem)
    path = folder / "worst.seal"
    wanted = ("a certificate with", "directory names", "64 signers with 61", "64 timestamps")
    for one in worst_signatures.every(good.manifest_bytes):
        if one.what.startswith(wanted):
            path.write_bytes(good.with_signature(one.member).data)
            yield Row("inspect", one.what, path.stat().st_size, ("inspect", path.name))
    sign = ("sign", path.name, "--key", "signer.key", "--cert", "signer.pem", "-o", "signed.seal")
    for what, data in worst_manifests.json_manifests():
        if what in ("paths that fold alike", "50,000 files"):
            path.write_bytes(data)
            yield Row("inspect", what, len(data), ("inspect", path.name))
            yield Row("sign", what, len(data), sign)


def _zips(folder: Path) -> Iterator[Row]:
    path = folder / "worst.zip"
    audit = ("audit", path.name, "--policy", "policy.toml", "--jobs", "1", "--no-cache")
    small = make("vib").data
    parts = [zips.Part(f"{n:06}.txt", b"", method=zips.STORED) for n in range(limits.ZIP_ENTRIES - 1)]
    path.write_bytes(zips.archive([*parts, zips.Part("a.vib", small, method=zips.STORED)]))
    yield Row("zip", "20,000 entries", path.stat().st_size, audit)
    parts = [zips.Part("a.vib", small, method=zips.STORED), zips.Part("b.vib", b"\0" * 100_000_000)]
    path.write_bytes(zips.archive(parts))
    yield Row("zip", "an entry that unpacks to 100 MB", path.stat().st_size, audit)


def _policies(folder: Path) -> Iterator[Row]:
    path = folder / "worst.toml"
    room = limits.SPEC_SIZE - len(TOML) - 100
    deep = ".".join("a" * (limits.KEY_PARTS - 1)).encode()
    texts = {
        "nested lists": TOML + b"a = " + b"[" * room,
        "inline tables": TOML + b"a = [" + b"{}," * (room // 3) + b"]",
        "dotted keys": TOML + b"".join(b"b%d.%s = 1\n" % (n, deep) for n in range(room // (len(deep) + 15))),
        "keys": TOML + b"".join(b"k%d = 1\n" % n for n in range(room // 14)),
        "tables": TOML + b"".join(b"[t%d]\n" % n for n in range(room // 11)),
        "a text of 4 MiB": TOML + b'a = "' + b"\\u0041" * (room // 6) + b'"\n',
        "a number of 4 million digits": TOML + b"a = " + b"9" * room,
        "comments": TOML + b"#\n" * (room // 2),
    }
    for what, data in texts.items():
        path.write_bytes(data)
        yield Row("policy", what, len(data), ("policy", "check", path.name))


def _trust_bundle(folder: Path) -> Iterator[Row]:
    path = folder / "worst.trust"
    size = (limits.TRUST_BUNDLE_SIZE - 200_000) // (limits.TRUST_FILES - 2)
    more = {
        f"anchors/{n:03}.pem": b"#" + b" " * (size - 300) + b"\n" + root().pem for n in range(limits.TRUST_FILES - 2)
    }
    path.write_bytes(trust_format.encode(trust_bundles.make(contents=trust_bundles.files(**more))))
    update = ("policy", "update", path.name, "--store", "store", "--initial-root", trust_bundles.A.fingerprint)
    yield Row("trust bundle", "126 files of 64 MiB", path.stat().st_size, update)


def _anchors(folder: Path) -> Iterator[Row]:
    """Sixteen certificates that cross-sign each other, under a policy with 256 anchors that have one CA."""
    names = "".join(
        f'\n[[anchor]]\nname = "A{n}"\ncertificate = "root.pem"\ngrants = "certified"\nvendors = ["V{n}"]\n'
        for n in range(255)
    )
    policies.write(folder, name="many.toml", more=names)
    good = make()
    keys = [worst_signatures.new_key("p256", 710 + n) for n in range(limits.CERTIFICATES_PER_BLOCK - 2)]
    shared = worst_signatures.name("Crossing")
    top = [ca("Crossing", key=key, subject=shared, issuer=root(), key_id=None) for key in keys[:3]]
    cross = [
        ca(
            "Crossing",
            key=key,
            subject=shared,
            issuer_name=shared,
            signing_key=keys[(n * 5 + 1) % len(keys)],
            key_id=None,
        )
        for n, key in enumerate(keys[3:])
    ]

    def blocks() -> Iterator[Block]:
        for number in range(limits.SIGNATURE_BLOCKS):
            one = worst_signatures.issue(f"{number}", issuer=cross[number % len(cross)], key_id=None)
            yield Block([Signer(one)], [one.der, *(each.der for each in (*top, *cross))])

    data = good.with_signature(worst_signatures.member(good.manifest_bytes, blocks())).data
    path = folder / "worst.seal"
    path.write_bytes(data)
    yield Row(
        "sig.pkcs7",
        "16 crossing CAs and 256 anchors with one CA",
        len(data),
        ("verify", path.name, "--policy", "many.toml"),
    )
    plain = [leaf(f"Plain {n}") for n in range(limits.SIGNATURE_BLOCKS)]
    data = good.signed(*plain).data
    path.write_bytes(data)
    yield Row(
        "sig.pkcs7", "16 signers and 256 anchors with one CA", len(data), ("verify", path.name, "--policy", "many.toml")
    )


def _crls(folder: Path) -> Iterator[Row]:
    """A CRL of 30 MiB, and a bundle whose sixteen signers have a path of their own each."""
    entry = sequence(der.encode_integer(2**63 + 1), der.encode(der.UTC_TIME, b"240101000000Z"))
    size = 30 * 2**20 // len(entry)
    times = (der.encode(der.UTC_TIME, text) for text in (b"240101000000Z", b"480101000000Z"))
    entries = b"".join(
        sequence(der.encode_integer(2**63 + n), der.encode(der.UTC_TIME, b"240101000000Z")) for n in range(size)
    )
    ecdsa = algorithm(cms_builder.ECDSA_SHA256)
    number = der.encode(der.context(0), sequence(worst_signatures.extension("2.5.29.20", der.encode_integer(1))))
    name = root().certificate.subject.public_bytes()
    body = sequence(der.encode_integer(1), ecdsa, name, *times, der.encode(der.SEQUENCE, entries), number)
    whole = sequence(body, ecdsa, der.encode(der.BIT_STRING, b"\0" + sign_raw(root().key, body)))
    (folder / "large.crl").write_bytes(whole)
    policies.write(folder, name="crl.toml", more='\n[revocation]\ncrls = ["large.crl"]\n')
    good = make()
    path = folder / "worst.seal"
    verify = ("verify", path.name, "--policy", "crl.toml")
    path.write_bytes(good.data)
    yield Row("policy", "a CRL of 30 MiB, and an ordinary bundle", len(whole), verify)
    data = good.signed(*[leaf(f"Own {n}") for n in range(limits.SIGNATURE_BLOCKS)]).data
    path.write_bytes(data)
    yield Row("policy", "a CRL of 30 MiB, and sixteen paths", len(whole), verify)
