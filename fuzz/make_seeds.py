"""Writes the fixtures, the seeds and the dictionaries, all from our own builders: `python fuzz/make_seeds.py`.

The private keys are thrown away with the process, so every run gives other bytes. Run it again when a
format changes: `tests/fuzz` says when a committed seed is no longer good.
"""

from __future__ import annotations

import base64
import io
import shutil
import struct
import sys
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "tools"), str(FOLDER.parent / "tests")]

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: E402

from builders import bundles, cms, crls, depots, trust_bundles, tsa, zips  # noqa: E402
from builders.pki import Identity, ca, leaf, new_key, root, signer  # noqa: E402
from make_dictionaries import dictionaries  # noqa: E402
from make_documents import LEAST_SPEC, MORE_POLICY, MORE_SPEC, POLICY  # noqa: E402
from modseal.bundle import layout  # noqa: E402
from modseal.format import payload_writer, pem, trust_bundle, visor  # noqa: E402
from modseal.format.level import Level  # noqa: E402
from modseal.format.manifest import Constraint, Platform, Relationships, VibFields  # noqa: E402
from modseal.format.stream import Stream  # noqa: E402
from targets.base import CONTENT, SIGNATURE  # noqa: E402

Files = Mapping[str, bytes | str | None]
TREE: Files = {
    "opt/acme": None,
    "opt/acme/conf": b"level = 1\n",
    "opt/acme/lib": None,
    "opt/acme/lib/a.so": b"\x7fELF" + bytes(200),
    "opt/acme/now": "lib/a.so",
}
SMALL: Files = {"opt": None, "opt/a": b"\x7fELF a", "opt/b": "a"}
RELATED = Relationships(
    depends=(Constraint("libc", ">=", "2.0"), Constraint("base")),
    conflicts=(Constraint("other", "<<", "1"),),
    replaces=(Constraint("old"),),
    provides=(Constraint("agent", "=", "3"),),
)
VIB = VibFields(
    urls=(("kb", "https://example.test/?a=1&b=2"),), tags=("driver", "module"), platforms=(Platform("8.*"),)
)
INTERMEDIATE = ca("Intermediate", issuer=root(), key=new_key("p256", 40)).with_chain(root())
BELOW = leaf("Below", issuer=INTERMEDIATE, key=new_key("p256", 41)).with_chain(INTERMEDIATE)
SIGNERS = (signer(), signer("rsa"), signer("ed25519"), BELOW)
CRL = crls.make(root(), crls.revoked(77), end=datetime(2123, 1, 1, tzinfo=UTC))


def main() -> None:
    """Write everything anew."""
    write("fixtures", fixtures())
    shutil.rmtree(FOLDER / "seeds", ignore_errors=True)
    for name, found in seeds().items():
        write(f"seeds/{name}", found)
    write("dictionaries", dictionaries())


def write(folder: str, files: Mapping[str, bytes]) -> None:
    """A folder with these files and no others."""
    path = FOLDER / folder
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    for name, data in files.items():
        (path / name).write_bytes(data)


def fixtures() -> dict[str, bytes]:
    """Who signed the seeds, and a policy that trusts them."""
    return {
        "root.pem": root().pem,
        "intermediate.pem": INTERMEDIATE.pem,
        "chain.pem": _pems(root(), INTERMEDIATE, BELOW),
        "signers.pem": _pems(*SIGNERS),
        "authorities.pem": _pems(tsa.tsa(), tsa.tsa("rsa")),
        "tsa-root.pem": tsa.tsa_root().pem,
        "keeper.pem": trust_bundles.A.pem,
        "root.crl": CRL,
        "policy.toml": POLICY.encode(),
    }


def seeds() -> dict[str, dict[str, bytes]]:
    """The good inputs of every target."""
    made = _bundles()
    tars = _tars()
    return {
        "archive": {name: one.data for name, one in made.items() if "small" in name},
        "bundle": {name: one.data for name, one in made.items()},
        "trust-bundle": {
            "one": trust_bundle.encode(trust_bundles.make()),
            "two": trust_bundle.encode(trust_bundles.make(2, [trust_bundles.A, trust_bundles.B], threshold=1)),
        },
        "manifest-json": {name: one.manifest_bytes for name, one in made.items() if one.kind == "seal"},
        "descriptor": {name: one.manifest_bytes for name, one in made.items() if one.kind == "vib"}
        | {"spaced": _spaced(made)},
        "cms": _blocks(),
        "signature-member": {name: cms.pem(block) for name, block in _blocks().items()}
        | {"two": cms.pem(cms.block(CONTENT, SIGNERS[0])) + cms.pem(cms.block(CONTENT, SIGNERS[1]), "CMS")},
        "timestamp": _tokens(),
        "certificate": _certificates(),
        "crl": _crls(),
        "pem": _pem_files(),
        **_payloads(),
        "vzstd": {"gzip": _payload("vzstd"), "frame": zlib.decompress(_payload("vzstd"), 31)},
        **{f"tar-{name}": dict(zip(("tree", "small", "empty"), found, strict=True)) for name, found in tars.items()},
        "module-spec": {"least": LEAST_SPEC.encode(), "more": (LEAST_SPEC + MORE_SPEC).encode()},
        "policy": {"usual": POLICY.encode(), "more": (POLICY + MORE_POLICY % signer().fingerprint).encode()},
        "zip": _zips(),
        "depot-metadata": _depot_documents(),
        "visor-layout": {"tree": _layout(tars["visor"][0]), "empty": _layout(tars["visor"][2])},
    }


def _pems(*identities: Identity) -> bytes:
    return b"".join(one.pem for one in identities)


def _bundles() -> dict[str, bundles.Bundle]:
    stamped = bundles.make("seal", SIGNERS[0], attachments={"sbom.json": b"{}"})
    stamped = stamped.with_block(tsa.stamped(stamped.manifest_bytes, SIGNERS[0], tsa.token))
    few: dict[str, Any] = {"files": {"opt/a": b"a"}}
    community: dict[str, Any] = {"claimed_level": Level.COMMUNITY}
    return {
        "seal-small": bundles.make("seal", SIGNERS[0], **few),
        "seal-small-unsigned": bundles.make("seal", **few, **community).unsigned(),
        "seal-stamped": stamped,
        "seal-tree-unsigned": bundles.make(
            "seal",
            files=TREE,
            relationships=RELATED,
            payload_type="tar+zstd",
            **community,
            attachments={"sbom.json": b"{}"},
        ).unsigned(),
        "vib-small": bundles.make("vib", SIGNERS[1], **few),
        "vib-tree-unsigned": bundles.make("vib", files=TREE, relationships=RELATED, vib=VIB, **community).unsigned(),
        "vib-small-unsigned": bundles.make("vib", payload_type="tgz", **few, **community).unsigned(),
    }


def _spaced(made: Mapping[str, bundles.Bundle]) -> bytes:
    text = made["vib-small"].manifest_bytes.replace(b"><", b">\n  <").replace(b'"5.0">', b'"5.0"><!-- a comment -->', 1)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + text


def _blocks() -> dict[str, bytes]:
    first = SIGNERS[0]
    by_key = cms.by_key_id(first.parsed.key_id or b"")
    sealed = bundles.make("seal", BELOW).with_member("manifest.json", data=CONTENT).sealed(BELOW)
    return {
        "p256": cms.block(CONTENT, first),
        "rsa": cms.block(CONTENT, SIGNERS[1]),
        "ed25519": cms.block(CONTENT, SIGNERS[2]),
        "two": cms.block(CONTENT, first, SIGNERS[2]),
        "key-id": cms.block(CONTENT, first, sid=by_key, signer_version=3, version=3),
        "stamped": tsa.stamped(CONTENT, first, tsa.token),
        "sealed": _first_block(sealed.signature),
    }


def _first_block(member: bytes) -> bytes:
    from modseal.format.cms import split_blocks

    return split_blocks(member)[0]


def _tokens() -> dict[str, bytes]:
    usual = tsa.token(SIGNATURE)
    return {
        "usual": usual,
        "rsa": tsa.token(SIGNATURE, by=tsa.tsa("rsa")),
        "accuracy": tsa.token(SIGNATURE, b"20260101000000.25Z", accuracy=bytes.fromhex("300a020101800201f4810105")),
        "answer": cms.sequence(cms.sequence(b"\x02\x01\x00"), usual),
    }


def _certificates() -> dict[str, bytes]:
    names = x509.NameConstraints(
        [x509.DirectoryName(root().certificate.subject), x509.DNSName("example.test")],
        [x509.RFC822Name("bad.test"), x509.UniformResourceIdentifier(".bad.test")],
    )
    policies = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3.4"), None)])
    point = x509.DistributionPoint([x509.UniformResourceIdentifier("http://example.test/crl")], None, None, None)
    alternative = x509.SubjectAlternativeName([x509.DNSName("a.example.test"), x509.RFC822Name("a@good.test")])
    more = [(names, True), (policies, False), (x509.PolicyConstraints(0, 1), True), (x509.InhibitAnyPolicy(0), True)]
    return {
        "root": root().der,
        "intermediate": INTERMEDIATE.der,
        "below": BELOW.der,
        "rsa": SIGNERS[1].der,
        "ed25519": SIGNERS[2].der,
        "authority": ca("Much", issuer=root(), extensions=more).der,
        "leaf": leaf(
            "Much", extensions=[(alternative, False), (policies, False), (x509.CRLDistributionPoints([point]), False)]
        ).der,
    }


def _crls() -> dict[str, bytes]:
    reason = (x509.CRLReason(x509.ReasonFlags.key_compromise), False)
    since = (x509.InvalidityDate(datetime(2025, 1, 1)), False)  # noqa: DTZ001 - the library wants it so
    scope = x509.IssuingDistributionPoint(
        [x509.DirectoryName(root().certificate.subject)], None, True, False, None, False, False
    )
    return {
        "usual": CRL,
        "empty": crls.make(root()),
        "intermediate": crls.make(INTERMEDIATE, BELOW),
        "reasons": crls.make(root(), crls.revoked(5, extensions=[reason, since]), crls.revoked(6)),
        "scope": crls.make(root(), extensions=[(scope, True)]),
    }


def _pem_files() -> dict[str, bytes]:
    lists = b"".join(_pem(pem.CRL, one) for one in (CRL, crls.make(INTERMEDIATE, BELOW)))
    return {
        "chain": b"the root\n" + _pems(root(), INTERMEDIATE),
        "list": _pem(pem.CRL, CRL),
        "lists": b"# two of them\n" + lists + b"\n",
        "windows": root().pem.replace(b"\n", b"\r\n"),
        "certificate": root().der,
        "key": SIGNERS[0].certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    }


def _pem(label: str, content: bytes) -> bytes:
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label.encode(), base64.encodebytes(content), label.encode())


def _payload(kind: str, files: Files = TREE) -> bytes:
    out = io.BytesIO()
    writer = payload_writer.write_seal_payload if kind.startswith("tar") else payload_writer.write_vib_payload
    writer("base", kind, bundles.inputs(files, {}), bundles.MTIME, out)
    return out.getvalue()


def _payloads() -> dict[str, dict[str, bytes]]:
    return {
        kind: {"tree": _payload(kind), "empty": _payload(kind, {})} for kind in ("tar+gzip", "tar+zstd", "vgz", "tgz")
    }


def _zips() -> dict[str, bytes]:
    """Each form of entries and of the end."""
    named: Mapping[str, int | bytes] = {"extra": zips.TIMES}
    wide: Mapping[str, int | bytes] = {
        "size": zips.WIDE, "packed": zips.WIDE, "extra": struct.pack("<HHQQ", 1, 16, 5, 5)
    }  # fmt: skip
    usual = [zips.Part("a", b"alpha"), zips.Part("d/", b"", zips.STORED), zips.Part("d/b", b"beta", both=named)]
    plain = zips.archive(usual)
    start, end = plain.index(b"PK\x01\x02"), plain.index(b"PK\x05\x06")
    return {
        "usual": plain,
        "descriptor": zips.archive([zips.Part("a", b"alpha", flags=zips.DESCRIPTOR)], comment=b"comment"),
        "wide": zips.archive([zips.Part("a", b"alpha", zips.STORED, local=wide)]),
        "wide-end": zips.archive(usual, zip64=zips.end64(3, end - start, start)),
        "empty": zips.archive([]),
    }


def _depot_documents() -> dict[str, bytes]:
    """The documents of one depot."""
    depot = depots.make(bundles.make("vib", files={"opt/a": b"a"}, relationships=RELATED, vib=VIB))
    return {
        "index": depot["index.xml"],
        "vendor-index": depot["vendor-index.xml"],
        "listing": depot[depots.LISTING],
        "bulletin": depot[depot.bulletin],
        "described": depot[depot.described],
    }


def _tars() -> dict[str, list[bytes]]:
    """Of each tar a tree, a small one and an empty one."""
    kinds = {"canonical": "tar+gzip", "legacy": "tgz", "visor": "vgz"}
    return {
        name: [zlib.decompress(_payload(kind, files), 31) for files in (TREE, SMALL, {})]
        for name, kind in kinds.items()
    }


def _layout(data: bytes) -> bytes:
    return layout.encode(*visor.read_layout(Stream(iter([data]), "bad-listing")))


if __name__ == "__main__":
    main()
