"""Bundles and policies of tests as files: the corpus that `tests/snapshot.py` runs the command line over.

A policy of a test is a value that no file ever said, so it is written as one that reads back the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from modseal.format import der
from modseal.trust.policy import Anchor, Policy
from modseal.trust.powers import May

KNOWN = {
    "source", "minimum_level", "anchors", "allow_unsigned_community", "intermediates", "algorithms", "minimum_rsa_bits",
    "timestamp_anchors", "timestamp_required", "revocation", "minimum_signers", "required_signers", "deny", "floors",
    "required_attachments", "community_paths", "allowances", "lines", "origin", "unsigned_may", "standings",
}  # fmt: skip
"""Every field of `Policy`: a new one must be written too, or a recorded policy would say less than the test's."""


def record(folder: Path, bundle: bytes, policy: Policy, at: datetime) -> None:
    """Write one case below `folder`, named by what it is, so that the same case is there once."""
    files = dict(_files(policy))
    name = sha256(b"\0".join([bundle, *(part for pair in files.items() for part in (pair[0].encode(), pair[1]))]))
    place = folder / name.hexdigest()[:24]
    place.mkdir(parents=True, exist_ok=True)
    (place / "bundle").write_bytes(bundle)
    (place / "at").write_text(f"{at:%Y-%m-%dT%H:%M:%SZ}")
    for file, data in files.items():
        (place / file).write_bytes(data)


def _files(policy: Policy) -> Iterator[tuple[str, bytes]]:
    """`policy.toml`, and the files that it names."""
    if policy.origin:
        yield "policy.toml", policy.origin.text
        yield from policy.origin.files
        return
    strange = {field.name for field in fields(policy)} - KNOWN
    assert not strange, f"tests/builders/recorded.py does not write {strange}"
    named: dict[str, bytes] = {}

    def file(data: bytes, suffix: str) -> str:
        name = f"{sha256(data).hexdigest()[:16]}.{suffix}"
        named[name] = data
        return name

    lines = ['schema = "modseal/policy@1"', f'minimum-level = "{policy.minimum_level}"']
    lines += ["allow-unsigned-community = true"] if policy.allow_unsigned_community else []
    lines += _list("intermediates", [file(one.der, "der") for one in policy.intermediates])
    lines += [
        "[algorithms]",
        *_list("allow", sorted(policy.algorithms)),
        f"minimum-rsa-bits = {policy.minimum_rsa_bits}",
    ]
    lines += ["[time]", *_list("anchors", [file(one.der, "der") for one in policy.timestamp_anchors])]
    lines += [f"require-timestamp = {json.dumps(policy.timestamp_required)}"]
    revocation = policy.revocation
    lines += ["[revocation]", *_list("crls", [file(_crl(one), "crl") for one in revocation.crls])]
    lines += [f"required = {json.dumps(revocation.required)}"]
    lines += [f"maximum-age-days = {revocation.maximum_age.days}"] if revocation.maximum_age else []
    lines += [f"accept-signed-before-revocation = {json.dumps(revocation.accept_signed_before)}"]
    names = {anchor.name for anchor in policy.anchors}
    required = [one if one in names else f"sha256:{one}" for one in policy.required_signers]
    lines += ["[signers]", f"minimum = {policy.minimum_signers}", *_list("required", required)]
    deny = policy.deny
    lines += ["[deny]", *_list("digests", [f"sha256:{one}" for one in sorted(deny.digests)])]
    signers = [*(f"sha256:{one}" for one in sorted(deny.signers)), *sorted(deny.keys)]
    lines += [*_list("signers", signers), *_list("names", list(deny.names))]
    lines += _list("certificates", [file(one.der, "der") for one in deny.certificates])
    lines += ["[versions]", *(f"{json.dumps(name)} = {json.dumps(floor)}" for name, floor in policy.floors.items())]
    lines += ["[attachments]", *_list("required", list(policy.required_attachments))]
    lines += ["[paths]", *_list("community", list(policy.community_paths))]
    lines += ["[unsigned.may]", *_may(policy.unsigned_may)] if policy.allow_unsigned_community else []
    for anchor in policy.anchors:
        lines += _anchor(anchor, file)
    yield "policy.toml", ("\n".join(lines) + "\n").encode()
    yield from named.items()


def _anchor(anchor: Anchor, file: Any) -> Iterator[str]:
    yield "[[anchor]]"
    yield f"name = {json.dumps(anchor.name)}"
    yield f'grants = "{anchor.grants}"'
    if anchor.certificate:
        yield f'certificate = "{file(anchor.certificate.der, "der")}"'
    if anchor.fingerprint:
        yield f'fingerprint = "sha256:{anchor.fingerprint}"'
    if anchor.accept_expired:
        yield "accept-expired = true"
    yield from _list("vendors", list(anchor.vendors))
    yield from _list("names", list(anchor.names))
    yield "[anchor.may]"
    yield from _may(anchor.may)


def _may(may: May) -> Iterator[str]:
    yield from _list("paths", list(may.paths))
    yield from (f"{power} = true" for power in may.granted)
    yield from (f"{power} = false" for power in may.refused)


def _list(key: str, values: list[str]) -> list[str]:
    return [f"{key} = {json.dumps(values)}"] if values else []


def _crl(crl: Any) -> bytes:
    signature = der.encode(der.BIT_STRING, b"\0" + crl.signature)
    return der.encode(der.SEQUENCE, crl.signed_bytes, crl.signature_algorithm.raw, signature)
