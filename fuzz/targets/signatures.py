"""Signature blocks and timestamp tokens: read, and verified over fixed bytes by keys that nobody has any more."""

from __future__ import annotations

from modseal.errors import FormatError
from modseal.format import cms, der
from modseal.format import timestamp as token_format
from modseal.trust import timestamp
from modseal.trust.signature import Signatures, verify_member
from targets.base import CONTENT, NOW, SIGNATURE, Target, attempt, certificates, policy


def block(data: bytes) -> None:
    """The DER of one block."""
    signed = attempt(cms.decode, data)
    if signed:
        assert all(certificate in data for certificate in signed.certificates)
        assert all(der.Reader(one.signed_attributes).next().raw == one.signed_attributes for one in signed.signers)
        _verify(cms.join_blocks((data,)))


def member(data: bytes) -> None:
    """A whole signature member: the PEM forms of both formats, and every block in it."""
    sealed = attempt(cms.split_blocks, data)
    blocks = attempt(lambda each: cms.split_blocks(each, "vib"), data)
    assert sealed in (None, blocks)
    if blocks is not None:
        assert (sealed is not None) == (cms.join_blocks(blocks) == data), "a .seal has one form of it"
    found = _verify(data)
    assert blocks or not found.signers, "a member that is not well formed has a signer"


def _verify(member: bytes) -> Signatures:
    """Whoever is found to have signed has one of the keys that did."""
    found = verify_member(member, CONTENT, kind="vib")
    known = {certificate.key_der for certificate in certificates("signers.pem")}
    assert all(signer.certificate.key_der in known for signer in found.signers), "a signature was forged"
    return found


def token(data: bytes) -> None:
    """A timestamp token, or an authority's answer; whose time it proves, if any, is an authority that we know."""
    attempt(token_format.token_of_response, data)
    found = attempt(token_format.decode, data)
    if not found:
        return
    again = token_format.decode(token_format.sort_certificates(found))
    assert (again.content, again.signed_attributes) == (found.content, found.signed_attributes)
    assert found.earliest <= found.latest
    try:
        stamp = timestamp.verify(data, SIGNATURE, policy().timestamp_anchors, policy().path_rules, NOW)
    except FormatError:
        return
    known = {certificate.key_der for certificate in certificates("authorities.pem")}
    assert stamp.authority.key_der in known, "a timestamp was forged"


TARGETS = (
    Target("cms", block, mutator="der"),
    Target("signature-member", member, 8192),
    Target("timestamp", token, mutator="der"),
)
