"""Certificates and CRLs: read, and judged against a root that did not sign them (or did, where they are the seeds)."""

from __future__ import annotations

from itertools import pairwise

from modseal.pki import revocation
from modseal.pki.certificate import Certificate
from modseal.pki.crl import Crl
from modseal.pki.path import NoPath, find_path
from modseal.pki.revocation import RevocationRules
from targets.base import NOW, Target, attempt, certificates, policy


def certificate(data: bytes) -> None:
    """As a signer, and as a candidate between another signer and the root."""
    found = attempt(Certificate.parse, data)
    if not found:
        return
    assert found.der == data
    root, *others = certificates("chain.pem")
    for signer, candidates in ((found, others), (others[-1], (found, *others))):
        path = find_path(signer, candidates, policy(), NOW)
        if isinstance(path, NoPath):
            assert path.failures
        else:
            assert path.certificates[-1] == root
            for below, above in pairwise(path.certificates):
                assert above.is_ca
                below.verify_issued_by(above)


def crl(data: bytes) -> None:
    """Alone, on a path whose issuer it may be from."""
    found = attempt(lambda given: Crl.parse(given, "fuzz"), data)
    if not found:
        return
    path = tuple(reversed(certificates("chain.pem")))
    failures = revocation.judge(path, RevocationRules((found,), required=True), NOW)
    assert all(failure.detail for failure in failures)
    assert all(isinstance(found.scope.covers(one), bool) for one in path)


TARGETS = (
    Target("certificate", certificate, mutator="der"),
    Target("crl", crl, mutator="der"),
)
