"""The files that a policy names: certificates and CRLs, each read whole, and proved as far as that can be.

What a damaged file would say less of, it may not say at all: a CRL whose issuer was changed by one bit speaks of
no certificate, and its entries would go unnoticed. So a CRL counts only if the policy also has the certificate of its
issuer, and an anchor that signed itself must still fit its own signature.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from modseal.errors import FormatError
from modseal.format import pem
from modseal.pki import revocation
from modseal.pki.certificate import Certificate
from modseal.trust.policy import Policy

if TYPE_CHECKING:
    from modseal.pki.crl import Crl


def read_certificates(data: bytes) -> tuple[Certificate, ...]:
    """The certificates of a file that has nothing else in it. Raises `ValueError`, `FormatError`."""
    return tuple(map(Certificate.parse, pem.contents(data, pem.CERTIFICATE)))


def read_crls(data: bytes, name: str) -> tuple[Crl, ...]:
    """The CRLs of a file that has nothing else in it; `name` is for messages. Raises `ValueError`, `FormatError`."""
    from modseal.pki.crl import Crl  # imported here: many policies name no CRL

    return tuple(Crl.parse(content, name) for content in pem.contents(data, pem.CRL))


def is_root(certificate: Certificate) -> bool:
    """Whether it is a CA that signed itself."""
    try:
        certificate.verify_issued_by(certificate)
    except FormatError:
        return False
    return certificate.is_ca and certificate.is_self_issued


def anchor_damage(certificate: Certificate) -> str | None:
    """Why an anchor cannot be as its CA made it; None where it is, or where its own key cannot tell.

    Only a broken signature counts. A certificate for the same name by an older key, or a signature with an algorithm
    that is not judged, shows no damage (RFC 5280 section 6.1 allows anchors without any signature).
    """
    own_key = certificate.authority_key_id in (None, certificate.key_id)
    if not (certificate.is_self_issued and own_key):
        return None
    try:
        certificate.verify_issued_by(certificate)
    except FormatError as error:
        if error.failure.code == "bad-signature":
            return "the certificate is damaged: it is not what its own key signed"
    return None


def unproved_crls(policy: Policy) -> Iterator[str]:
    """A sentence for each CRL that no certificate of the policy proves (RFC 5280 section 6.3.3 (f), (g)).

    One CRL of an issuer whose certificate comes with the bundles may be, where CRLs are required: if it is damaged,
    the issuer has none, and nothing is decided.
    """
    anchors = (anchor.certificate for anchor in policy.anchors if anchor.certificate)
    known = tuple(dict.fromkeys((*anchors, *policy.intermediates, *policy.timestamp_anchors)))
    rules = policy.revocation
    for crl in rules.crls:
        named = [certificate for certificate in known if certificate.subject_name == crl.issuer]
        problems = [revocation.signature_problem(crl, certificate) for certificate in named]
        if not named and not (rules.required and _is_of_another_ca(crl, known, rules.crls)):
            yield (
                f"{crl.source}: the policy does not have the certificate of the CA that issued this CRL, which shows "
                "whether the CRL is whole; name it under 'intermediates'"
            )
        elif named and all(problems):
            why = problems[0].detail if problems[0] else ""
            yield f"{crl.source}: {named[0].subject} did not sign this CRL as it is ({why}); fetch it again"


def _is_of_another_ca(crl: Crl, known: Iterable[Certificate], crls: Iterable[Crl]) -> bool:
    """Whether a CRL is surely of a CA that the policy does not know, and the only one of that CA.

    Its issuer's name alone could be damaged: then it is that of a known CA, or the second of an unknown one, and beside
    the first one it would go unnoticed. Its key identifier tells, which every CRL has (RFC 5280 section 5.2.1).
    """
    others = [one for one in crls if one.signed_bytes != crl.signed_bytes]
    return (
        crl.authority_key_id is not None
        and all(crl.authority_key_id not in certificate.key_ids for certificate in known)
        and all(revocation.signature_problem(crl, certificate) for certificate in known)
        and all(one.issuer != crl.issuer and one.authority_key_id != crl.authority_key_id for one in others)
    )
