"""Vectors of step 0: good bundles, and containers that are not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from builders import cms
from builders.bundles import Member, header
from modseal.format import rules
from modseal.format.level import Level
from vectors.keys import BELOW, P256, RSA, SECOND, SIGNER, STRANGER, signing
from vectors.material import (
    NAME,
    SEAL,
    VIB,
    Vector,
    frame,
    good,
    seal,
    vib,
)


def accepted() -> Iterator[Vector]:
    yield seal("good", SEAL, None, "A signed module with one gzip payload.")
    yield seal("good-zstd", good(packer=frame), None, "The same with a zstd payload.")
    yield vib("good-vib", VIB, None, "A signed .vib.")
    by_p256 = SEAL.signed(P256, sign=signing(P256))
    yield seal("good-ecdsa", by_p256, None, "Signed with ECDSA on P-256.")
    yield seal("good-rsa", SEAL.signed(RSA), None, "Signed with RSA PKCS #1 v1.5.")
    yield seal(
        "good-two-blocks",
        SEAL.signed(SIGNER, SECOND),
        None,
        "Two blocks of two signers; two are asked for.",
        "two-signers",
    )
    yield seal("good-chain", SEAL.signed(BELOW), None, "The signer's CA is in the block.")
    yield seal("good-pin", SEAL.signed(STRANGER), None, "No chain, but the policy pins the certificate.", "pin")
    yield seal("good-crl", SEAL, None, "A current CRL does not list the signer.", "crl-empty")
    yield seal(
        "good-no-payloads",
        SEAL.with_members(*SEAL.members[:2]).with_manifest(payloads=(), files=()),
        None,
        "A module that only relates others.",
    )
    community = SEAL.with_manifest(claimed_level=Level.COMMUNITY).unsigned()
    yield seal("good-unsigned", community, None, "An unsigned community module, which the policy allows.", "unsigned")
    yield seal(
        "good-beside-stranger", SEAL.signed(SIGNER, STRANGER), None, "Beside a trusted signer one that nobody knows."
    )
    attached = good(attachments={"sbom.json": b"{}", "odd": b"1"})
    yield seal("good-attachments", attached, None, "Two attachments, one of odd size.")
    yield seal(
        "good-media-type",
        attached.with_manifest(
            attachments=tuple(
                replace(one, media_type="a0!#$&-^_.+/b0!#$&-^_.+") for one in attached.manifest.attachments
            )
        ),
        None,
        "All characters that a media type may have.",
    )
    links = {"a": None, "a-b": b"-", "a/b": None, "a/b/l": "../../a-b", "a.c": b".", "\u00e9\U0001f642": b"e"}
    yield seal(
        "good-order",
        good(files=dict(sorted(links.items(), key=lambda item: rules.sort_key(item[0])))),
        None,
        "The order of paths, a link, and characters beyond ASCII.",
    )
    long = "/".join(("d" * 77, "e" * 77, "f" * 99))
    yield seal("good-long-path", good(files={long: b"x"}), None, "A path of 255 bytes, split into prefix and name.")
    commas = SEAL.with_manifest(description=",[{" * 1000, released="2024-02-29T23:59:59Z")
    yield seal("good-texts", commas, None, "Commas and brackets in a text, and a leap day.")
    unknown = SEAL.signed(SIGNER)
    strange = cms.pem(cms.block(SEAL.manifest_bytes, SECOND, signature_algorithm=cms.algorithm(cms.UNKNOWN)))
    yield seal(
        "good-beside-unknown-algorithm",
        unknown.with_signature(unknown.signature + strange),
        None,
        "Beside a good block one of an unknown algorithm, which is set aside.",
    )


def container() -> Iterator[Vector]:
    manifest, signature, payload = SEAL.members
    yield seal("magic", replace(SEAL, magic=b"!<thin>\n"), "not-a-bundle", "Another magic.")
    yield seal("empty", b"", "not-a-bundle", "No bytes at all.")
    yield seal("magic-alone", b"!<arch>\n", "not-a-bundle", "An archive without members.")
    yield seal(
        "signature-first",
        SEAL.with_members(signature, manifest, payload),
        "not-a-bundle",
        "The signature stands before the manifest.",
    )
    yield seal("no-signature-member", SEAL.without("sig.pkcs7"), "missing-member", "The second member is the payload.")
    for field_, value in (
        ("time", {"mtime": "1"}),
        ("owner", {"uid": "1"}),
        ("group", {"gid": "1"}),
        ("mode", {"mode": "644"}),
        ("end", {"end": b"\n`"}),
        ("size", {"size": f"0{len(payload.data)}"}),
    ):
        changed = SEAL.with_member(NAME, header=header(NAME, **{"size": len(payload.data), **value}))
        yield seal(
            f"header-{field_}", changed, "malformed-archive", f"The {field_} of a header is not in its one form."
        )
    for label, name in (("slash", f"{NAME}/"), ("dot", "."), ("dots", ".."), ("space", "a b"), ("empty", "")):
        changed = SEAL.with_member(NAME, header=header(name, len(payload.data)))
        yield seal(f"name-{label}", changed, "malformed-archive", f"A member is named {name!r}.")
    odd = SEAL.insert(3, Member("odd", b"1", padding=b"\0"))
    yield seal("padding", odd, "malformed-archive", "A content of odd size is followed by a zero byte.")
    yield seal(
        "no-padding",
        SEAL.insert(3, Member("odd", b"1", padding=b"")),
        "malformed-archive",
        "A content of odd size is followed by nothing.",
    )
    yield seal("truncated", SEAL.data[:-2], "truncated", "The last bytes are missing.")
    yield seal("cut-header", SEAL.data + b"base2", "truncated", "The file ends within a header.")
    yield seal("trailing", SEAL.data + b"\n", "trailing-bytes", "A line feed follows the last member.")
    yield seal("twice", SEAL.insert(3, payload), "duplicate-member", "A payload stands there twice.")
    yield seal(
        "unknown-member", SEAL.insert(3, Member("more", b"")), "unknown-member", "A member that nobody declared."
    )
    yield seal("missing-member", SEAL.without(NAME), "missing-member", "The declared payload is not there.")
    attached = good(attachments={"sbom.json": b"{}"})
    yield seal(
        "member-order",
        attached.with_members(*attached.members[:2], *reversed(attached.members[2:])),
        "member-order",
        "The attachment stands before the payload.",
    )
    many = SEAL.with_members(*SEAL.members, *(Member(f"m{number}", b"") for number in range(126)))
    yield seal("many-members", many, "limit-exceeded", "129 members.")
    yield vib(
        "vib-size-form",
        VIB.with_member(VIB.members[2].name, header=header("payload1", "01")),
        "malformed-archive",
        "A size with a leading zero.",
    )
    yield vib("vib-truncated", VIB.data[:-2], "truncated", "The last bytes are missing.")
