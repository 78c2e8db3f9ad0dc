"""A policy for a folder that has none: it trusts exactly the certificates that it was told, and nobody by default."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from modseal import limits
from modseal.errors import FormatError, KeyMaterialError
from modseal.files.small import read_small
from modseal.format.toml_text import quoted
from modseal.pki.certificate import Certificate
from modseal.policy.material import read_certificates
from modseal.policy.shape import SCHEMA

POLICY_FILE = "policy.toml"
_LONGEST_NAME = 190
"""Characters of an anchor's name; the shape has room for a number behind it."""


def propose(folder: Path, anchors: Sequence[Path], vendor: str, level: str) -> str:
    """The text of a `policy.toml` in `folder`.

    Each of `anchors` is a file with one certificate: a CA's becomes an anchor, a signer's a pin. They are granted
    `level`, for modules of `vendor` alone if that is not empty. Without anchors the policy accepts nothing, and shows
    in a comment what an anchor looks like.

    Raises `KeyMaterialError` for a file that is not a certificate, `InputError` for one that cannot be read.
    """
    return "\n".join(_lines(folder, [(path, _read(path)) for path in anchors], vendor, level)) + "\n"


def _read(path: Path) -> Certificate:
    try:
        found = read_certificates(read_small(path, limits.POLICY_FILE_SIZE).data)
    except (FormatError, ValueError) as error:
        raise KeyMaterialError(f"{path}: {error}").because("not-a-certificate") from None
    if len(found) != 1:
        raise KeyMaterialError(f"{path} has {len(found)} certificates; an anchor is one").because("several-found")
    if not str(path).isprintable():
        raise KeyMaterialError(f"{path}: a policy cannot name a file whose name is not printable").because(
            "name-not-printable"
        )
    return found[0]


def _lines(folder: Path, anchors: Sequence[tuple[Path, Certificate]], vendor: str, level: str) -> Iterator[str]:
    yield "# Whose modules are accepted. All keys, with examples: modseal help policy"
    yield "# What it accepts at the weakest, in one line: modseal policy check"
    yield f'schema = "{SCHEMA}"'
    yield f'minimum-level = "{level}"  # what is proven below it is refused: certified, accepted, partner, community'
    names: list[str] = []
    for path, certificate in anchors:
        names.append(_name(certificate, names))
        yield ""
        yield "[[anchor]]"
        yield f"name = {quoted(names[-1])}"
        if certificate.is_ca:
            where = os.path.relpath(path.absolute(), folder.absolute())
            yield f"certificate = {quoted(where)}  # a CA, relative to this file"
        else:
            yield f'fingerprint = "sha256:{certificate.fingerprint}"  # this signer, and nobody else'
        yield f'grants = "{level}"  # the highest level that its signatures prove'
        yield f"{'' if vendor else '#'}vendors = [{quoted(vendor or 'Acme')}]  # whose modules it may sign"
    yield from () if anchors else _EXAMPLE.splitlines()
    yield from _TAIL.splitlines()


def _name(certificate: Certificate, taken: Sequence[str]) -> str:
    """What messages call an anchor: its subject, told apart from others that have the same."""
    subject = "".join(character if character.isprintable() else "?" for character in certificate.subject)
    name = subject[:_LONGEST_NAME] or "anchor"
    return f"{name} ({len(taken) + 1})" if name in taken else name


_EXAMPLE = """
# Whom to trust: a CA's certificate (its file, relative to this one), or an exact signer by its fingerprint.
# Without an anchor nothing is accepted, so write yours, and take the # away.
#[[anchor]]
#name = "Acme release CA"
#certificate = "acme-root.pem"  # or: fingerprint = "sha256:..."
#grants = "partner"  # the highest level that its signatures prove
#vendors = ["Acme"]  # whose modules it may sign"""

_TAIL = """
#[time]
#anchors = ["tsa-root.pem"]  # roots of timestamp authorities: modseal help timestamp-signatures
#require-timestamp = true

#[revocation]
#crls = ["root.crl"]  # fetched by you, never by modseal
#required = true"""
